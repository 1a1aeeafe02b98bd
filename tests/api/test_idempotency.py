"""A POST under an Idempotency-Key is carried out once, whoever dies or repeats it when."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from tenants.access.idempotency import sweep
from tenants.access.models import OrganizationToken, PlatformRequest, TenantRequest
from tenants.common import scope
from tenants.common.models import new_id
from tenants.organizations.models import AuditEvent, DataKey, Organization, Workspace
from tenants.registry.models import RegisteredModel
from tests.api.callers import Answer, Caller, organization_caller
from tests.api.rows import new_model
from tests.api.world import made_up_key
from tests.postgres import owner_url


def under(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


@pytest.fixture
def path(organization) -> str:
    return f"organizations/{organization.pk}/workspaces"


@pytest.fixture
def tokens(organization) -> str:
    return f"organizations/{organization.pk}/tokens"


def workspaces(organization: Organization) -> list[str]:
    with scope.tenant(organization.pk):
        return sorted(Workspace.objects.filter(is_default=False).values_list("name", flat=True))


def kept(organization: Organization) -> TenantRequest:
    with scope.tenant(organization.pk):
        return TenantRequest.objects.get()


def change(organization: Organization, **values) -> None:
    with scope.tenant(organization.pk):
        TenantRequest.objects.update(**values)


def test_the_same_request_again_gets_the_same_answer_and_nothing_is_made_twice(
    alice, path, organization
):
    first = alice.post(path, {"name": "Uno", "icon": "x"}, under("k1"))
    again = alice.post(path, {"icon": "x", "name": "Uno"}, under("k1"))
    assert (first.status, again.status) == (201, 201)
    assert again.raw == first.raw
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert workspaces(organization) == ["Uno"]


def test_a_key_that_came_with_another_body_or_address_is_refused(alice, path, tokens, organization):
    alice.post(path, {"name": "Uno"}, under("k1"))
    for address, body in (
        (path, {"name": "Due"}),
        (path, {"name": "Uno", "icon": "x"}),
        (tokens, {"name": "Uno"}),
    ):
        answer = alice.post(address, body, under("k1"))
        assert (answer.status, answer.code) == (422, "idempotency_key_reused")
    assert workspaces(organization) == ["Uno"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "è", "a\tb", "\x7f"])
def test_a_key_that_is_no_visible_ascii_is_refused(key, alice, path, organization):
    answer = alice.post(path, {"name": "Uno"}, under(key))
    assert (answer.status, answer.code) == (422, "idempotency_key_malformed")
    assert workspaces(organization) == []


def test_the_longest_key_is_taken(alice, path):
    for replayed in (None, "true"):
        answer = alice.post(path, {"name": "Uno"}, under("~" * 255))
        assert answer.headers.get("Idempotent-Replayed") == replayed


def test_a_model_made_once_has_one_token_and_it_lies_sealed(hers, alice):
    first = alice.post("models", new_model(hers), under("m"))
    again = alice.post("models", new_model(hers), under("m"))
    assert again.raw == first.raw
    assert first.body["token"].startswith("aim_mdl_")
    with scope.tenant(hers.organization.pk):
        assert RegisteredModel.objects.filter(name="Secondo").count() == 1
    with psycopg.connect(owner_url()) as owner:
        row = owner.execute(
            "SELECT t::text FROM access_tenantrequest t WHERE organization_id = %s",
            [hers.organization.pk],
        ).fetchone()
        assert row is not None
        for secret in (first.body["token"], first.body["token"][-20:]):
            assert secret not in row[0]
            assert secret.encode().hex() not in row[0]


def test_the_sealed_answer_opens_in_its_own_row_only(hers, alice, path):
    alice.post("models", new_model(hers), under("m"))
    alice.post(path, {"name": "Uno"}, under("w"))
    with scope.tenant(hers.organization.pk):
        box = TenantRequest.objects.get(key="m").body
        TenantRequest.objects.filter(key="w").update(body=box)
    answer = alice.post(path, {"name": "Uno"}, under("w"))
    assert (answer.status, answer.code) == (409, "idempotency_answer_lost")


def test_an_organization_is_made_once(platform):
    body = {"name": "Bianchi", "owner_email": "b@bianchi.example"}
    key = under(str(new_id()))
    first, again = (platform.post("organizations", body, key) for _ in range(2))
    assert (first.status, again.raw) == (201, first.raw)
    assert (
        platform.post("organizations", {**body, "name": "B"}, key).code == "idempotency_key_reused"
    )


def test_a_refusal_is_kept_too_but_a_conflict_is_asked_again(alice, path, organization):
    wrong = [alice.post(path, {"name": ""}, under("k1")) for _ in range(2)]
    assert [answer.status for answer in wrong] == [422, 422]
    assert wrong[0].raw == wrong[1].raw
    alice.post(path, {"name": "Uno"})
    assert alice.post(path, {"name": "Uno"}, under("k2")).code == "name_taken"
    with scope.tenant(organization.pk):
        Workspace.objects.filter(name="Uno").update(name="Altro")
    answer = alice.post(path, {"name": "Uno"}, under("k2"))
    assert (answer.status, answer.headers.get("Idempotent-Replayed")) == (201, None)


def test_a_key_belongs_to_its_token(alice, path, organization):
    alice.post(path, {"name": "Uno"}, under("k1"))
    other = organization_caller(organization)
    assert other.post(path, {"name": "Uno"}, under("k1")).code == "name_taken"
    answer = other.post(path, {"name": "Due"}, under("k1"))
    assert (answer.status, answer.headers.get("Idempotent-Replayed")) == (201, None)


def test_a_key_on_another_method_means_nothing(alice, organization):
    answer = alice.get(f"organizations/{organization.pk}", under("k1"))
    assert answer.status == 200
    with scope.tenant(organization.pk):
        assert not TenantRequest.objects.exists()


def in_a_thread(work: Callable[[], Answer]) -> Answer:
    try:
        return work()
    finally:
        connection.close()


def issued(organization: Organization) -> int:
    """How many tokens there are called x; unlike workspaces, they may all have one name."""
    with scope.tenant(organization.pk):
        return OrganizationToken.objects.filter(name="x").count()


def at_once(number: int, caller: Caller, path: str) -> list[Answer]:
    """Send the same request from so many threads at the same moment."""
    start = threading.Barrier(number, timeout=30)

    def send() -> Answer:
        start.wait()
        return Caller(caller.token).post(path, {"name": "x"}, under("k1"))

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(in_a_thread, [send] * number))


def test_many_at_once_make_one(alice, tokens, organization):
    answers = at_once(8, alice, tokens)
    made = [answer for answer in answers if answer.status == 201]
    waiting = [answer for answer in answers if answer.status != 201]
    assert {answer.raw for answer in made} == {made[0].raw}
    assert sum("Idempotent-Replayed" not in answer.headers for answer in made) == 1
    assert {(answer.status, answer.code) for answer in waiting} <= {
        (409, "idempotency_in_progress")
    }
    assert issued(organization) == 1


def test_while_the_first_runs_the_second_is_told_to_wait(alice, path, organization):
    with psycopg.connect(owner_url()) as owner, ThreadPoolExecutor(1) as pool:
        owner.execute("LOCK TABLE organizations_workspace IN SHARE ROW EXCLUSIVE MODE")
        running = pool.submit(
            in_a_thread,
            lambda: Caller(alice.token).post(path, {"name": "Uno"}, under("k1")),
        )
        deadline = time.monotonic() + 10
        while not _claimed(organization):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        second = alice.post(path, {"name": "Uno"}, under("k1"))
        owner.rollback()
        first = running.result(10)
    assert (second.status, second.code) == (409, "idempotency_in_progress")
    assert second.headers["Retry-After"] == "1"
    assert first.status == 201
    assert alice.post(path, {"name": "Uno"}, under("k1")).raw == first.raw
    assert workspaces(organization) == ["Uno"]


def _claimed(organization: Organization) -> bool:
    with scope.tenant(organization.pk):
        return TenantRequest.objects.exists()


def died(organization: Organization, **values) -> None:
    """Leave the row as a process does that dies before it could keep the answer."""
    past = timezone.now() - timedelta(seconds=1)
    change(organization, status=None, body=None, claimed_until=past, **values)


def test_after_a_death_that_came_too_late_the_answer_is_lost_and_nothing_is_done_again(
    alice, path, organization
):
    alice.post(path, {"name": "Uno"}, under("k1"))
    died(organization)
    with scope.tenant(organization.pk):
        Workspace.objects.filter(name="Uno").update(name="Altro")
    for _ in range(2):
        answer = alice.post(path, {"name": "Uno"}, under("k1"))
        assert (answer.status, answer.code) == (409, "idempotency_answer_lost")
    assert workspaces(organization) == ["Altro"]


def test_an_organization_whose_answer_was_lost_is_not_made_again(platform):
    body = {"name": "Verdi", "owner_email": "v@verdi.example"}
    key = str(new_id())
    platform.post("organizations", body, under(key))
    with scope.platform():
        count = Organization.objects.count()
        past = timezone.now() - timedelta(seconds=1)
        PlatformRequest.objects.filter(key=key).update(status=None, claimed_until=past)
    assert platform.post("organizations", body, under(key)).code == "idempotency_answer_lost"
    with scope.platform():
        assert Organization.objects.count() == count


def test_after_a_death_before_anything_was_done_the_repetition_does_it(alice, path, organization):
    alice.post(path, {"name": "Uno"}, under("k1"))
    died(organization, request_id="of-a-request-that-did-nothing")
    with scope.tenant(organization.pk):
        Workspace.objects.filter(name="Uno").update(name="Altro")
    answer = alice.post(path, {"name": "Uno"}, under("k1"))
    assert (answer.status, answer.headers.get("Idempotent-Replayed")) == (201, None)
    assert workspaces(organization) == ["Altro", "Uno"]
    assert alice.post(path, {"name": "Uno"}, under("k1")).raw == answer.raw


@pytest.mark.parametrize("_attempt", range(3))
def test_many_that_find_a_dead_one_do_it_once(_attempt, alice, tokens, organization):
    alice.post(tokens, {"name": "x"}, under("k1"))
    died(organization, request_id="of-a-request-that-did-nothing")
    answers = at_once(6, alice, tokens)
    assert sum(a.status == 201 and "Idempotent-Replayed" not in a.headers for a in answers) == 1
    assert issued(organization) == 2


def test_a_failure_of_ours_is_not_kept(hers, alice):
    organization, body = hers.organization, {"key": made_up_key()}
    path = f"workspaces/{hers.workspace.pk}/keys"
    with scope.tenant(organization.pk):
        (key,) = DataKey.objects.all()
        DataKey.objects.all().delete()
    answer = alice.post(path, body, under("k1"))
    assert (answer.status, answer.code) == (503, "vault_unavailable")
    with scope.tenant(organization.pk):
        key.save(force_insert=True)
    assert alice.post(path, body, under("k1")).status == 202


def test_an_answer_that_cannot_be_sealed_is_given_all_the_same(alice, path, organization):
    with scope.tenant(organization.pk):
        DataKey.objects.all().delete()
    assert alice.post(path, {"name": "Uno"}, under("k1")).status == 201
    assert workspaces(organization) == ["Uno"]
    assert kept(organization).status is None


def test_answers_are_forgotten_after_a_day_and_not_before(alice, path, organization):
    alice.post(path, {"name": "Uno"}, under("k1"))
    alice.post(path, {"name": "Due"}, under("k2"))
    now = timezone.now()
    with scope.tenant(organization.pk):
        rows = TenantRequest.objects
        rows.filter(key="k1").update(created_at=now - timedelta(hours=24, seconds=1))
        rows.filter(key="k2").update(created_at=now - timedelta(hours=23, minutes=59))
    assert sweep() >= 1
    assert kept(organization).key == "k2"


def test_a_key_of_yesterday_is_free_again_even_before_the_sweep(alice, path, organization):
    alice.post(path, {"name": "Uno"}, under("k1"))
    change(organization, created_at=timezone.now() - timedelta(hours=25))
    answer = alice.post(path, {"name": "Due"}, under("k1"))
    assert (answer.status, answer.body["name"]) == (201, "Due")
    assert alice.post(path, {"name": "Due"}, under("k1")).raw == answer.raw


def test_a_repetition_leaves_no_second_audit_row(alice, path, organization):
    for _ in range(3):
        alice.post(path, {"name": "Uno"}, under("k1"))
    with scope.tenant(organization.pk):
        assert AuditEvent.objects.filter(verb="workspace.created").count() == 1
