"""How long a recording can be at most, from the first bytes of its file, where they bound that.

A WAV (RIFF) file of plain samples has so many bytes in a second, and no reader can hear more in it
than its bytes last. What its header says of its length may be a lie, and is not read. Of everything
else nothing is known: codecs write silence in next to no bytes (a few in a frame of FLAC or Opus),
and there is no lowest bit-rate.
"""

_RIFF_HEAD = 12
_CHUNK_HEAD = 8
_FORMAT = 16
#: Samples as they are: integers, floating point, and the two laws of telephony.
_PLAIN = frozenset({1, 3, 6, 7})
_EXTENSIBLE, _SUBFORMAT = 0xFFFE, 26


def seconds_in(head: bytes, size: int | None) -> int | None:
    """Bound a recording in started seconds; None when its bytes do not.

    Args:
        head: the beginning of the file; a few kilobytes are enough.
        size: of the whole file, or more; None when it is not known, and then nothing is.
    """
    if size is None or head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    at, rate = _RIFF_HEAD, 0
    while at + _CHUNK_HEAD <= len(head):
        kind, length = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        at += _CHUNK_HEAD
        if kind == b"data":
            return max(-(-(size - at) // rate), 1) if rate else None
        if kind == b"fmt ":
            if rate:
                return None  # two formats: which holds is the reader's choice
            rate = _bytes_of_a_second(head[at : at + length])
            if not rate:
                return None
        at += length + length % 2
    return None


def _bytes_of_a_second(told: bytes) -> int:
    """Compute the rate from what readers go by; the one that the header names may be anything."""
    if len(told) < _FORMAT:
        return 0
    code, channels = _number(told, 0), _number(told, 2)
    if code == _EXTENSIBLE:
        code = _number(told, _SUBFORMAT - 2) if len(told) >= _SUBFORMAT else 0
    if code not in _PLAIN:
        return 0
    samples = int.from_bytes(told[4:8], "little")
    # Some readers go by the block, some by the samples in it: the longer recording holds.
    block = min(_number(told, 12), channels * -(-_number(told, 14) // 8))
    return samples * block


def _number(told: bytes, at: int) -> int:
    return int.from_bytes(told[at : at + 2], "little")
