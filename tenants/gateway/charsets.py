"""Reads which charset a Content-Type names: in another than UTF-8 bytes may be another text."""

import re
from typing import Final

UTF_8: Final = frozenset({b"utf-8", b"utf8"})
#: Of text that is ASCII they have the same bytes as UTF-8.
LIKE_ASCII: Final = frozenset({b"us-ascii", b"iso-8859-1"})
_MENTIONED: Final = b"charset"
_NAMED_ONCE: Final = re.compile(
    rb'(?:(?!charset).)*;\s*charset="?([\w-]+)"?\s*(?:;(?:(?!charset).)*)?', re.DOTALL
)


def charset_of(content_type: bytes) -> bytes:
    """Read the charset of a type in lower case: UTF-8 where none is named.

    Empty where readers could find different ones: it is named twice, or in another way (RFC 8187).
    """
    if _MENTIONED not in content_type:
        return b"utf-8"
    found = _NAMED_ONCE.fullmatch(content_type)
    return b"" if found is None else found[1]
