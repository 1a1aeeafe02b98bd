"""The leak tripwire in the gateway: masked on the way, told to the owner, silent to strangers."""

import json

import pytest

from tenants.common import scope
from tenants.common.tokens import TokenKind, mint
from tenants.organizations.models import Announcement, AuditEvent
from tests.factories import default_workspace
from tests.gateway.tenancy import ask, eventually, post, question
from tests.keys.keyring import registered
from tests.mistral.far_side import answering


def told(organization) -> list[tuple[str, str, bool]]:
    """What an organization was told, and that each has its audit row."""
    with scope.tenant(organization.id, snapshot=True):
        rows = list(Announcement.objects.filter(kind__endswith=".leaked").order_by("id"))
        verbs = list(
            AuditEvent.objects.filter(verb__endswith=".leaked").values_list("verb", flat=True)
        )
    assert sorted(verbs) == sorted(row.kind for row in rows)
    return [(row.kind, row.data["place"], row.data["masked"]) for row in rows]


def said(text: str) -> dict[str, object]:
    return {"choices": [{"message": {"role": "assistant", "content": text}}], "usage": {}}


def test_a_key_in_a_prompt_does_not_leave_and_is_told_once_a_day(scripted, tenant):
    scripted.script = answering(200, said("Ciao"))
    token = mint(TokenKind.ORGANIZATION).reveal()
    text = f"la chiave:\n{tenant.plain}\nil token è {token}, grazie"
    for _ in range(2):
        assert ask(scripted.url, tenant, **question(text)).is_success
        sent = json.loads(scripted.received.body)
        assert sent["messages"][0]["content"] == "la chiave:\n****\nil token è ****, grazie"
    assert told(tenant.organization) == [
        ("token.leaked", "gateway_prompt", True),
        ("key.leaked", "gateway_prompt", True),
    ]
    assert tenant.plain not in scripted.gateway.log
    assert token not in scripted.gateway.log


def test_a_key_in_a_conversation_does_not_leave_either(scripted, tenant):
    answered = {"conversation_id": "conv_1", "outputs": [], "usage": {}}
    scripted.script = answering(200, answered)
    body = {"model": "mistral-small-latest", "inputs": f"la chiave: {tenant.plain}"}
    assert post(scripted.url, tenant, "/v1/conversations", body).is_success
    assert json.loads(scripted.received.body)["inputs"] == "la chiave: ****"
    assert told(tenant.organization) == [("key.leaked", "gateway_prompt", True)]


def test_a_prompt_without_a_secret_goes_on_byte_for_byte(scripted, tenant):
    scripted.script = answering(200, said("Ciao"))
    innocent = "d41d8cd98f00b204e9800998ecf8427e KcVfPq9sWm2hBt6xRj4yNd8gLz5vTa3Q aim_org_x " * 3
    asked = question(innocent, model="mistral-small-latest")
    ask(scripted.url, tenant, **asked)
    assert json.loads(scripted.received.body) == asked
    assert told(tenant.organization) == []


def test_a_key_of_another_organization_is_not_betrayed_and_its_owner_is_told(
    scripted, tenant, stranger, made_up
):
    theirs = made_up()
    registered(default_workspace(stranger), theirs)
    scripted.script = answering(200, said("Ciao"))
    ask(scripted.url, tenant, **question(f"ho trovato {theirs}"))
    assert theirs in json.loads(scripted.received.body)["messages"][0]["content"]
    assert told(stranger) == [("key.leaked", "gateway_prompt", False)]
    assert told(tenant.organization) == []


def test_another_key_of_the_organization_in_an_answer_is_masked(scripted, tenant, made_up):
    other = made_up()
    registered(tenant.workspace, other)
    scripted.script = answering(200, said(f"eccola: {other}."))
    answer = ask(scripted.url, tenant)
    assert answer.json()["choices"][0]["message"]["content"] == "eccola: ****."
    assert told(tenant.organization) == [("key.leaked", "gateway_answer", True)]


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def events(*texts: str) -> bytes:
    written = [json.dumps({"choices": [{"delta": {"content": text}}]}) for text in texts]
    return b"".join(f"data: {event}\n\n".encode() for event in written) + b"data: [DONE]\n\n"


@pytest.mark.parametrize("cut", [32, 5, 1])
def test_a_key_in_a_stream_is_masked_in_one_piece_and_told_in_pieces(
    scripted, tenant, made_up, cut
):
    other = made_up()
    registered(tenant.workspace, other)
    pieces = ["chiave: ", *(other[at : at + cut] for at in range(0, 32, cut)), ' "fine"']

    def script(_request, connection) -> None:
        connection.sendall(HEAD + events(*pieces))
        connection.close()

    scripted.script = script
    answer = ask(scripted.url, tenant, stream=True)
    assert "fine" in answer.text
    assert (other in answer.text) is False
    assert ("****" in answer.text) == (cut == 32)
    eventually(lambda: told(tenant.organization))  # what was spelt out is judged at the end
    assert told(tenant.organization) == [("key.leaked", "gateway_answer", cut == 32)]
