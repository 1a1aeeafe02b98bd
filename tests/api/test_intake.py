"""Keys that come in sealed: opened once, for one purpose, in one place; by the documented bytes."""

import base64
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from tenants.accounting.models import AdminKey
from tenants.common import scope
from tenants.keys import custody
from tenants.keys.models import MistralKey, SpentEnvelope
from tenants.organizations import custody as organizations_custody
from tenants.organizations import intake_keys
from tenants.organizations.custody import Slot
from tenants.organizations.models import IntakeKey
from tests import factories, sealing
from tests.api.callers import organization_caller
from tests.api.world import made_up_key
from tests.postgres import owner_url


@pytest.fixture
def path(workspace) -> str:
    return f"workspaces/{workspace.pk}/keys"


@pytest.fixture
def sealed(alice, workspace):
    """Return a function that seals a key to be registered in Alice's workspace."""

    def seal(plain: str, *ids: Any, purpose: str = "register-key") -> dict[str, str]:
        return sealing.seal(plain, alice.get("intake-key").body, purpose, *(ids or (workspace.pk,)))

    return seal


def stored(organization, key_id) -> str:
    with scope.tenant(organization.pk):
        return custody.borrow(MistralKey.objects.get(pk=key_id)).reveal()


def keys_of(organization) -> int:
    with scope.tenant(organization.pk):
        return MistralKey.objects.count()


def flipped(text: str, position: int) -> str:
    octets = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    octets[position] ^= 1
    return base64.urlsafe_b64encode(bytes(octets)).decode().rstrip("=")


def test_a_key_sealed_as_documented_is_the_key_that_is_stored(alice, path, sealed, organization):
    plain = made_up_key()
    answer = alice.post(path, {"name": "Produzione", "sealed_key": sealed(plain)})
    assert (answer.status, answer.body["last4"], answer.body["status"]) == (
        202,
        plain[-4:],
        "pending",
    )
    assert stored(organization, answer.body["id"]) == plain


def test_a_sealed_secret_replaces_the_one_behind_a_key(hers, alice, sealed):
    plain = made_up_key()
    envelope = sealed(plain, hers.workspace.pk, hers.key.pk, purpose="replace-key-secret")
    answer = alice.post(f"keys/{hers.key.pk}/versions", {"sealed_key": envelope})
    assert (answer.status, answer.body["id"]) == (202, str(hers.key.pk))
    assert stored(hers.organization, hers.key.pk) == plain


def test_an_admin_key_comes_in_sealed_and_its_envelope_is_taken_once(alice, organization, sealed):
    plain, address = made_up_key(), f"organizations/{organization.pk}/admin-key"
    body = {"sealed_key": sealed(plain, organization.pk, purpose="set-admin-key")}
    answer = alice.put(address, body)
    assert (answer.status, answer.body["last4"]) == (200, plain[-4:])
    with scope.tenant(organization.pk):
        key = AdminKey.objects.get()
        assert organizations_custody.borrow(key, Slot.ADMIN_KEY).reveal() == plain
    again = alice.put(address, body)
    assert (again.status, again.code) == (409, "sealed_key_replayed")
    elsewhere = {"sealed_key": sealed(plain, organization.pk, purpose="register-key")}
    assert alice.put(address, elsewhere).code == "sealed_key_not_opened"


@pytest.mark.parametrize("mask", ["*" * 28, "." * 28])
def test_a_masked_form_takes_the_place_of_no_secret_sealed_or_not(
    hers, alice, organization, sealed, mask
):
    plain, masked = made_up_key(), f"{mask}Ty9z"
    address = f"organizations/{organization.pk}/admin-key"
    assert alice.put(address, {"key": plain}).status == 200
    envelope = sealed(masked, organization.pk, purpose="set-admin-key")
    for body in ({"key": masked}, {"sealed_key": envelope}):
        refused = alice.put(address, body)
        assert (refused.status, refused.code) == (422, "admin_key_malformed")
    assert alice.get(address).body["last4"] == plain[-4:]
    envelope = sealed(masked, hers.workspace.pk, hers.key.pk, purpose="replace-key-secret")
    for body in ({"key": masked}, {"sealed_key": envelope}):
        assert alice.post(f"keys/{hers.key.pk}/versions", body).code == "key_malformed"


def test_an_envelope_is_taken_once(alice, path, sealed, organization):
    body = {"sealed_key": sealed(made_up_key())}
    assert alice.post(path, body).status == 202
    again = alice.post(path, body)
    assert (again.status, again.code) == (409, "sealed_key_replayed")
    assert keys_of(organization) == 1


def test_of_two_at_once_one_is_taken(alice, path, sealed, organization):
    body = {"sealed_key": sealed(made_up_key())}
    callers = [organization_caller(organization) for _ in range(4)]

    def send(caller):
        try:
            return caller.post(path, body).status
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(send, callers)) == [202, 409, 409, 409]
    assert keys_of(organization) == 1


def test_the_same_request_under_its_idempotency_key_is_answered_again(alice, path, sealed):
    body = {"sealed_key": sealed(made_up_key())}
    first, again = (alice.post(path, body, {"Idempotency-Key": "one"}) for _ in range(2))
    assert (first.status, again.status) == (202, 202)
    assert first.body == again.body


def test_a_request_that_fails_does_not_use_the_envelope_up(alice, path, sealed, workspace):
    body = {"sealed_key": sealed(made_up_key())}
    refused = alice.post(path, {**body, "expires_on": "2020-01-01"})
    assert (refused.status, refused.code) == (422, "expired_already")
    assert alice.post(path, body).status == 202


def test_what_was_sealed_for_elsewhere_is_refused_everywhere_else(
    hers, alice, charlie, stranger, sealed
):
    plain = made_up_key()
    for_workspace = sealed(plain)
    for_key = sealed(plain, hers.workspace.pk, hers.key.pk, purpose="replace-key-secret")
    other = factories.workspace(hers.organization)
    his = factories.default_workspace(stranger)
    before = keys_of(hers.organization)
    for caller, address, envelope in (
        (alice, f"workspaces/{other.pk}/keys", for_workspace),
        (alice, f"keys/{hers.key.pk}/versions", for_workspace),
        (alice, f"workspaces/{hers.workspace.pk}/keys", for_key),
        (charlie, f"workspaces/{his.pk}/keys", for_workspace),
    ):
        answer = caller.post(address, {"sealed_key": envelope})
        assert (answer.status, answer.code) == (422, "sealed_key_not_opened"), address
        assert answer.pointers == {"/sealed_key": "sealed_key_not_opened"}
    assert keys_of(hers.organization) == before
    own = factories.default_workspace(hers.organization)
    assert alice.post(f"workspaces/{own.pk}/keys", {"sealed_key": for_workspace}).status == 202


def test_no_byte_of_an_envelope_can_be_changed(alice, path, sealed, organization):
    envelope = sealed(made_up_key())
    for member, length in (("ephemeral_public_key", 65), ("nonce", 12), ("ciphertext", 48)):
        for position in range(0, length, 7):
            altered = {**envelope, member: flipped(envelope[member], position)}
            answer = alice.post(path, {"sealed_key": altered})
            assert (answer.status, answer.code) == (422, "sealed_key_not_opened"), member
    assert keys_of(organization) == 0


def test_a_point_that_is_not_on_the_curve_is_refused(alice, path, sealed):
    for point in (b"\0" * 65, b"\x04" + b"\0" * 64, b"\x04" + b"\xff" * 64, b"\x02" + b"\1" * 64):
        text = base64.urlsafe_b64encode(point).decode().rstrip("=")
        envelope = {**sealed(made_up_key()), "ephemeral_public_key": text}
        answer = alice.post(path, {"sealed_key": envelope})
        assert (answer.status, answer.code) == (422, "sealed_key_not_opened")


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"nonce": "AAAA"}, {"/sealed_key/nonce": "malformed"}),
        ({"nonce": "A" * 15 + "="}, {"/sealed_key/nonce": "malformed"}),
        ({"nonce": "A+/A" * 4}, {"/sealed_key/nonce": "malformed"}),
        ({"nonce": 7}, {"/sealed_key/nonce": "malformed"}),
        ({"nonce": "è" * 16}, {"/sealed_key/nonce": "malformed"}),
        ({"ciphertext": "A" * 5000}, {"/sealed_key/ciphertext": "malformed"}),
        ({"ciphertext": ""}, {"/sealed_key/ciphertext": "malformed"}),
        ({"intake_key_id": "x"}, {"/sealed_key/intake_key_id": "invalid"}),
        ({"more": 1}, {"/sealed_key/more": "unknown_field"}),
    ],
)
def test_a_malformed_envelope_is_refused_member_by_member(alice, path, sealed, change, pointers):
    answer = alice.post(path, {"sealed_key": {**sealed(made_up_key()), **change}})
    assert (answer.status, answer.pointers) == (422, pointers)


def test_exactly_one_of_plain_and_sealed_is_taken(alice, path, sealed):
    both = alice.post(path, {"key": made_up_key(), "sealed_key": sealed(made_up_key())})
    assert (both.status, both.pointers) == (422, {"/sealed_key": "ambiguous"})
    neither = alice.post(path, {"name": "x"})
    assert (neither.status, neither.pointers) == (422, {"/key": "required"})


def test_what_is_in_an_envelope_must_be_a_key_too(alice, path, sealed):
    for plain in ("too short", "••••••••••••••••••••Ug6Y", "HQSx...Ug6Y"):
        answer = alice.post(path, {"sealed_key": sealed(plain)})
        assert (answer.status, answer.pointers) == (422, {"/sealed_key": "key_malformed"})
        assert plain.encode() not in answer.raw


def test_an_intake_key_is_replaced_in_time_and_accepted_a_while_longer(
    alice, path, sealed, organization
):
    first = sealed(made_up_key())
    kept = sealed(made_up_key())
    make_older(intake_keys.HANDED_OUT)
    second = alice.get("intake-key").body
    assert second["id"] != first["intake_key_id"]
    assert alice.post(path, {"sealed_key": first}).status == 202
    make_older(intake_keys.ACCEPTED - intake_keys.HANDED_OUT)
    answer = alice.post(path, {"sealed_key": kept})
    assert (answer.status, answer.code) == (422, "intake_key_expired")
    assert intake_keys.destroy_expired() >= 1
    with scope.platform():
        left = {str(row.pk) for row in IntakeKey.objects.all()}
    assert first["intake_key_id"] not in left
    assert keys_of(organization) == 1


def test_many_processes_agree_on_one_key():
    make_older(intake_keys.HANDED_OUT)

    def ask(_number):
        try:
            return intake_keys.current().id
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(ask, range(12)))) == 1


def test_used_envelopes_are_forgotten_once_their_intake_key_is_over(alice, path, sealed, workspace):
    alice.post(path, {"sealed_key": sealed(made_up_key())})
    with scope.tenant(workspace.organization_id):
        SpentEnvelope.objects.all().delete()
        SpentEnvelope.objects.create(organization_id=workspace.organization_id, digest=b"o" * 32)
    make_spent_older(workspace.organization_id)
    alice.post(path, {"sealed_key": sealed(made_up_key())})
    with scope.tenant(workspace.organization_id):
        assert [bytes(row.digest) for row in SpentEnvelope.objects.all()] != [b"o" * 32]
        assert SpentEnvelope.objects.count() == 1


def make_older(age: timedelta) -> None:
    """Let time pass for the intake keys: the only way to do it here."""
    with scope.platform():
        for row in IntakeKey.objects.all():
            row.replaced_at -= age
            row.expires_at -= age
            row.save()


def make_spent_older(organization_id) -> None:
    """The application may not change these rows: their owner does."""
    with psycopg.connect(owner_url()) as owner:
        owner.execute(
            "UPDATE keys_spentenvelope SET created_at = %s WHERE organization_id = %s",
            [timezone.now() - intake_keys.ACCEPTED, organization_id],
        )
