"""POST /v1/audio/speech: silence of the right length; refuses empty texts.

A character lasts 40 ms; `wav` is a real WAV file, the other formats are the same samples without
its header. Billed by the characters (code points) of `input`. The stream ends with
`speech.audio.done`, whose usage counts the text's tokens and one completion token for each 80 ms.
"""

import base64
import io
import wave
from collections.abc import Iterator

from aisuru_mistral.simulator import schemas
from aisuru_mistral.simulator.admission import admitted_model
from aisuru_mistral.simulator.directives import Usage
from aisuru_mistral.simulator.resources import invalid
from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.tokens import count
from aisuru_mistral.simulator.validation import (
    REQUIRED,
    anything,
    boolean,
    mapping,
    nullable,
    one_of,
    record,
    string,
)
from aisuru_mistral.simulator.wire import Reply, StreamReply, json_reply, named_event

DEFAULT_MODEL = "voxtral-mini-tts-latest"
RATE = 8000
SAMPLES_PER_CHARACTER = RATE // 25
CHARACTERS_PER_TOKEN = 2
CHUNK_BYTES = 8192

BODY = record(
    {
        "model": (nullable(string), None),
        "metadata": (nullable(mapping), None),
        "stream": (boolean, False),
        "prompt_cache_key": schemas.OPTIONAL_STRING,
        "voice_id": (nullable(string), None),
        "ref_audio": (anything, None),
        "input": (string, REQUIRED),
        "response_format": (one_of("pcm", "wav", "mp3", "flac", "opus"), "mp3"),
    },
    extra=True,
)


def speak(call: Call) -> Reply | StreamReply:
    """Say the text."""
    body = call.body
    model = admitted_model(call, body.get("model") or DEFAULT_MODEL, "audio_speech")
    if isinstance(model, Reply):
        return model
    text = body["input"]
    if not text:
        return invalid("input must not be empty", param="input")
    dictated = call.directives.usage or Usage()
    prompt = count(text) if dictated.prompt is None else dictated.prompt
    completion = dictated.completion
    if completion is None:
        completion = -(-len(text) // CHARACTERS_PER_TOKEN)
    line = call.line(model.id)
    line.calls += 1
    line.characters += len(text)
    line.prompt_tokens += prompt
    line.completion_tokens += completion
    call.use(prompt + completion)
    sound = _sound(text, body["response_format"])
    if body["stream"]:
        usage = {
            "prompt_tokens": prompt,
            "total_tokens": prompt + completion,
            "completion_tokens": completion,
        }
        return StreamReply(_events(call, sound, usage))
    reply = json_reply(200, {"audio_data": base64.b64encode(sound).decode()})
    reply.headers = call.state.rate_limits.headers(call.key, prompt + completion)
    return reply


def _sound(text: str, response_format: str) -> bytes:
    samples = bytes([128]) * (len(text) * SAMPLES_PER_CHARACTER)
    if response_format != "wav":
        return samples
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(1)
        recording.setframerate(RATE)
        recording.writeframes(samples)
    return file.getvalue()


def _events(call: Call, sound: bytes, usage: dict[str, int]) -> Iterator[tuple[bytes, int]]:
    for at in range(0, len(sound), CHUNK_BYTES):
        data = base64.b64encode(sound[at : at + CHUNK_BYTES]).decode()
        kind = "speech.audio.delta"
        yield named_event(kind, {"type": kind, "audio_data": data}), 1
    done = {"type": "speech.audio.done", "usage": usage}
    if call.directives.omit_usage:
        del done["usage"]
    yield named_event("speech.audio.done", done), 0


ROUTES = (Route("POST", "/v1/audio/speech", speak, "inference", schema=BODY),)
