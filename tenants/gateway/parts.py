"""Reads what a form says of its fields: their names, and the heads of their parts (RFC 7578).

Readers of forms differ: in charsets, in escapes, in what makes a file, in names spelt another way.
What is not plainly one thing is refused, so that nobody can read another form than was read here.
"""

import re
from dataclasses import dataclass

from tenants.common.problems import Invalid
from tenants.gateway.charsets import LIKE_ASCII, UTF_8, charset_of

#: Fields that are lists, and may come several times.
SEVERAL = frozenset({"context_bias", "timestamp_granularities"})
#: Fields that decide what is called, read or counted.
_DECISIVE = frozenset({"model", "purpose", "file", "file_id", "file_url"})
#: And the only one among them that may be a file.
_FILE = "file"
#: A field that tells some readers the charset of all others (HTML).
_CHARSET = "_charset_"
_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,100}", re.ASCII)
_NO_LETTER = re.compile(r"[^a-z0-9]")
_NESTING = re.compile(r"[\[.]")
# Some take a backslash before a quotation mark for its escape, and others for a letter. .NET writes
# words without quotation marks.
_DISPOSITION = re.compile(
    rb'form-data; ?name=(?P<mark>"?)(?P<name>[A-Za-z0-9_.\[\]-]{1,100})(?P=mark)'
    rb'(?:; ?filename=(?:"(?P<quoted>(?:[^"]*[^"\\])?)"|(?P<plain>[\w.%!#$&+^`|~-]+)))?'
    rb"(?:; ?filename\*=utf-8'[\w-]*'(?P<extended>[\w.%!#$&+^`|~-]+))?;?",
    re.IGNORECASE,
)
_ESCAPED = re.compile(rb'filename="[^"]*\\"', re.IGNORECASE)
_TYPE = re.compile(
    rb'([\w.+-]{1,100}/[\w.+-]{1,100})(?:\s*;\s*[\w-]{1,50}=(?:"[^"\\]*"|[^\s";\\]+))*\s*;?'
)
_TEXTS = frozenset({b"text/plain", b"application/json"})
#: Of a file: it has parts of its own, or all bytes that JSON has mean what they do in UTF-8.
_OF_PARTS = re.compile(rb"multipart\s*/")
_AS_UTF_8 = UTF_8 | LIKE_ASCII | {b"binary"}
_HEADER = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_ENCODINGS = frozenset({b"7bit", b"8bit", b"binary"})
_KNOWN = frozenset(
    {
        b"disposition",
        b"type",
        b"transfer-encoding",
        b"length",
        b"id",
        b"description",
        b"language",
        b"md5",
    }
)
_LENGTH = re.compile(rb"\d{1,12}")


@dataclass(frozen=True, slots=True)
class Head:
    """What a part says of itself.

    Attributes:
        file_name: None of a field of text.
        is_ascii: by its charset, other text would be read in two ways; of a field.
        is_foreign: its bytes may be other text to who goes by its charset; of a file.
        length: of its content in bytes, if it is told.
    """

    name: str
    file_name: str | None
    is_ascii: bool
    is_foreign: bool
    length: int | None


def broken(why: str) -> Invalid:
    """Say why a form is none."""
    return Invalid("invalid_form", f"The body is no form that can be read: {why}.", status=400)


def check_name(name: str) -> None:
    """Refuse what no field is called, and what another reader could take for one that decides.

    Raises:
        Invalid: as `MODEL`, `file-id` and `model[]`.
    """
    if not _NAME.fullmatch(name) or name.lower() == _CHARSET:
        raise broken("a field has a name that none has")
    if name in _DECISIVE:
        return
    for part in (name, _NESTING.split(name)[0]):
        letters = _NO_LETTER.sub("", part.lower())
        meant = next((one for one in _DECISIVE if _NO_LETTER.sub("", one) == letters), None)
        if meant is not None:
            raise broken(f"`{name}` could be taken for `{meant}`")


def read_head(head: bytes) -> Head:
    """Read the head of a part, without the empty line after it.

    Raises:
        Invalid: it could be read in two ways.
    """
    told = _headers(head)
    disposition = told.get(b"disposition", b"")
    found = _DISPOSITION.fullmatch(disposition)
    if found is None:
        if _ESCAPED.search(disposition):
            raise broken("a file name has an escaped quotation mark, or ends in a backslash")
        raise broken("a part has no plain name")
    name = found["name"].decode()
    check_name(name)
    # By its extended name alone it is a file as well (RFC 5987): some readers take it for one.
    names = (found["quoted"], found["plain"], found["extended"])
    file_name = next((one for one in names if one is not None), None)
    is_file = file_name is not None
    if is_file and name in _DECISIVE and name != _FILE:
        raise broken(f"`{name}` comes as a file")
    length = told.get(b"length")
    if length is not None and not _LENGTH.fullmatch(length):
        raise broken("a part has no length")
    return Head(
        name,
        None if file_name is None else file_name.decode("utf-8", "replace"),
        is_ascii=not is_file and _is_ascii(name, told.get(b"type", b"").lower()),
        is_foreign=is_file and _is_foreign(told.get(b"type", b"").lower()),
        length=None if length is None else int(length),
    )


def _headers(head: bytes) -> dict[bytes, bytes]:
    """Give the fields of a head that readers go by, without ``content-`` before their names."""
    told: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if not colon or not _HEADER.fullmatch(name) or _CONTROL.search(line):
            raise broken("the head of a part is malformed")
        if not name.startswith(b"content-"):
            continue
        name = name.removeprefix(b"content-")
        if name not in _KNOWN or name in told:
            raise broken("the head of a part says what can be understood in two ways")
        told[name] = value
    if told.get(b"transfer-encoding", b"binary").lower() not in _ENCODINGS:
        raise broken("a part is encoded")
    return told


def _is_foreign(told: bytes) -> bool:
    """Tell of the type of a file whether its bytes could be read as other text than UTF-8.

    No reader of forms makes text of a file by itself; who asks for the lines of one might.
    """
    if _OF_PARTS.search(told):
        raise broken("a file is said to be made of parts")
    return charset_of(told) not in _AS_UTF_8


def _is_ascii(name: str, told: bytes) -> bool:
    """Tell of the type of a field whether its text has to be ASCII."""
    if not told:
        return False
    found = _TYPE.fullmatch(told)
    if found is None or found[1] not in _TEXTS:
        raise broken(
            f"`{name}` is no plain text by its Content-Type, and a file needs a `filename`"
        )
    charset = charset_of(told)
    if charset not in UTF_8 | LIKE_ASCII:
        raise broken("a part is not in UTF-8")
    return charset in LIKE_ASCII
