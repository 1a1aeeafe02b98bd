"""POST /v1/audio/transcriptions: a made-up transcript; refuses to fetch a recording.

How long a recording is is written in audio.py. The transcript has one token for each second, a
segment is five seconds. `usage`: `prompt_audio_seconds`, 4 prompt tokens, the transcript's tokens,
their sum. Mistral bills the seconds only; so does the ledger, where the tokens are counted too.
"""

from collections.abc import Iterator
from typing import Any

from aisuru_mistral.simulator import audio
from aisuru_mistral.simulator.admission import admitted_model
from aisuru_mistral.simulator.completions import pieces
from aisuru_mistral.simulator.directives import Usage
from aisuru_mistral.simulator.ledger import Line
from aisuru_mistral.simulator.multipart import Upload
from aisuru_mistral.simulator.resources import invalid, missing
from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.text import prose_of, seed_of
from aisuru_mistral.simulator.validation import (
    REQUIRED,
    anything,
    boolean,
    nullable,
    number,
    record,
    string,
)
from aisuru_mistral.simulator.wire import Reply, StreamReply, json_reply, named_event

PROMPT_TOKENS = 4
SEGMENT_SECONDS = 5
LONGEST_TRANSCRIPT = 10_000

BODY = record(
    {
        "model": (string, REQUIRED),
        "file": (anything, None),
        "file_url": (nullable(string), None),
        "file_id": (nullable(string), None),
        "language": (nullable(string), None),
        "temperature": (nullable(number()), None),
        "stream": (boolean, False),
        "diarize": (boolean, False),
        "context_bias": (anything, None),
        "timestamp_granularities": (anything, None),
    },
    extra=True,
)


def transcribe(call: Call) -> Reply | StreamReply:
    """Write down what is said."""
    body = call.body
    model = admitted_model(call, body["model"], "audio_transcription")
    if isinstance(model, Reply):
        return model
    seconds = _seconds(call, body)
    if isinstance(seconds, Reply):
        return seconds
    dictated = call.directives.usage or Usage()
    text = prose_of(seed_of(body["model"], str(seconds)), min(seconds, LONGEST_TRANSCRIPT)).strip()
    words = -(-len(text) // 4)
    prompt = PROMPT_TOKENS if dictated.prompt is None else dictated.prompt
    completion = words if dictated.completion is None else dictated.completion
    line = call.line(model.id)
    line.calls += 1
    line.audio_seconds += seconds
    line.prompt_tokens += prompt
    transcript = {
        "model": body["model"],
        "text": text,
        "language": body.get("language"),
        "segments": _segments(body, text, seconds),
        "usage": {
            "prompt_audio_seconds": seconds,
            "prompt_tokens": prompt,
            "total_tokens": prompt + completion,
            "completion_tokens": completion,
        },
    }
    call.use(prompt + completion)
    if body["stream"]:
        return StreamReply(_events(call, line, transcript, words))
    line.completion_tokens += completion
    reply = json_reply(200, transcript)
    reply.headers = call.state.rate_limits.headers(call.key, prompt + completion)
    return reply


def _seconds(call: Call, body: dict[str, Any]) -> int | Reply:
    upload = body.get("file")
    if isinstance(upload, Upload):
        return audio.seconds_of(call, upload.name, upload.data)
    if body.get("file_id"):
        file = call.state.files.find(call.key, body["file_id"])
        if file is None:
            return missing("File", body["file_id"])
        return audio.seconds_of(call, file.name, file.data)
    if body.get("file_url"):
        return audio.seconds_of(call, body["file_url"], None)
    return invalid("One of file, file_url or file_id is required")


def _segments(body: dict[str, Any], text: str, seconds: int) -> list[dict[str, Any]]:
    if not body.get("timestamp_granularities") and not body["diarize"]:
        return []
    return [
        {
            "type": "transcription_segment",
            "text": piece,
            "start": float(at * SEGMENT_SECONDS),
            "end": float(min((at + 1) * SEGMENT_SECONDS, seconds)),
            "score": None,
            "speaker_id": f"speaker_{at % 2}" if body["diarize"] else None,
        }
        for at, (piece, _) in enumerate(pieces(text, SEGMENT_SECONDS))
    ]


def _events(
    call: Call, line: Line, transcript: dict[str, Any], words: int
) -> Iterator[tuple[bytes, int]]:
    """The transcript piece by piece; each is billed when it is taken."""
    done = {**transcript, "type": "transcription.done"}
    if transcript["language"]:
        yield _event("transcription.language", audio_language=transcript["language"]), 0
    for piece, tokens in pieces(transcript["text"], call.directives.chunk_tokens or 1):
        line.completion_tokens += tokens
        yield _event("transcription.text.delta", text=piece), tokens
    for segment in transcript["segments"]:
        shown = {name: segment[name] for name in ("text", "start", "end", "speaker_id")}
        yield _event("transcription.segment", **shown), 0
    line.completion_tokens += done["usage"]["completion_tokens"] - words
    if call.directives.omit_usage:
        del done["usage"]
    yield named_event("transcription.done", done), 0


def _event(kind: str, **fields: Any) -> bytes:
    return named_event(kind, {"type": kind, **fields})


ROUTES = (
    Route(
        "POST",
        "/v1/audio/transcriptions",
        transcribe,
        "inference",
        schema=BODY,
        multipart=True,
    ),
)
