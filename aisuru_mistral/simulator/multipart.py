"""Reads multipart/form-data, byte for byte; refuses bodies that end before they should.

Fields that come more than once, or whose name ends in "[]", become lists. Part headers are read by
the standard library's mail parser.
"""

from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from typing import Any


class BadForm(ValueError):  # noqa: N818 - reads as what happened
    """The body is no multipart form."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in a form."""

    name: str
    content_type: str
    data: bytes


def is_multipart(content_type: bytes) -> bool:
    """Whether a body of this type is a multipart form."""
    return content_type.lower().startswith(b"multipart/form-data")


def read_form(content_type: bytes, body: bytes) -> dict[str, Any]:
    """The fields by name: text, Upload, or a list of them.

    Raises:
        BadForm: no boundary, no last boundary, or a part without a name.
    """
    boundary = _headers(b"content-type: " + content_type).get_boundary()
    if not boundary:
        raise BadForm("Missing boundary in multipart.")
    mark = b"--" + boundary.encode()
    parts = (b"\r\n" + body).split(b"\r\n" + mark)
    if len(parts) < 2 or not parts[-1].startswith(b"--"):  # noqa: PLR2004 - before and after
        raise BadForm("There was an error parsing the body")
    form: dict[str, Any] = {}
    for part in parts[1:-1]:
        name, value = _read_part(part.removeprefix(b"\r\n"))
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
