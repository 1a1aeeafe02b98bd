"""Counts the pages of documents for OCR; refuses to fetch or to read them.

The first that applies: the directive `pages`; "pages=7" or "7-pages" in the URL or file name (also
as a parameter of a data URL: `data:application/pdf;pages=7;base64,…`); the page objects of a PDF
that was sent; 1. The size is that of the bytes sent, or 40,000 for each page of a document that is
elsewhere.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from aisuru_mistral.simulator.routing import Call

BYTES_PER_PAGE = 40_000
MOST_PAGES = 1000
#: Readers of PDF look for its beginning in so many bytes, whatever stands before it.
_HEAD = 1024
_HINT = re.compile(r"pages=(\d{1,4})|(\d{1,4})[-_ ]?pages", re.ASCII)
_PDF_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")


@dataclass(frozen=True, slots=True)
class Document:
    """A document to be read: its pages and bytes."""

    pages: int
    size: int


def measured(call: Call, name: str, data: bytes | None) -> Document:
    """The document of this name or URL; `data` is None when it is elsewhere."""
    if data is None and name.startswith("data:"):
        name, data = _read_data_url(name)
    pages = call.directives.pages
    if pages is None:
        hint = _HINT.search(name)
        if hint is not None:
            pages = int(hint[1] or hint[2])
        elif data is not None and b"%PDF" in data[:_HEAD]:
            pages = len(_PDF_PAGE.findall(data))
    pages = min(max(1 if pages is None else pages, 1), MOST_PAGES)
    return Document(pages, pages * BYTES_PER_PAGE if data is None else len(data))


def _read_data_url(url: str) -> tuple[str, bytes]:
    start, _, rest = url.partition(",")
    if not start.endswith(";base64"):
        return start, unquote_to_bytes(rest)
    try:
        return start, base64.b64decode(rest)
    except binascii.Error:
        return start, rest.encode()
