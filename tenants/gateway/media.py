"""How long a recording is, from the first bytes of its file, where its header says so.

WAV (RIFF) and FLAC tell it in their first bytes. Of everything else nothing is guessed.
"""

_RIFF_HEAD = 12
_CHUNK_HEAD = 8
_FLAC_HEAD = 42


def seconds_in(head: bytes, size: int | None) -> int | None:
    """Measure a recording in started seconds; None when its header does not tell.

    Args:
        head: the beginning of the file; a few kilobytes are enough.
        size: of the whole file, if known: a header written before the end was known lies.
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _wave(head, size)
    if head[:4] == b"fLaC" and len(head) >= _FLAC_HEAD:
        return _flac(head)
    return None


def _wave(head: bytes, size: int | None) -> int | None:
    at, rate = _RIFF_HEAD, 0
    while at + _CHUNK_HEAD <= len(head):
        kind, length = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        at += _CHUNK_HEAD
        if kind == b"fmt " and at + 12 <= len(head):
            rate = int.from_bytes(head[at + 8 : at + 12], "little")
        if kind == b"data":
            there = length if size is None else min(length, max(size - at, 0))
            return max(-(-there // rate), 1) if rate else None
        at += length + length % 2
    return None


def _flac(head: bytes) -> int | None:
    """Read STREAMINFO (RFC 9639 §8.2): 20 bits of sample rate, 36 of samples."""
    rate = int.from_bytes(head[18:21], "big") >> 4
    samples = int.from_bytes(head[21:26], "big") & (2**36 - 1)
    return max(-(-samples // rate), 1) if rate and samples else None
