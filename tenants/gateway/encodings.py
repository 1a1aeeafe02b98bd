"""Reads an answer that Mistral compressed although nobody asked for it; the caller gets its bytes.

We ask for ``identity``. What comes compressed all the same passes as it is, with its header; only
the meter needs to look inside, up to a bound.
"""

import zlib
from collections.abc import Mapping

_GZIP, _DEFLATE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS
_WINDOWS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _DEFLATE}


def plain(body: bytes, headers: Mapping[str, str], most: int) -> bytes:
    """Give what the meter can read: the body, or what it decompresses to; at most so many bytes."""
    encoding = headers.get("content-encoding")
    return body if encoding is None else Unpacker(encoding, most).feed(body)


class Unpacker:
    """Decompresses one body as it passes; what is compressed otherwise it gives as it is."""

    def __init__(self, encoding: str | None, most: int) -> None:
        window = _WINDOWS.get((encoding or "").lower())
        self._inflate = None if window is None else zlib.decompressobj(window)
        self._left = most

    def feed(self, chunk: bytes) -> bytes:
        """Give the next plain bytes; nothing after a fault or beyond the bound."""
        if self._inflate is None:
            return chunk
        if self._left <= 0:
            return b""
        try:
            out = self._inflate.decompress(chunk, self._left)
        except zlib.error:
            self._left = 0
            return b""
        self._left -= len(out)
        return out
