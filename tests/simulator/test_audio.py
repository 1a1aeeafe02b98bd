import base64
import io
import os
import wave
from decimal import Decimal

import pytest

from tests.simulator.conftest import CHAT
from tests.simulator.events import named_events
from tests.simulator.schema import check

TRANSCRIPTIONS = "/v1/audio/transcriptions"
SPEECH = "/v1/audio/speech"
VOXTRAL = {"model": "voxtral-mini-latest"}


def recording(seconds, rate=8000):
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(rate)
        written.writeframes(os.urandom(int(seconds * rate) * 2))
    return file.getvalue()


def transcribe(client, name="talk.wav", data=b"", **fields):
    return client.post(TRANSCRIPTIONS, data={**VOXTRAL, **fields}, files={"file": (name, data)})


@pytest.mark.parametrize(("length", "billed"), [(4.25, 5), (3, 3), (0.1, 1)])
def test_a_wave_file_lasts_as_long_as_its_header_says(simulator, alice, length, billed):
    answer = transcribe(alice, data=recording(length)).json()
    check(answer, "TranscriptionResponse")
    assert answer["usage"] == {
        "prompt_audio_seconds": billed,
        "prompt_tokens": 4,
        "total_tokens": 4 + -(-len(answer["text"]) // 4),
        "completion_tokens": -(-len(answer["text"]) // 4),
    }
    total = simulator.state.ledger.total(model="voxtral-mini-2602")
    assert (total.calls, total.audio_seconds) == (1, billed)
    assert total.usd == billed * Decimal("0.003") / 60


@pytest.mark.parametrize(
    ("name", "data", "seconds"),
    [
        ("talk-42-seconds.mp3", b"x", 42),
        ("talk.mp3?seconds=7", b"x", 7),
        ("talk.mp3", b"x" * 16_001, 2),
        ("talk.mp3", b"x", 1),
        ("broken.wav", b"RIFF....WAVE", 1),
        ("endless.wav", recording(2)[:40] + b"\xff" * 4 + b"\0" * 32_000, 3),
    ],
)
def test_other_recordings_are_as_long_as_their_name_or_size_says(alice, name, data, seconds):
    assert transcribe(alice, name, data).json()["usage"]["prompt_audio_seconds"] == seconds


def test_recordings_elsewhere_are_never_fetched(simulator, alice, as_key):
    def ask(client, **fields):
        form = {name: (None, value) for name, value in {**VOXTRAL, **fields}.items()}
        return client.post(TRANSCRIPTIONS, files=form)

    behind = ask(alice, file_url=f"{simulator.url}/talk-9-seconds.mp3")
    assert behind.json()["usage"]["prompt_audio_seconds"] == 9
    assert ask(alice, file_url="https://a.example/").json()["usage"]["prompt_audio_seconds"] == 10
    stored = alice.post("/v1/files", files={"file": ("a.wav", recording(6))}).json()["id"]
    assert ask(alice, file_id=stored).json()["usage"]["prompt_audio_seconds"] == 6
    assert ask(as_key("valid_other_workspace"), file_id=stored).status_code == 404
    assert ask(alice).status_code == 400
    assert {call.path for call in simulator.state.calls()} == {TRANSCRIPTIONS, "/v1/files"}


def test_a_transcript_streams_with_usage_at_the_end(simulator, alice):
    whole = transcribe(alice, "12-seconds.mp3", language="it").json()
    fields = {"stream": "true", "language": "it", "timestamp_granularities": "segment"}
    events = named_events(transcribe(alice, "12-seconds.mp3", **fields))
    for event in events:
        check(event, "TranscriptionStreamEvents")
    assert events[0]["event"] == "transcription.language"
    deltas = [event["data"]["text"] for event in events if event["event"].endswith("text.delta")]
    assert "".join(deltas) == whole["text"]
    segments = [event["data"] for event in events if event["event"] == "transcription.segment"]
    assert [(each["start"], each["end"]) for each in segments] == [(0, 5), (5, 10), (10, 12)]
    assert events[-1]["data"]["usage"] == whole["usage"]
    total = simulator.state.ledger.total()
    assert total.audio_seconds == 24
    assert total.completion_tokens == 2 * whole["usage"]["completion_tokens"]


def test_segments_can_name_speakers(alice):
    answer = transcribe(alice, "7-seconds.mp3", diarize="true").json()
    check(answer, "TranscriptionResponse")
    assert [each["speaker_id"] for each in answer["segments"]] == ["speaker_0", "speaker_1"]


def test_bodies_that_are_no_form_are_refused(simulator, alice):
    headers = {"content-type": "multipart/form-data; boundary=x"}
    for content, kind, status in (
        (b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\ncut", headers, 400),
        (b"", {"content-type": "multipart/form-data"}, 400),
        (b"--x\r\nno header\r\n\r\n1\r\n--x--\r\n", headers, 400),
        (b"{}", {"content-type": "application/json"}, 422),
    ):
        answer = alice.post(TRANSCRIPTIONS, content=content, headers=kind)
        assert answer.status_code == status
    assert simulator.state.ledger.lines() == []
    assert transcribe(alice, model="mistral-small-latest").json()["code"] == "1500"


def test_speech_is_billed_by_characters(simulator, alice):
    text = "Perché no?"
    answer = alice.post(SPEECH, json={"input": text, "response_format": "wav"}).json()
    check(answer, "SpeechResponse")
    with wave.open(io.BytesIO(base64.b64decode(answer["audio_data"]))) as spoken:
        assert spoken.getnframes() == len(text) * 320
    total = simulator.state.ledger.total(model="voxtral-mini-tts-2603")
    assert (total.calls, total.characters) == (1, 10)
    assert (total.usd, total.eur) == (Decimal("0.00016"), Decimal("0.0001"))


def test_speech_streams_with_usage_at_the_end(simulator, alice):
    body = {"model": "voxtral-mini-tts-latest", "input": "x" * 100, "response_format": "pcm"}
    whole = alice.post(SPEECH, json=body).json()["audio_data"]
    events = named_events(alice.post(SPEECH, json={**body, "stream": True}))
    for event in events:
        check(event, "SpeechStreamEvents")
    *deltas, done = events
    sound = b"".join(base64.b64decode(event["data"]["audio_data"]) for event in deltas)
    assert sound == base64.b64decode(whole)
    assert len(deltas) > 1
    usage = {"prompt_tokens": 25, "total_tokens": 75, "completion_tokens": 50}
    assert done["data"]["usage"] == usage
    assert simulator.state.ledger.total().characters == 200


def test_speech_refuses_nothing_to_say_and_other_models(simulator, alice):
    assert alice.post(SPEECH, json={"input": ""}).status_code == 400
    body = {"model": "mistral-small-latest", "input": "x"}
    assert alice.post(SPEECH, json=body).json()["code"] == "1500"
    assert simulator.state.ledger.lines() == []


def test_usage_can_be_left_out_of_audio_streams(alice):
    headers = {"x-sim-omit-usage": "1"}
    spoken = alice.post(SPEECH, json={"input": "x", "stream": True}, headers=headers)
    assert "usage" not in named_events(spoken)[-1]["data"]


def test_recordings_in_a_chat_are_measured(simulator, alice):
    def chat(*recordings):
        content = [{"type": "input_audio", "input_audio": each} for each in recordings]
        body = {
            "model": "voxtral-small-latest",
            "messages": [{"role": "user", "content": [*content, {"type": "text", "text": "?"}]}],
        }
        return alice.post(CHAT, json=body).json()

    packed = base64.b64encode(recording(2.5)).decode()
    answer = chat(packed, f"data:audio/wav;base64,{packed}", "https://a.example/5-seconds.wav")
    check(answer, "ChatCompletionResponse")
    assert answer["usage"]["prompt_audio_seconds"] == 3 + 3 + 5
    assert "prompt_audio_seconds" not in chat()["usage"]
    assert simulator.state.ledger.total(model="voxtral-small-2507").audio_seconds == 11
