"""Recordings in conversations: later turns read them again, and so are held for them."""

import base64

import pytest

from tests.gateway import tenancy
from tests.gateway.tenancy import Tenant, post
from tests.gateway.test_metering import streaming
from tests.gateway.test_transcriptions import recording
from tests.mistral.far_side import answering

TALKS = "/v1/conversations"


def said(seconds: int, width: int = 1, **more: object) -> dict[str, object]:
    """A turn with so long a recording, of samples of so many bytes, or with none."""
    part: dict[str, object] = {"type": "text", "text": "Hello"}
    if seconds:
        sound = base64.b64encode(recording(seconds - 0.5, width)).decode()
        part = {"type": "input_audio", "input_audio": sound}
    return {"inputs": [{"role": "user", "content": [part]}], **more}


@pytest.fixture
def tenant(made_up) -> Tenant:
    return tenancy.make(made_up, mistral_model="voxtral-small-latest")


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_turn_is_held_for_all_that_was_heard_before(scripted, tenant, is_stream):
    """What Mistral does not tell is billed as it was held."""

    def turn(path: str, conversation: str, body: dict[str, object]) -> int:
        answered = {"conversation_id": conversation, "outputs": []}
        scripted.script = (streaming if is_stream else answering)(200, answered)
        before = len(tenant.events())
        answer = post(scripted.url, tenant, path, {**body, "stream": is_stream})
        assert answer.is_success, answer.text
        (event,) = tenant.settled(before + 1)[before:]
        heard: int = event.audio_seconds
        return heard

    assert turn(TALKS, "conv-1", said(3)) == 3
    assert turn(f"{TALKS}/conv-1", "conv-1", said(0)) == 3
    assert turn(f"{TALKS}/conv-1", "conv-1", said(5)) == 8
    assert turn(f"{TALKS}/conv-1", "conv-1", said(0)) == 8
    assert turn(f"{TALKS}/conv-1", "conv-1", said(7, store=False)) == 15
    assert turn(f"{TALKS}/conv-1/restart", "conv-2", said(2)) == 10
    assert turn(f"{TALKS}/conv-1", "conv-1", said(0)) == 8
    assert turn(f"{TALKS}/conv-2", "conv-2", said(0)) == 10


@pytest.mark.parametrize("usage", [None, {"total_tokens": 30}])
def test_an_estimate_counts_what_recordings_last_and_not_what_was_held(scripted, tenant, usage):
    text = {"outputs": [{"type": "message.output", "content": "x"}], "usage": usage}
    scripted.script = answering(200, {"conversation_id": "conv-4", **text})
    for path, body in (
        (TALKS, said(3)),
        (f"{TALKS}/conv-4", said(5, width=2)),  # held at a second for each 32 bytes
        ("/v1/chat/completions", {"messages": said(7, width=2)["inputs"]}),
    ):
        assert post(scripted.url, tenant, path, body).is_success
    events = tenant.settled(3)
    assert [event.audio_seconds for event in events] == [3, 8, 7]
    assert {event.estimate for event in events} == {"usage_missing"}


def test_what_mistral_refused_was_not_heard(scripted, tenant):
    answered = {"conversation_id": "conv-3", "outputs": []}
    scripted.script = answering(200, answered)
    assert post(scripted.url, tenant, TALKS, said(0)).is_success
    scripted.script = answering(422, {"detail": "no"})
    assert post(scripted.url, tenant, f"{TALKS}/conv-3", said(5)).status_code == 422
    scripted.script = answering(200, answered)
    assert post(scripted.url, tenant, f"{TALKS}/conv-3", said(0)).is_success
    assert [event.audio_seconds for event in tenant.settled(3)] == [0, 0, 0]
