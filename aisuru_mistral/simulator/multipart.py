"""Reads forms of both kinds, byte for byte; refuses bodies that end before they should.

Fields that come more than once, or whose name ends in "[]", become lists. Part headers are read by
the standard library's mail parser.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from typing import Any
from urllib.parse import parse_qsl

_MULTIPART = b"multipart/form-data"


class BadForm(ValueError):  # noqa: N818 - reads as what happened
    """The body is no multipart form."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in a form."""

    name: str
    content_type: str
    data: bytes


def read_form(content_type: bytes, body: bytes) -> dict[str, Any]:
    """The fields by name: text, Upload, or a list of them; none of a body of another type.

    Raises:
        BadForm: no boundary, no last boundary, or a part without a name.
    """
    kind = content_type.lower()
    if kind.startswith(b"application/x-www-form-urlencoded"):
        return _gathered(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    return _read_multipart(content_type, body) if kind.startswith(_MULTIPART) else {}


def _read_multipart(content_type: bytes, body: bytes) -> dict[str, Any]:
    boundary = _headers(b"content-type: " + content_type).get_boundary()
    if not boundary:
        raise BadForm("Missing boundary in multipart.")
    mark = b"--" + boundary.encode()
    parts = (b"\r\n" + body).split(b"\r\n" + mark)
    if len(parts) < 2 or not parts[-1].startswith(b"--"):  # noqa: PLR2004 - before and after
        raise BadForm("There was an error parsing the body")
    return _gathered(_read_part(part.removeprefix(b"\r\n")) for part in parts[1:-1])


def _gathered(fields: Iterable[tuple[str, str | Upload]]) -> dict[str, Any]:
    form: dict[str, Any] = {}
    for name, value in fields:
        if name.endswith("[]"):
            form.setdefault(name[:-2], []).append(value)
        elif name not in form:
            form[name] = value
        elif isinstance(form[name], list):
            form[name].append(value)
        else:
            form[name] = [form[name], value]
    return form


def _read_part(part: bytes) -> tuple[str, str | Upload]:
    head, found, data = part.partition(b"\r\n\r\n")
    headers = _headers(head)
    name = headers.get_param("name", header="content-disposition")
    if not found or not isinstance(name, str):
        raise BadForm("There was an error parsing the body")
    file_name = headers.get_filename()
    if file_name is None:
        return name, data.decode("utf-8", "replace")
    return name, Upload(file_name, headers.get_content_type(), data)


def _headers(head: bytes) -> Message:
    return HeaderParser().parsestr(head.decode("utf-8", "replace"))
