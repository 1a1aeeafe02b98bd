"""Reads forms without files, as SDKs send them: application/x-www-form-urlencoded.

It is as strict as ``multipart``: what two readers could read in two ways is refused.
"""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from tenants.common.problems import Invalid
from tenants.gateway import parts

_TYPE = re.compile(
    rb'application/x-www-form-urlencoded\s*(?:;\s*charset="?utf-?8"?\s*)?', re.IGNORECASE
)
_MOST_FIELDS = 200
#: Each escape of it is read by itself.
_LONGEST = 1024 * 1024
_HALF_AN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def is_encoded(content_type: bytes) -> bool:
    """Tell whether a body is such a form."""
    return _TYPE.fullmatch(content_type.strip()) is not None


class Pairs:
    """The fields of a form.

    Raises:
        Invalid: it is malformed, has a field twice that comes once, or is too large (413).
    """

    def __init__(self, body: bytes) -> None:
        if len(body) > _LONGEST:
            raise Invalid(
                "body_too_large",
                f"A form without a file is larger than {_LONGEST} bytes.",
                status=413,
            )
        self._body = body
        try:
            text = body.decode("ascii")
            self._pairs = parse_qsl(
                text,
                keep_blank_values=True,
                strict_parsing=bool(text),
                errors="strict",
                max_num_fields=_MOST_FIELDS,
            )
        except ValueError:  # UnicodeDecodeError, too
            self._pairs, text = [], ";"
        names = [name for name, _ in self._pairs if name.removesuffix("[]") not in parts.SEVERAL]
        if ";" in text or _HALF_AN_ESCAPE.search(text) or len(set(names)) != len(names):
            raise parts.broken("it is malformed, or has a field twice")
        for name, _ in self._pairs:
            parts.check_name(name)

    def get(self, name: str) -> str | None:
        """Give the value of a field that comes once."""
        return next((value for one, value in self._pairs if one == name), None)

    def with_changes(self, changes: Mapping[str, str]) -> bytes:
        """Give the form with other values: the very same bytes where there are none."""
        if not changes:
            return self._body
        kept = [pair for pair in self._pairs if pair[0] not in changes]
        return urlencode([*changes.items(), *kept]).encode()
