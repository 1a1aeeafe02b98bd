"""An organization that is erased: nothing opens, nobody gets in, a certificate stays."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from django.apps import apps
from django.db import connection

from tenants.common import scope, tokens
from tenants.common.models import new_id
from tenants.common.secrets import Secret
from tenants.keys import custody, services
from tenants.keys.models import KeyReplacement, MistralKey, SeenModel
from tenants.organizations.models import AuditEvent, DataKey, Organization
from tenants.organizations.sealed_columns import BY_DATA_KEY, BY_MASTER_KEY
from tenants.registry import snapshots
from tenants.registry.services import rotate_token
from tests.api.callers import platform_caller
from tests.api.world import WholeWorld, made_up_key, whole_world, world
from tests.factories import ACTOR


def erased(platform, organization):
    answer = platform.delete(f"organizations/{organization.pk}")
    assert answer.status == 202, answer.raw
    return answer


def sealed_rows(organization_id: UUID) -> dict[str, int]:
    """Count what is still sealed, in every column of the register that has an organization."""
    found = {}
    with scope.tenant(organization_id):
        for name in (*BY_MASTER_KEY, *BY_DATA_KEY):
            app, model_name, column = name.split(".")
            model = apps.get_model(app, model_name)
            if any(field.name == "organization" for field in model._meta.fields):
                rows = model._default_manager.exclude(**{f"{column}__isnull": True})
                found[name] = rows.count()
    return found


@pytest.fixture
def hers(organization) -> WholeWorld:
    """Everything that may hold something sealed."""
    return whole_world(organization)


def test_a_certificate_says_what_was_destroyed_and_can_be_checked_by_anybody(hers, alice, platform):
    answer = erased(platform, hers.organization)
    certificate = answer.body
    assert certificate["organization_id"] == str(hers.organization.pk)
    assert (certificate["data_keys_destroyed"], certificate["keys_shredded"]) == (1, 3)
    assert certificate["tokens_revoked"] == 3  # Alice's, an old one, the model's
    assert set(certificate["retained"]) >= {"audit_events", "usage_ledger"}
    members = {name: value for name, value in certificate.items() if name != "digest"}
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"))
    assert certificate["digest"] == hashlib.sha256(canonical.encode()).hexdigest()
    again = platform.get(answer.headers["Location"])
    assert (again.status, again.body) == (200, certificate)


def test_nothing_sealed_is_left_in_any_registered_column(hers, alice, platform):
    waiting = {"key": made_up_key(), "grace_seconds": 600}
    assert alice.post(f"keys/{hers.key.pk}/versions", waiting).status == 202
    again = {"Idempotency-Key": "kept"}
    alice.post(f"workspaces/{hers.workspace.pk}/keys", {"key": made_up_key()}, again)
    before = sealed_rows(hers.organization.pk)
    assert all(before.values()), before
    assert (
        erased(platform, hers.organization).body["keys_shredded"] == 5
    )  # the Admin API key and the login at AIsuru too
    assert not any(sealed_rows(hers.organization.pk).values())
    with scope.tenant(hers.organization.pk):
        assert KeyReplacement.objects.count() == SeenModel.objects.count() == 0
        for key in MistralKey.objects.all():
            assert (key.status, key.last4, bytes(key.fingerprint)) == ("revoked", "", b"")
            with pytest.raises(custody.UndecryptableError):
                custody.borrow(key)


def test_a_model_token_stands_for_nothing_any_more(hers, platform):
    token = rotate_token(actor=ACTOR, model=hers.model)
    assert snapshots.resolve(tokens.digest(token.reveal())) is not None
    erased(platform, hers.organization)
    assert snapshots.resolve(tokens.digest(token.reveal())) is None


def test_afterwards_it_is_nowhere_but_for_the_certificate(hers, alice, platform):
    erased(platform, hers.organization)
    ids = hers.ids
    for path in (
        f"organizations/{ids['organization_id']}",
        f"organizations/{ids['organization_id']}/workspaces",
        f"organizations/{ids['organization_id']}/tokens",
        f"workspaces/{ids['workspace_id']}",
        f"workspaces/{ids['workspace_id']}/keys",
        f"keys/{ids['key_id']}",
        f"models/{ids['model_id']}",
        f"models/{ids['model_id']}/limits",
        f"spend?organization_id={ids['organization_id']}",
        f"calls?workspace_id={ids['workspace_id']}",
    ):
        answer = platform.get(path)
        assert (answer.status, answer.code) == (404, "not_found"), path
    assert platform.delete(f"organizations/{ids['organization_id']}").status == 404
    new_key = {"key": made_up_key()}
    assert platform.post(f"workspaces/{ids['workspace_id']}/keys", new_key).status == 404
    assert alice.get("organizations").status == 401
    listed = platform.get("organizations?limit=200").body["results"]
    assert str(ids["organization_id"]) not in {one["id"] for one in listed}


def test_names_are_forgotten_and_the_audit_trail_tells_who_erased(hers, platform):
    slug = hers.organization.slug
    erased(platform, hers.organization)
    with scope.tenant(hers.organization.pk):
        row = Organization.objects.get()
        event = AuditEvent.objects.get(verb="organization.erased")
    assert (row.status, row.name, row.owner_email) == ("erased", "erased", "")
    assert event.actor_name == "AIsuru"
    again = platform.post("organizations", {"name": "X", "owner_email": "x@x.it", "slug": slug})
    assert again.status == 201, "the slug is free again"


def test_a_confirmation_that_does_not_match_erases_nothing(hers, platform):
    address = f"organizations/{hers.organization.pk}"
    slug = hers.organization.slug
    for query, body, code in (
        ("?confirm=another", None, "confirmation_mismatch"),
        ("", {"confirm": "another"}, "confirmation_mismatch"),
        ("?confirm=another", {"confirm": slug}, "ambiguous"),
        ("", {"confirmation": slug}, "validation_failed"),
        ("", {"confirm": None}, "validation_failed"),
        ("", [slug], "not_an_object"),
    ):
        refused = platform.delete(address + query, body)
        assert (refused.status, refused.code) == (422, code), (query, body)
    for raw, kind, status in ((b"{", "application/json", 400), (b'{"confirm":"x"}', "", 415)):
        assert platform.send("DELETE", address, raw, None, kind).status == status
    assert platform.get(address).status == 200
    assert all(sealed_rows(hers.organization.pk)[name] for name in ("keys.MistralKey.sealed",))
    assert platform.delete(f"{address}?confirm={slug}", {"confirm": slug}).status == 202


def test_only_a_platform_token_erases_and_reads_certificates(hers, alice, charlie, platform):
    address = f"organizations/{hers.organization.pk}"
    for caller in (alice, charlie):
        assert caller.delete(address).code == "platform_only"
        assert caller.get(f"{address}/erasure-certificate").code == "platform_only"
    assert platform_caller("organizations:read").delete(address).code == "scope_missing"
    assert platform.get(f"{address}/erasure-certificate").status == 404
    assert platform.get(f"organizations/{new_id()}/erasure-certificate").status == 404


def test_another_organization_does_not_notice(hers, stranger, platform):
    his = world(stranger)
    erased(platform, hers.organization)
    with scope.tenant(stranger.pk):
        assert DataKey.objects.count() == 1
        assert custody.borrow(MistralKey.objects.get(pk=his.key.pk))


def test_a_key_registered_while_erasing_leaves_nothing_that_opens(hers, platform):
    def register(_number):
        try:
            services.register_key(
                actor=ACTOR, workspace=hers.workspace, plain=Secret(made_up_key())
            )
        except Exception as refusal:  # noqa: BLE001 - any refusal is good
            return type(refusal).__name__
        finally:
            connection.close()
        return "registered"

    with ThreadPoolExecutor(4) as pool:
        racing = [pool.submit(register, number) for number in range(12)]
        erased(platform, hers.organization)
        said = {one.result() for one in racing}
    assert said <= {"registered", "Conflict", "Unavailable"}
    assert not any(sealed_rows(hers.organization.pk).values())
