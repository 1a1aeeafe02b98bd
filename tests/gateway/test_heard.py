"""Recordings in conversations: later turns read them again, and so are held for them."""

import base64

import pytest

from tests.gateway import tenancy
from tests.gateway.tenancy import Tenant, post
from tests.gateway.test_metering import streaming
from tests.gateway.test_transcriptions import recording
from tests.mistral.far_side import answering

TALKS = "/v1/conversations"


def said(seconds: int, **more: object) -> dict[str, object]:
    """A turn with so long a recording, or with none."""
    part: dict[str, object] = {"type": "text", "text": "Hello"}
    if seconds:
        sound = base64.b64encode(recording(seconds - 0.5)).decode()
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


def test_what_mistral_refused_was_not_heard(scripted, tenant):
    answered = {"conversation_id": "conv-3", "outputs": []}
    scripted.script = answering(200, answered)
    assert post(scripted.url, tenant, TALKS, said(0)).is_success
    scripted.script = answering(422, {"detail": "no"})
    assert post(scripted.url, tenant, f"{TALKS}/conv-3", said(5)).status_code == 422
    scripted.script = answering(200, answered)
    assert post(scripted.url, tenant, f"{TALKS}/conv-3", said(0)).is_success
    assert [event.audio_seconds for event in tenant.settled(3)] == [0, 0, 0]
