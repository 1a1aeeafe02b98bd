"""Measures recordings in whole, started seconds; refuses to listen to them.

The first that applies: the directive `audio_seconds`; the header of a WAV file; a number before the
word "seconds" or after "seconds=" in the name or URL ("talk-42-seconds.mp3", "?seconds=42"); one
second for each 16,000 bytes (128 kbit/s). A recording behind a URL is never fetched: without a hint
it has 10 seconds. None is shorter than one.
"""

import base64
import binascii
import io
import re
import wave
from typing import Any

from aisuru_mistral.simulator.routing import Call

BYTES_PER_SECOND = 16_000
SECONDS_BEHIND_A_URL = 10
_HINT = re.compile(r"(\d{1,6})[-_ ]?seconds|seconds=(\d{1,6})", re.ASCII)


def seconds_of(call: Call, name: str, data: bytes | None) -> int:
    """Length of a recording with this name or URL; `data` is None when it is elsewhere."""
    if call.directives.audio_seconds is not None:
        return call.directives.audio_seconds
    measured = _wave_seconds(data) if data is not None else None
    if measured is not None:
        return measured
    hint = _HINT.search(name)
    if hint is not None:
        return max(1, int(hint[1] or hint[2]))
    return SECONDS_BEHIND_A_URL if data is None else max(1, -(-len(data) // BYTES_PER_SECOND))


def seconds_in_chat(call: Call, messages: list[dict[str, Any]]) -> int:
    """Length of all the recordings in a chat's messages."""
    return sum(
        _chunk_seconds(call, chunk["input_audio"])
        for message in messages
        if isinstance(message.get("content"), list)
        for chunk in message["content"]
        if chunk.get("type") == "input_audio"
    )


def _chunk_seconds(call: Call, given: str) -> int:
    if given.startswith(("http://", "https://")):
        return seconds_of(call, given, None)
    try:
        data = base64.b64decode(given.rpartition(",")[2], validate=True)
    except binascii.Error:
        data = given.encode()
    return seconds_of(call, "", data)


def _wave_seconds(data: bytes) -> int | None:
    if data[:4] != b"RIFF":
        return None
    try:
        with wave.open(io.BytesIO(data)) as recording:
            # A header written before the end was known claims gigabytes.
            there = len(data) // (recording.getnchannels() * recording.getsampwidth())
            frames = min(int(recording.getnframes()), there)
            return max(1, int(-(-frames // recording.getframerate())))
    except (wave.Error, EOFError, ZeroDivisionError):
        return None
