"""A key service that is away, and master keys that are lost: told apart, and nothing half-done."""

from dataclasses import dataclass
from unittest import mock

import pytest

from aisuru_mistral import wishes
from tenants.common import scope
from tenants.common.problems import Conflict, Unavailable
from tenants.common.secrets import Secret
from tenants.common.tokens import digest
from tenants.gateway import calls
from tenants.gateway.snapshots import Picture
from tenants.keys import auditing, doubting, validation
from tenants.keys.judgement import Finding
from tenants.keys.models import KeyStatus, MistralKey, VerdictCode
from tenants.organizations import walking
from tenants.organizations.models import Organization
from tenants.registry.services import rotate_token
from tenants.vault.distant import OPENED_SECONDS, Distant
from tenants.vault.keyring import Keyring
from tenants.vault.keyring import keyring as own_keyring
from tenants.vault.transit import Token, TransitKey
from tests.api.callers import organization_caller
from tests.api.world import World, everything, made_up_key, world
from tests.factories import ACTOR
from tests.keys.keyring import seconds_until, set_back
from tests.vault.rings import forget, ring_of, some_key
from tests.vault.vault_server import KEY, TOKEN, VaultServer


@pytest.fixture
def use_ring(monkeypatch):
    """Put a keyring in place of the process's own."""

    def use(ring: Keyring) -> None:
        for user in ("envelope", "intake"):
            monkeypatch.setattr(f"tenants.vault.{user}.keyring", lambda: ring)

    yield use
    forget("v1", "other")


class Clock:
    """What the way to a Vault knows of time."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Served:
    """A Vault whose key wraps what is new, and the clock of the way to it."""

    vault: VaultServer
    clock: Clock


@pytest.fixture
def served(use_ring):
    with VaultServer() as server:
        transit = TransitKey(server.address, KEY, Token(Secret(TOKEN)))
        clock = Clock()
        door = Distant(transit, "v1", pause=0, clock=clock)
        use_ring(Keyring({"v1": door, **own_keyring()._keys}))
        yield Served(server, clock)
        transit.close()


def made_due(key: MistralKey) -> None:
    with scope.tenant(key.organization_id):
        MistralKey.objects.filter(pk=key.pk).update(
            next_check_at="2020-01-01T00:00Z", claim=None, held_until=None
        )


def fresh(key: MistralKey) -> MistralKey:
    with scope.tenant(key.organization_id):
        return MistralKey.objects.get(pk=key.pk)


def audited(hers: World) -> set[object]:
    """Audit her organization, and walk past those of other tests."""
    with mock.patch.object(walking, "organization_ids", return_value=[hers.organization.pk]):
        return {key_id for _organization_id, key_id in auditing.find_unopened()}


def test_while_the_key_service_is_away_nothing_is_half_done_and_reading_goes_on(served, platform):
    hers = world()
    alice = organization_caller(hers.organization)
    place, key = f"workspaces/{hers.workspace.pk}/keys", f"keys/{hers.key.pk}"
    token = rotate_token(actor=ACTOR, model=hers.model).reveal()
    with served.vault.feeling("sealed"):
        assert calls.borrow_key(picture_of(token)), "what is open stays open for seconds"
        served.clock.now += OPENED_SECONDS
        before, organizations = everything(hers.organization.pk), count_organizations()
        for answer in (
            alice.post(place, {"key": made_up_key()}),
            alice.post(f"{key}/versions", {"key": made_up_key()}),
            alice.post(f"{key}/versions", {"key": made_up_key(), "grace_seconds": 60}),
            platform.post("organizations", {"name": "Verdi", "owner_email": "v@verdi.example"}),
        ):
            assert (answer.status, answer.code) == (503, "vault_unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
        made_due(hers.key)
        due = fresh(hers.key)
        with pytest.raises(Unavailable):
            validation.validate(hers.organization.pk, hers.key.pk)
        assert fresh(hers.key).__dict__ | {"_state": 0} == due.__dict__ | {"_state": 0}
        assert audited(hers) == set(), "nobody knows, so nothing is called lost"
        with pytest.raises(Unavailable) as refusal:
            calls.borrow_key(picture_of(token))
        assert refusal.value.code == "vault_unavailable"
        assert alice.get(place).status == alice.get(key).status == 200
        assert alice.get(key).body["status"] == "valid"
        assert alice.patch(key, {"name": "Altra"}).status == 200
        after = everything(hers.organization.pk)
        changed = {table for table in before if before[table] != after[table]}
        trail = {f"organizations_audit{part}" for part in ("event", "link", "head")}
        assert changed == {"keys_mistralkey", *trail}, "the new name, no more"
        assert count_organizations() == organizations
    assert calls.borrow_key(picture_of(token))
    assert alice.post(place, {"key": made_up_key()}).status == 202
    assert alice.delete(f"{key}?force=true").status in {200, 204}


def picture_of(token: str) -> Picture:
    picture = calls.load_opened(digest(token))
    assert picture is not None
    return picture


def count_organizations() -> int:
    with scope.platform():
        return Organization.objects.count()


def test_keys_whose_master_key_is_lost_are_undecryptable_until_it_comes_back(
    use_ring, hers, alice, monkeypatch
):
    token = rotate_token(actor=ACTOR, model=hers.model).reveal()
    before = own_keyring()
    use_ring(ring_of(some_key("other")))
    set_back(hers.key, checked_at=doubting.PAUSE + 1, next_check_at=-3600)
    assert seconds_until(fresh(hers.key).next_check_at) > 0
    with pytest.raises(Conflict) as refusal:
        calls.borrow_key(picture_of(token))
    assert refusal.value.members["reason"] == "key_undecryptable", "at once, before any check"
    assert seconds_until(fresh(hers.key).next_check_at) <= 0, "which is due by it"
    assert audited(hers) == {hers.key.pk}
    validation.validate(hers.organization.pk, hers.key.pk)
    place, key = f"workspaces/{hers.workspace.pk}/keys", f"keys/{hers.key.pk}"
    (listed,) = alice.get(place).body["results"]
    shown = alice.get(key).body
    assert listed["status"] == shown["status"] == "undecryptable"
    assert shown["verdict"]["code"] == "undecryptable"
    assert shown["verdict"]["next_step"]
    model = alice.get(f"models/{hers.model.pk}").body
    assert (model["status"], model["blocked_reason"]) == ("blocked", "key_undecryptable")
    assert alice.patch(key, {"name": "Ancora"}).status == 200
    assert alice.post(place, {"key": made_up_key()}).code == "vault_unavailable"
    assert audited(hers) == set(), "what is known is not told again"

    use_ring(before)
    assert audited(hers) == {hers.key.pk}, "and what opens again is found too"
    monkeypatch.setattr(validation, "_ask", lambda *_: answered_well())
    validation.validate(hers.organization.pk, hers.key.pk)
    assert alice.get(key).body["status"] == KeyStatus.VALID
    assert calls.borrow_key(picture_of(token))


def answered_well():
    return Finding(VerdictCode.OK, http_status=200)


def test_a_master_key_in_use_that_the_ring_lacks_makes_the_service_degraded(nobody, hers, settings):
    wishes._missing_master_keys.cache_clear()
    assert nobody.get("/health/ready").body == {"status": "ready", "failing": []}
    ((_name, key),) = settings.ENCRYPTION_KEYRING
    settings.ENCRYPTION_KEYRING = (("another", key),)
    wishes._missing_master_keys.cache_clear()
    answer = nobody.get("/health/ready")
    assert (answer.status, answer.body["degraded"]) == (200, ["keyring"])
    wishes._missing_master_keys.cache_clear()
