"""Finds the sentences in Django's templates for Babel, which knows Python only."""

from collections.abc import Collection, Iterator, Mapping
from io import BytesIO
from typing import IO, Any

from babel.messages.extract import extract_python
from django.conf import settings
from django.utils.translation.template import templatize

type _Found = tuple[int, str | tuple[str, ...], list[str], str | None]


def sentences(
    fileobj: IO[bytes],
    keywords: Mapping[str, Any],
    comment_tags: Collection[str],
    options: Any,
) -> Iterator[_Found]:
    """Extract as one of Babel's methods: Django rewrites a template as calls of ``gettext``.

    What it leaves of everything else is no Python, but reads as words within parentheses.
    """
    if not settings.configured:
        settings.configure()
    calls = templatize(fileobj.read().decode())
    yield from extract_python(BytesIO(f"(\n{calls}\n)".encode()), keywords, comment_tags, options)
