"""Recordings: forms handed on as they come, in any order of fields; billed by the second."""

import io
import wave

import httpx
import pytest
from mistralai.client import Mistral
from mistralai.client.errors import MistralError
from openai import OpenAI

from tests.gateway import tenancy
from tests.gateway.differential import Pair, events_of
from tests.mistral.far_side import answering

MODEL = "voxtral-mini-latest"
PATH = "/v1/audio/transcriptions"


def recording(seconds: float, width: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(width)
        out.setframerate(8000)
        out.writeframes(bytes(int(8000 * seconds) * width))
    return file.getvalue()


def form(*parts: tuple[str, bytes], boundary: bytes = b"b") -> bytes:
    """A form in exactly this order; a name with a dot is a file."""
    written = b""
    for name, value in parts:
        field, _, file = name.partition("=")
        extra = f'; filename="{file}"'.encode() if file else b""
        written += b'--%b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (
            boundary,
            field.encode(),
            extra,
            value,
        )
    return written + b"--%b--\r\n" % boundary


def send(url, token, body) -> httpx.Response:
    headers = {
        "authorization": f"Bearer {token}",
        "content-type": "multipart/form-data; boundary=b",
    }
    return httpx.post(f"{url}{PATH}", content=body, headers=headers, trust_env=False, timeout=30)


@pytest.fixture
def both(gateway, mistral, made_up):
    return Pair(gateway, mistral, made_up, MODEL)


@pytest.mark.parametrize("stream", [False, True])
def test_a_recording_has_mistrals_transcript_and_costs_its_seconds(both, stream):
    both.same(
        PATH,
        files={"file": ("hello.wav", recording(6.2))},
        data={"model": MODEL, "stream": str(stream).lower()},
    )
    event = both.billed()
    assert (event.audio_seconds, event.prompt_tokens, event.category) == (7, 0, "audio")
    assert (event.estimate, event.excess) == ("", 0)


def test_the_sdks_transcribe(gateway, made_up):
    tenant = tenancy.make(made_up, mistral_model=MODEL)
    with Mistral(api_key=tenant.token, server_url=gateway.url) as client:
        file = {"file_name": "a.wav", "content": recording(3)}
        assert client.audio.transcriptions.complete(model=MODEL, file=file).text
        with client.audio.transcriptions.stream(model=MODEL, file=file) as stream:
            assert list(stream)[-1].data.usage.prompt_audio_seconds == 3
    with OpenAI(api_key=tenant.token, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        answer = client.audio.transcriptions.create(model=MODEL, file=("a.wav", recording(4)))
        assert answer.text
    assert [event.audio_seconds for event in tenant.settled(3)] == [3, 3, 4]


def test_the_sdk_transcribes_what_is_elsewhere(gateway, mistral, made_up):
    """Without a file it sends another kind of form."""
    tenant = tenancy.make(made_up, mistral_model=MODEL)
    address = "https://example.org/talk-42-seconds.mp3"
    with Mistral(api_key=tenant.token, server_url=gateway.url) as client:
        audio = client.audio.transcriptions
        assert audio.complete(model=MODEL, file_url=address).text
        assert audio.complete(model=tenant.model.name, file_url=address, language="it").text
        upload = {"file_name": "a.wav", "content": recording(3)}
        file = client.files.upload(file=upload, purpose="ocr")
        assert audio.complete(model=MODEL, file_id=file.id).text
        for other in ("of-others", "a\0b"):
            with pytest.raises(MistralError) as refused:
                audio.complete(model=MODEL, file_id=other)
            assert refused.value.status_code == 404
    seconds = [event.audio_seconds for event in tenant.settled(4)]
    assert sorted(seconds) == [0, 3, 42, 42]


@pytest.mark.parametrize(
    "body",
    [
        b"model=a&model=voxtral-mini-latest&file_url=x",
        b"file_id=a&file_%69d=b",
        b"file_url=a;file_id=b",
        b"file_url=\xe8",
        b"file_url",
        b"a=b&" * 300 + b"file_url=x",
    ],
)
def test_a_form_without_a_file_that_can_be_read_in_two_ways_is_refused(scripted, made_up, body):
    tenant = tenancy.make(made_up, mistral_model=MODEL)
    sent = len(scripted.far_side.requests)
    headers = tenant.headers | {"content-type": "application/x-www-form-urlencoded"}
    refused = httpx.post(
        f"{scripted.url}{PATH}", content=body, headers=headers, trust_env=False, timeout=30
    )
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_form")
    assert len(scripted.far_side.requests) == sent
    assert tenant.holds() == []


def test_a_form_without_a_file_goes_on_byte_for_byte(scripted, made_up):
    tenant = tenancy.make(made_up, mistral_model=MODEL)
    scripted.script = answering(200, {"text": "", "usage": {"prompt_audio_seconds": 2}})
    headers = tenant.headers | {"content-type": "application/x-www-form-urlencoded"}
    for sent, arrived in (
        (f"file_url=a%2Fb&model={MODEL}&context_bias=a&context_bias=b+c", None),
        ("file_url=a%2Fb", f"model={MODEL}&file_url=a%2Fb"),
        ("", f"model={MODEL}"),
    ):
        answer = httpx.post(
            f"{scripted.url}{PATH}", content=sent, headers=headers, trust_env=False, timeout=30
        )
        assert answer.status_code == 200
        assert scripted.received.body.decode() == (arrived or sent)


ORDERS = {
    "model first": [("model", MODEL.encode()), ("file=a.wav", recording(2))],
    "file first": [("file=a.wav", recording(2)), ("model", MODEL.encode())],
    "no model, file only": [("file=a.wav", recording(2))],
    "own name first": [("model", b"Assistente"), ("file=a.wav", recording(2))],
    "own name last": [("file=a.wav", recording(2)), ("model", b"Assistente"), ("language", b"it")],
    "file between": [
        ("language", b"it"),
        ("file=a.wav", recording(2)),
        ("model", MODEL.encode()),
        ("stream", b"true"),
    ],
}


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_fields_does_not_matter(gateway, made_up, order):
    tenant = tenancy.make(made_up, mistral_model=MODEL)
    answer = send(gateway.url, tenant.token, form(*ORDERS[order]))
    assert answer.is_success, answer.text
    assert events_of(answer.content) or answer.json()["model"] == MODEL
    assert tenant.settled()[0].audio_seconds == 2


def test_a_form_that_needs_no_change_arrives_as_it_was_sent(scripted, made_up):
    tenant = tenancy.make(made_up, mistral_model=MODEL)
    usage = {"prompt_audio_seconds": 2}
    scripted.script = answering(200, {"model": MODEL, "text": "x", "usage": usage})
    for order in ("model first", "file first"):
        body = form(*ORDERS[order])
        assert send(scripted.url, tenant.token, body).is_success
        assert scripted.received.body == body
        assert scripted.received.headers["content-type"] == "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        ([("model", b"voxtral-small-latest"), ("file=a", b"x")], 403, "model_not_allowed"),
        ([("file=a", b"x"), ("model", b"voxtral-small-latest")], 403, "model_not_allowed"),
        (
            [("model", MODEL.encode()), ("file=a", b"x" * 300_000), ("file_id", b"f1")],
            422,
            "field_too_late",
        ),
        ([("model", MODEL.encode()), ("model", b"voxtral-small-latest")], 400, "invalid_form"),
        ([("model", MODEL.encode()), ("file_id", b"f1")], 404, "resource_not_found"),
    ],
)
def test_what_would_be_another_call_does_not_reach_mistral_whole(
    scripted, made_up, parts, status, code
):
    tenant = tenancy.make(made_up, mistral_model=MODEL)
    scripted.script = answering(200, {"text": "x"})
    whole = len(scripted.far_side.requests)
    refused = send(scripted.url, tenant.token, form(*parts))
    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    assert len(scripted.far_side.requests) == whole
    assert {event.cost for event in tenant.settled(0)} <= {0}


@pytest.mark.parametrize(
    ("usage", "seconds", "estimate"),
    [
        ({"prompt_audio_seconds": 5}, 5, ""),
        ({"prompt_audio_seconds": 0}, 2, "usage_missing"),
        (None, 2, "usage_missing"),
    ],
)
def test_without_mistrals_seconds_those_of_the_recording_count(
    scripted, made_up, usage, seconds, estimate
):
    tenant = tenancy.make(made_up, mistral_model=MODEL)
    scripted.script = answering(200, {"model": MODEL, "text": "hello", "usage": usage})
    assert send(scripted.url, tenant.token, form(*ORDERS["model first"])).is_success
    (event,) = tenant.settled()
    assert (event.audio_seconds, event.estimate) == (seconds, estimate)


@pytest.mark.parametrize(
    ("file", "seconds"), [(recording(30, width=2), 30), (b"ID3\x03" + b"\0" * 9000, 10_800)]
)
def test_an_estimate_counts_what_a_recording_lasts_and_not_what_was_held(
    scripted, made_up, file, seconds
):
    tenant = tenancy.make(made_up, mistral_model=MODEL)
    scripted.script = answering(200, {"model": MODEL, "text": "hello"})
    body = form(("model", MODEL.encode()), ("file=a.wav", file))
    assert send(scripted.url, tenant.token, body).is_success
    (event,) = tenant.settled()
    assert (event.audio_seconds, event.estimate) == (seconds, "usage_missing")


def test_a_recording_that_says_how_long_it_is_holds_no_more_than_that(both):
    both.tenant.limit("0.01")
    files = {"file": ("hello.wav", recording(6))}
    through, _ = both.send(PATH, files=files, data={"model": MODEL})
    assert through.is_success
    elsewhere = {"model": (None, MODEL), "file_url": (None, "https://x.example/a.mp3")}
    through, _ = both.send(PATH, files=elsewhere)
    assert (through.status_code, through.json()["code"]) == (402, "spending_limit_reached")


def test_a_length_that_the_model_tells_of_itself_stays_true(gateway, mistral, made_up):
    tenant = tenancy.make(made_up, mistral_model=MODEL)

    def named(model: str) -> bytes:
        length = b'"\r\nContent-Length: %d\r\n\r\n' % len(model)
        body = form(("model", model.encode()), ("file=a.wav", recording(2)))
        return body.replace(b'"\r\n\r\n', length, 1)

    assert send(gateway.url, tenant.token, named(MODEL)).is_success
    refused = send(gateway.url, tenant.token, named(tenant.model.name))
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_form")
    assert MODEL in refused.json()["message"]
