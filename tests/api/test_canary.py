"""One canary key down every path that refuses, fails or succeeds; afterwards it is nowhere.

Looked through are all answers, all log records, the metrics, every row of every table and queue,
and every exception with the locals of its frames.
"""

import logging
import traceback

import pytest
from django.core.signals import got_request_exception

from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.keys import auditing, tasks, validation
from tenants.keys.models import MistralKey
from tenants.organizations import data_key_rotation
from tenants.vault import envelope
from tenants.vault.distant import Distant, KeyringUnavailableError
from tenants.vault.keyring import Keyring
from tenants.vault.keyring import keyring as own_keyring
from tenants.vault.transit import Token, TransitKey
from tests.api.callers import Caller, organization_caller
from tests.factories import ACTOR
from tests.keys.conftest import _timing, made_up, mistral
from tests.keys.keyring import name_of, set_back
from tests.keys.test_secrecy import assert_absent, everything_stored, our_frames
from tests.vault.rings import forget
from tests.vault.vault_server import KEY, TOKEN, VaultServer

__all__ = ["_timing", "made_up", "mistral"]


@pytest.fixture
def heard(caplog):
    """Everything that anybody logs, and every exception that leaves a view."""
    caplog.set_level(logging.DEBUG)
    failures: list[str] = []

    def keep(**_: object) -> None:
        failures.append(traceback.format_exc())

    got_request_exception.connect(keep)
    yield lambda: [caplog.text, *(str(vars(one)) for one in caplog.records), *failures]
    got_request_exception.disconnect(keep)


@pytest.fixture
def canary(made_up):
    """A key that Mistral knows and that must be nowhere."""
    return made_up()


@pytest.fixture
def callers(organization, stranger) -> tuple[Caller, Caller]:
    """A script of Alice's, and one of somebody else's."""
    return organization_caller(organization), organization_caller(stranger)


def test_the_canary_is_nowhere(callers, workspace, canary, mistral, heard):
    organization_id = workspace.organization_id
    alice, charlie = callers
    told = [*every_refusal(alice, charlie, workspace, canary)]
    key = alice.post(
        f"workspaces/{workspace.pk}/keys",
        {"name": f"canarino {canary}", "key": f" Bearer {canary} "},
        {"Idempotency-Key": "one"},
    )
    assert key.status == 202, key.raw
    again = alice.post(
        f"workspaces/{workspace.pk}/keys",
        {"name": f"canarino {canary}", "key": f" Bearer {canary} "},
        {"Idempotency-Key": "one"},
    )
    assert again.headers["Idempotent-Replayed"] == "true"
    told += [key.raw, again.raw]
    told += [*every_verdict(alice, key.body["id"], canary, mistral, organization_id)]
    frames = every_fault_of_the_vault(workspace, canary)
    told += [
        alice.patch(f"keys/{key.body['id']}", {"name": f"ora {canary}"}).raw,
        alice.delete(f"keys/{key.body['id']}").raw,
        Caller().get("/metrics").raw,
    ]
    stored = everything_stored()
    assert key.body["id"] in stored
    assert "keys.validate" in stored, "the queue is among the tables"
    texts = [one.decode(errors="replace") for one in told]
    assert_absent(canary, stored, *texts, *frames, *heard())


def every_refusal(alice: Caller, charlie: Caller, workspace, canary: str):
    """Send the canary where it does not belong, and where it is refused."""
    place = f"workspaces/{workspace.pk}/keys"
    for caller in (alice, charlie, Caller()):
        yield caller.post(place, {"nome": canary, canary: 1}).raw
        yield caller.post(place, {"key": canary + "\0"}).raw
        yield caller.post(place, {"key": [canary]}).raw
        yield caller.post(place, {"key": canary, "expires_on": canary}).raw
        yield caller.post(place, {"sealed_key": {"ciphertext": canary}}).raw
        yield caller.post(place, {"key": canary, "workspace_id": canary}).raw
        yield caller.send("POST", place, f'{{"key": "{canary}"'.encode()).raw
        yield caller.send("POST", place, f"key={canary}".encode(), content_type="text/plain").raw
        yield caller.post(place, {"key": "x"}, {"Idempotency-Key": f"\t{canary}"}).raw
        yield caller.get(f"{place}?status={canary}").raw
        yield caller.get(f"{place}?cursor={canary}").raw
        yield caller.get(f"keys/{canary}").raw
    yield Caller(canary).get(place).raw
    yield Caller(f"aim_org_{canary}").get(place).raw


def every_verdict(alice: Caller, key_id: str, canary: str, mistral, organization_id):
    """Let Mistral fail in every way it has, some of which quote the key."""
    for error in (
        "unauthorized_quoting_key",
        "bad_arguments_quoting_key",
        "billing_inactive",
        "service_unavailable",
        "garbage",
        None,
    ):
        behaviour = {"error": error} if error else {}
        mistral.state.change(name_of(canary), behaviour=behaviour)
        with scope.tenant(organization_id):
            key = MistralKey.objects.get(pk=key_id)
        set_back(key, next_check_at=1, secret_at=600)
        validation.validate(key.organization_id, key.pk)
        answer = alice.get(f"keys/{key_id}")
        assert answer.body["verdict"], error
        yield answer.raw
        yield alice.post(f"keys/{key_id}/validate").raw
    assert answer.body["status"] == "valid", "the canary was really sent"


def every_fault_of_the_vault(workspace, canary: str) -> list[str]:
    """Break the vault under sealing, opening, auditing and rotating; give the frames of it all."""
    frames: list[str] = []
    organization_id = workspace.organization_id
    place = envelope.Place(organization_id, workspace.pk, workspace.pk, "mistral-key", 1)
    key_place = envelope.Place(organization_id, None, organization_id, "data-key", 1)
    before = own_keyring
    with VaultServer() as server:
        transit = TransitKey(server.address, KEY, Token(Secret(TOKEN)))
        door = Distant(transit, "v1", opened=0, pause=0)
        ring = Keyring({"v1": door, **own_keyring()._keys})
        setattr(envelope, "keyring", lambda: ring)  # noqa: B010 - a stand-in for a cached function
        try:
            data_key = envelope.new_data_key(key_place)
            for mood in ("sealed", "broken", "garbage", "page", "empty"):
                with server.feeling(mood), pytest.raises(KeyringUnavailableError) as fault:
                    envelope.seal(
                        Secret(canary), data_key=data_key, data_key_place=key_place, place=place
                    )
                frames += [our_frames(fault.value), repr(fault.value), str(vars(fault.value))]
        finally:
            setattr(envelope, "keyring", before)  # noqa: B010
            transit.close()
            forget("v1")
    auditing.find_unopened()
    tasks.audit_custody()
    data_key_rotation.rotate(organization_id, actor=ACTOR)
    return frames
