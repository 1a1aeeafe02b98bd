"""How long a recording can be at most, and lasts, from the first bytes of its file.

A WAV (RIFF) file of plain samples has so many bytes in a second, and lasts as long as its bytes do.
What its header says of its length may be a lie, and is not read. Of everything else nothing is
known: codecs write silence in next to no bytes (a few in a frame of FLAC or Opus), and there is no
lowest bit-rate.

Samples of 16 bits may be what they say, and may not: FFmpeg, by which many readers hear, looks into
them, and decodes what it takes for AAC or AC-3 as that. Silent AAC at its lowest rate was heard
there at 57 bytes a second (8 for 1,024 samples at 7,350 Hz, in LATM). So these hold the longer of
both: what they last as samples, and a second for each 32 bytes. In integers of other widths it
finds S/PDIF (IEC 61937), which has four bytes for each sample of a sound, at 7,350 Hz or more:
these hold a second for each 16,000 bytes at least. Into floating point and the two laws of
telephony it does not look.

What is held has to be the bound. What a recording lasts is what its samples do, if they are some:
an estimate, for calls of which nothing tells the seconds.
"""

from collections.abc import Callable

_RIFF_HEAD = 12
_CHUNK_HEAD = 8
_FORMAT = 16
#: Samples as they are (integers, floating point, the two laws of telephony), and the widths in
#: bytes of which they are taken for nothing else, or for S/PDIF at most.
_INTEGERS = 1
_TRUSTED = {_INTEGERS: {1, 3, 4}, 3: {4, 8}, 6: {1}, 7: {1}}
_EXTENSIBLE, _SUBFORMAT = 0xFFFE, 26
#: Bytes of a second of what 16-bit samples may be taken for, at least, and of what other integers.
_LEAST_OF_A_SECOND, _LEAST_OF_SPDIF = 32, 16_000


def seconds_in(head: bytes, size: int | None) -> int | None:
    """Bound a recording in started seconds; None when its bytes do not.

    Args:
        head: the beginning of the file; a few kilobytes are enough.
        size: of the whole file, or more; None when it is not known, and then nothing is.
    """
    return _seconds(head, size, _least_of_a_second)


def lasting(head: bytes, size: int | None) -> int | None:
    """Tell how many seconds, the last one begun, a recording lasts if its samples are some."""
    return _seconds(head, size, _bytes_of_a_second)


def _seconds(head: bytes, size: int | None, rate_of: Callable[[bytes], int]) -> int | None:
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
            rate = rate_of(head[at : at + length])
            if not rate:
                return None
        at += length + length % 2
    return None


def _least_of_a_second(told: bytes) -> int:
    """Give the bytes of a second of whatever the samples may be taken for."""
    rate = _bytes_of_a_second(told)
    code, width = _code(told), _width(told)
    # An extensible header tells another width of integers beside this one.
    is_extensible = _number(told, 0) == _EXTENSIBLE
    if width not in _TRUSTED.get(code, ()) or (is_extensible and code == _INTEGERS):
        return min(rate, _LEAST_OF_A_SECOND)
    return min(rate, _LEAST_OF_SPDIF) if code == _INTEGERS else rate


def _bytes_of_a_second(told: bytes) -> int:
    """Compute the rate from what readers go by; the one that the header names may be anything."""
    if len(told) < _FORMAT or _code(told) not in _TRUSTED:
        return 0
    # Some readers go by the block, some by the samples in it: the longer recording holds.
    block = min(_number(told, 12), _number(told, 2) * _width(told))
    return int.from_bytes(told[4:8], "little") * block


def _code(told: bytes) -> int:
    """Tell what the samples are; nothing is 0."""
    code = _number(told, 0)
    if code != _EXTENSIBLE:
        return code
    return _number(told, _SUBFORMAT - 2) if len(told) >= _SUBFORMAT else 0


def _width(told: bytes) -> int:
    return -(-_number(told, 14) // 8)


def _number(told: bytes, at: int) -> int:
    return int.from_bytes(told[at : at + 2], "little")
