"""Follows a multipart/form-data body as it passes, without keeping it (RFC 7578, RFC 2046 §5.1).

It remembers the few values that decide something, and where in the body the value of each field
stands. It is strict where two readers could differ: what it does not understand exactly is refused,
so that Mistral cannot read another form than was metered here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tenants.common.problems import Invalid
from tenants.gateway import parts
from tenants.gateway.parts import broken

_BOUNDARY = re.compile(
    rb'multipart/form-data\s*;(?:\s*charset=(?:"utf-?8"|utf-?8)\s*;)?\s*boundary='
    rb'(?:"([0-9A-Za-z\'()+_,./:=? -]{0,69}'
    rb"[0-9A-Za-z'()+_,./:=?-])\"|([0-9A-Za-z'+_.-]{1,70}))"
    rb'\s*(?:;\s*charset="?utf-?8"?\s*)?',
    re.IGNORECASE,
)
_NEEDS_QUOTES = re.compile(rb"[^0-9A-Za-z'+_.-]")
_END_OF_HEAD = b"\r\n\r\n"
_LONGEST_HEAD = 8 * 1024
_LONGEST_FIELD = 64 * 1024
#: Fields whose values are asked for, and how long they may be: of all others is known that they
#: came. A character takes up to four bytes, and a form may have as many fields as parts.
_ASKED_FOR = frozenset({"model", "purpose", "file_id"})
_LONGEST_ASKED_FOR = 4 * 1024
_FILE = "file"
_MOST_PARTS = 200


@dataclass(frozen=True, slots=True)
class Field:
    """A field of text, and where its value begins and ends in the body.

    Attributes:
        value: empty of a field that nobody asks for.
        is_measured: its part tells how long it is.
    """

    value: str
    start: int
    end: int
    is_measured: bool = False


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
        is_foreign: by its charset that file may be other text than in UTF-8.
        is_over: the last boundary has passed.
    """

    def __init__(self, boundary: bytes, on_file: Callable[[bytes], None] | None = None) -> None:
        self._boundary = boundary
        self._delimiter = b"\r\n--" + boundary
        self._line = re.compile(rb"(?:\r\n|[\r\n])--" + re.escape(boundary))
        # A body begins with a delimiter too, but for its line break.
        self._pending = b"\r\n"
        self._position = -2
        self._on_file = on_file
        self._take = self._skip_to_delimiter
        self._part = parts.Head("", None, is_ascii=False, is_foreign=False, length=None)
        self._start = 0
        self._value = bytearray()
        self._parts = 0
        self.fields: dict[str, Field] = {}
        self.files: dict[str, int] = {}
        self.file_name = ""
        self.is_foreign = False
        self.is_over = False

    @property
    def content_type(self) -> str:
        """What is said of the body: its boundary, and nothing else that a reader could go by."""
        mark = '"' if _NEEDS_QUOTES.search(self._boundary) else ""
        return f"multipart/form-data; boundary={mark}{self._boundary.decode('ascii')}{mark}"

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
            raise broken("it does not begin with its boundary")
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
            raise broken("a boundary is not followed by a line break")
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise broken("it has too many parts")
        self._take = self._head
        return True

    def _head(self) -> bool:
        end = self._pending.find(_END_OF_HEAD)
        if end < 0:
            if len(self._pending) > _LONGEST_HEAD:
                raise broken("the head of a part is too long")
            return False
        self._begin(self._used(end + len(_END_OF_HEAD))[: -len(_END_OF_HEAD)])
        return True

    def _begin(self, head: bytes) -> None:
        self._part = part = parts.read_head(head)
        is_known = part.name in self.fields or part.name in self.files
        if is_known and not (part.name.endswith("[]") or part.name in parts.SEVERAL):
            raise broken(f"`{part.name}` comes twice")
        if part.file_name is not None:
            self.files.setdefault(part.name, 0)
            if part.name == _FILE:
                self.file_name = part.file_name
                self.is_foreign = part.is_foreign
        self._start = self._position
        self._value.clear()
        self._take = self._beginning

    def _beginning(self) -> bool:
        """Refuse a boundary right behind a head: to some it is the next, and to others text."""
        begun = self._pending[: len(self._delimiter) - 2]
        if self._delimiter[2:].startswith(begun):
            if len(begun) < len(self._delimiter) - 2:
                return False
            raise broken("a boundary follows no line break of its own")
        self._take = self._content
        return True

    def _content(self) -> bool:
        # Nearly always there is no boundary, and finding none is what is quickest.
        found = None
        if self._pending.find(self._delimiter[2:]) >= 0:
            found = self._line.search(self._pending)
        if found is not None:
            if not found[0].startswith(b"\r\n"):
                raise broken("a boundary follows half a line break")
            self._keep(self._used(found.start()))
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
        part = self._part
        if part.file_name is not None:
            self.files[part.name] += len(data)
            if self._on_file is not None and data:
                self._on_file(data)
            return
        self._value += data
        most = _LONGEST_ASKED_FOR if part.name in _ASKED_FOR else _LONGEST_FIELD
        if len(self._value) > most:
            raise broken(f"`{part.name}` is too long")

    def _close(self) -> None:
        part = self._part
        if part.length is not None and part.length != self._position - self._start:
            raise broken("a part has another length than it says")
        if part.file_name is not None:
            return
        try:
            value = self._value.decode("ascii" if part.is_ascii else "utf-8")
        except UnicodeDecodeError:
            raise broken(f"`{part.name}` is not in its charset, which is UTF-8") from None
        if part.name in _ASKED_FOR and "\0" in value:  # no database takes it
            raise broken(f"`{part.name}` has a null character")
        kept = value if part.name in _ASKED_FOR else ""
        is_measured = part.length is not None
        self.fields[part.name] = Field(kept, self._start, self._position, is_measured)
        self._value.clear()

    def _end(self) -> bool:
        if self._pending.strip(b"\r\n\t "):
            raise broken("something follows its end")
        self._used(len(self._pending))
        return False
