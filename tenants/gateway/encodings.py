"""Reads an answer that Mistral compressed although nobody asked for it; the caller gets its bytes.

We ask for ``identity``. What comes compressed all the same passes as it is, with its header; only
the meter needs to look inside, up to a bound.
"""

import zlib
from collections.abc import Mapping

_GZIP, _DEFLATE, _RAW, _UNKNOWN = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS, 0
_WINDOWS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _DEFLATE}


def plain(body: bytes, headers: Mapping[str, str], most: int) -> bytes:
    """Give what the meter can read: the body, or what it decompresses to; at most so many bytes."""
    encoding = headers.get("content-encoding")
    return body if encoding is None else Unpacker(encoding, most).feed(body)


class Unpacker:
    """Decompresses one body as it passes; what is compressed otherwise it gives as it is."""

    def __init__(self, encoding: str | None, most: int) -> None:
        self._window = _WINDOWS.get((encoding or "").lower(), _UNKNOWN)
        self._inflate = None if self._window == _UNKNOWN else zlib.decompressobj(self._window)
        self._left = most
        self._is_begun = False

    def feed(self, chunk: bytes) -> bytes:
        """Give the next plain bytes; nothing after a fault or beyond the bound."""
        if self._inflate is None:
            return chunk
        parts = []
        while chunk and self._left > 0:
            parts.append(self._part(self._inflate, chunk))
            self._left -= len(parts[-1])
            chunk = self._inflate.unused_data
            if chunk:  # one member is over, another follows
                self._inflate = zlib.decompressobj(self._window)
        return b"".join(parts)

    def _part(self, inflate: "zlib._Decompress", chunk: bytes) -> bytes:
        try:
            part = inflate.decompress(chunk, self._left)
        except zlib.error:
            if self._is_begun or self._window != _DEFLATE:
                self._left = 0
                return b""
            # Some send it without zlib's head and checksum.
            self._window, self._inflate = _RAW, zlib.decompressobj(_RAW)
            return self._part(self._inflate, chunk)
        self._is_begun = True
        return part
