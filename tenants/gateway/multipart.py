"""Follows a multipart/form-data body as it passes, without keeping it (RFC 7578, RFC 2046 §5.1).

It remembers the few values that decide something, and where in the body the value of each field
stands. It is strict where two readers could differ: what it does not understand exactly is refused,
so that Mistral cannot read another form than was metered here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tenants.common.problems import Invalid

_BOUNDARY = re.compile(
    rb'multipart/form-data\s*;\s*boundary=(?:"([0-9A-Za-z\'()+_,./:=? -]{1,70})"'
    rb"|([0-9A-Za-z'+_.-]{1,70}))\s*(?:;\s*charset=[\w-]+\s*)?",
    re.IGNORECASE,
)
_DISPOSITION = re.compile(
    rb'form-data; ?name="([A-Za-z0-9_.\[\]-]{1,100})"'
    rb"(; ?filename=\"((?:[^\"\\\r\n]|\\[^\r\n])*)\")?(; ?filename\*=[^;\s]+)?;?",
    re.IGNORECASE,
)
_END_OF_HEAD = b"\r\n\r\n"
_LONGEST_HEAD = 8 * 1024
_LONGEST_FIELD = 64 * 1024
#: Fields whose values are asked for, and how long they may be: of all others is known that they
#: came. A character takes up to four bytes, and a form may have as many fields as parts.
_ASKED_FOR = frozenset({"model", "purpose", "file_id"})
_LONGEST_ASKED_FOR = 4 * 1024
_FILE = "file"
_MOST_PARTS = 200
_ENCODINGS = frozenset({b"7bit", b"8bit", b"binary"})


@dataclass(frozen=True, slots=True)
class Field:
    """A field of text, and where its value begins and ends in the body.

    Attributes:
        value: empty of a field that nobody asks for.
    """

    value: str
    start: int
    end: int


def boundary_of(content_type: bytes) -> bytes:
    """Read the boundary.

    Raises:
        Invalid: no multipart form (415).
    """
    found = _BOUNDARY.fullmatch(content_type.strip())
    if found is None:
        raise Invalid(
            "not_a_form", "Send multipart/form-data with a `boundary` of its own.", status=415
        )
    return found[1] or found[2]


class Form:
    """One form on its way.

    Args:
        boundary: what separates its parts.
        on_file: is given every piece of every file.

    Attributes:
        fields: by name, once they are complete.
        files: names of file fields, and how many bytes of each have passed.
        file_name: what the file of the field ``file`` is called.
        is_over: the last boundary has passed.
    """

    def __init__(self, boundary: bytes, on_file: Callable[[bytes], None] | None = None) -> None:
        self._delimiter = b"\r\n--" + boundary
        # A body begins with a delimiter too, but for its line break.
        self._pending = b"\r\n"
        self._position = -2
        self._on_file = on_file
        self._take = self._skip_to_delimiter
        self._name = ""
        self._is_file = False
        self._start = 0
        self._value = bytearray()
        self._parts = 0
        self.fields: dict[str, Field] = {}
        self.files: dict[str, int] = {}
        self.file_name = ""
        self.is_over = False

    @property
    def kept(self) -> int:
        """How many bytes of the body wait for their end."""
        return len(self._pending) + len(self._value)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body, however they were cut.

        Raises:
            Invalid: this is no form, or one that could be read in two ways.
        """
        self._pending += chunk
        while self._take():
            pass

    def _used(self, length: int) -> bytes:
        used, self._pending = self._pending[:length], self._pending[length:]
        self._position += length
        return used

    def _skip_to_delimiter(self) -> bool:
        length = len(self._delimiter)
        if len(self._pending) < length:
            return False
        if not self._pending.startswith(self._delimiter):
            raise _broken("it does not begin with its boundary")
        self._used(length)
        self._take = self._after_delimiter
        return True

    def _after_delimiter(self) -> bool:
        if len(self._pending) < 2:  # noqa: PLR2004 - a line break, or the two dashes of the end
            return False
        mark = self._used(2)
        if mark == b"--":
            self.is_over = True
            self._take = self._end
            return True
        if mark != b"\r\n":
            raise _broken("a boundary is not followed by a line break")
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise _broken("it has too many parts")
        self._take = self._head
        return True

    def _head(self) -> bool:
        end = self._pending.find(_END_OF_HEAD)
        if end < 0:
            if len(self._pending) > _LONGEST_HEAD:
                raise _broken("the head of a part is too long")
            return False
        self._read_head(self._used(end + len(_END_OF_HEAD))[: -len(_END_OF_HEAD)])
        self._start = self._position
        self._value.clear()
        self._take = self._content
        return True

    def _read_head(self, head: bytes) -> None:
        disposition: bytes | None = None
        for line in head.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            name, value = name.lower(), value.strip(b" \t")
            if not colon or b"\r" in line or b"\n" in line or name != name.strip():
                raise _broken("the head of a part is malformed")
            if name == b"content-disposition" and disposition is None:
                disposition = value
            elif name == b"content-disposition" or (
                name == b"content-transfer-encoding" and value.lower() not in _ENCODINGS
            ):
                raise _broken("the head of a part is malformed")
        found = _DISPOSITION.fullmatch(disposition or b"")
        if found is None:
            raise _broken("a part has no plain name")
        self._name = found[1].decode()
        # By its extended name alone it is a file as well (RFC 5987): some readers take it for one.
        self._is_file = found[2] is not None or found[4] is not None
        is_known = self._name in self.fields or self._name in self.files
        if is_known and not self._name.endswith("[]"):
            raise _broken(f"`{self._name}` comes twice")
        if self._is_file:
            self.files.setdefault(self._name, 0)
            told = found[3] if found[3] is not None else found[4].partition(b"*=")[2]
            if self._name == _FILE:
                self.file_name = told.decode("utf-8", "replace")

    def _content(self) -> bool:
        end = self._pending.find(self._delimiter)
        if end >= 0:
            self._keep(self._used(end))
            self._close()
            self._used(len(self._delimiter))
            self._take = self._after_delimiter
            return True
        # What may be the beginning of a delimiter waits for the rest.
        safe = len(self._pending) - len(self._delimiter) + 1
        if safe > 0:
            self._keep(self._used(safe))
        return False

    def _keep(self, data: bytes) -> None:
        if self._is_file:
            self.files[self._name] += len(data)
            if self._on_file is not None and data:
                self._on_file(data)
            return
        self._value += data
        most = _LONGEST_ASKED_FOR if self._name in _ASKED_FOR else _LONGEST_FIELD
        if len(self._value) > most:
            raise _broken(f"`{self._name}` is too long")

    def _close(self) -> None:
        if self._is_file:
            return
        try:
            value = self._value.decode()
        except UnicodeDecodeError:
            raise _broken(f"`{self._name}` is not UTF-8") from None
        if self._name in _ASKED_FOR and "\0" in value:  # no database takes it
            raise _broken(f"`{self._name}` has a null character")
        kept = value if self._name in _ASKED_FOR else ""
        self.fields[self._name] = Field(kept, self._start, self._position)
        self._value.clear()

    def _end(self) -> bool:
        if self._pending.strip(b"\r\n\t "):
            raise _broken("something follows its end")
        self._used(len(self._pending))
        return False


def _broken(why: str) -> Invalid:
    return Invalid("invalid_form", f"The body is no form that can be read: {why}.", status=400)
