"""The sync: it looks at everything, goes on where it stopped, and deletes nothing."""

import threading
from datetime import date

import pytest
from django.db import connection

from aisuru_mistral.simulator.keys import WELL_KNOWN
from tenants.access import erasure
from tenants.accounting import differences, services, sweeping, synchronizing
from tenants.accounting.models import AdminKey, Observed, SyncRun
from tenants.common import scope
from tenants.common.problems import Conflict, Invalid, NotFound
from tenants.common.secrets import Secret
from tenants.keys.models import MistralKey
from tenants.organizations.models import AuditEvent, Workspace
from tests import factories
from tests.accounting.conftest import carried, registered
from tests.api.world import everything
from tests.factories import ACTOR


def observed(organization, kind):
    with scope.tenant(organization.pk):
        return {row.external_id: row for row in Observed.objects.filter(kind=kind)}


def codes(run):
    return {(row["code"], row["name"]) for row in run.differences}


def test_everything_that_is_told_is_written_down(organization, admin_key, simulator, sync):
    run = sync()
    assert (run.status, run.failure, run.due_at) == ("done", "", None)
    aurora = simulator.state.key("admin").organization
    assert {row.data["name"] for row in observed(organization, "workspace").values()} == {
        "Default",
        "Customer support",
    }
    assert {row.data["email"] for row in observed(organization, "member").values()} == {
        "ada@aurora.example",
        "bruno@aurora.example",
    }
    keys = observed(organization, "key")
    assert {row.data["hidden"] for row in keys.values()} >= {"SimV...0001", "SimV...0002"}
    assert len(observed(organization, "spend_limit")) == len(observed(organization, "rate_limit"))
    # Two months, each of the whole organization and of its two workspaces.
    assert len(observed(organization, "usage")) == 6
    assert aurora.name not in str(run.differences)
    assert all(counts["skipped"] == 0 for counts in run.counts.values())
    assert "SimAdmin" not in str([row.data for row in keys.values()])


def test_a_dry_run_changes_nothing_that_a_person_sees(organization, workspace, admin_key, sync):
    key = registered(workspace, "valid")
    tables = {"organizations_workspace", "keys_mistralkey", "spend_limit"}
    before = {table: everything(organization.pk)[table] for table in tables}
    run = sync(is_dry=True)
    assert {table: everything(organization.pk)[table] for table in tables} == before
    assert run.applied == {}
    assert all(row.ours is None for row in observed(organization, "key").values())
    assert ("key_only_at_mistral", "aisuru-staging …0002") in codes(run)
    assert key.expires_on is None


def test_a_real_run_ties_workspaces_and_keys_and_enters_unknown_dates(
    organization, workspace, admin_key, simulator, sync
):
    simulator.state.register(
        key=WELL_KNOWN["valid"],
        name="valid",
        key_name="aisuru-production",
        organization="aurora",
        workspace="main",
        user="ada",
        expires_on="2027-03-31",
    )
    key = registered(workspace, "valid")
    run = sync(is_dry=False)
    assert run.applied == {"workspaces": 1, "keys": 1, "expiry_dates": 1}
    main = simulator.state.key("valid").workspace.id
    assert observed(organization, "workspace")[main].ours == workspace.pk
    with scope.tenant(organization.pk):
        key.refresh_from_db()
        verbs = set(AuditEvent.objects.values_list("verb", flat=True))
    assert key.expires_on == date(2027, 3, 31)
    assert {"organization.sync_requested", "organization.synced", "key.updated"} <= verbs
    again = sync(is_dry=False)
    assert again.applied == {"workspaces": 0, "keys": 0, "expiry_dates": 0}


def test_a_date_that_somebody_entered_is_shown_and_not_overwritten(
    organization, workspace, admin_key, simulator, sync
):
    simulator.state.register(
        key=WELL_KNOWN["valid"],
        name="valid",
        organization="aurora",
        workspace="main",
        expires_on="2027-03-31",
    )
    key = registered(workspace, "valid")
    with scope.tenant(organization.pk):
        MistralKey.objects.filter(pk=key.pk).update(expires_on=date(2027, 1, 1))
    run = sync(is_dry=False)
    (row,) = [row for row in run.differences if row["code"] == "key_expiry_differs"]
    assert (row["ours"], row["theirs"]) == ("2027-01-01", "2027-03-31")
    with scope.tenant(organization.pk):
        key.refresh_from_db()
    assert key.expires_on == date(2027, 1, 1)


def test_what_is_on_one_side_only_is_a_difference_and_stays(
    organization, workspace, admin_key, simulator, sync
):
    other = factories.workspace(organization, "Vendite")
    gone = registered(other, "flapping")  # Mistral lists no such key in this organization
    run = sync(is_dry=False)
    assert {
        ("workspace_only_here", "Vendite"),
        ("workspace_only_at_mistral", "Customer support"),
        ("key_only_here", "…" + WELL_KNOWN["flapping"][-4:]),
        ("limit_differs", organization.name),
    } <= codes(run)
    with scope.tenant(organization.pk):
        assert Workspace.objects.filter(pk=other.pk, archived_at=None).exists()
        assert MistralKey.objects.filter(pk=gone.pk, revoked_at=None).exists()


def test_what_mistral_tells_no_more_is_marked_and_kept(organization, admin_key, simulator, sync):
    sync()
    key_id = simulator.state.key("valid_second").id
    simulator.state.forget("valid_second")
    run = sync()
    assert run.counts["key"]["missing"] == 1
    assert observed(organization, "key")[key_id].missing_since is not None


def test_keys_that_end_alike_are_told_apart_by_name_or_not_at_all(
    organization, workspace, admin_key, simulator, sync
):
    twin = "Z" * 28 + WELL_KNOWN["valid"][-4:]
    simulator.state.register(
        key=twin, name="twin", key_name="other", organization="aurora", workspace="main"
    )
    key = registered(workspace, "valid")
    assert ("key_ambiguous", "…0001") in codes(sync())
    with scope.tenant(organization.pk):
        MistralKey.objects.filter(pk=key.pk).update(
            identity={"organization": None, "workspace": None, "key_name": "aisuru-production"}
        )
    assert sync(is_dry=False).applied["keys"] == 1
    assert observed(organization, "key")[simulator.state.key("valid").id].ours == key.pk


def test_a_run_goes_on_where_a_worker_died(organization, admin_key, simulator, settings):
    settings.ACCOUNTING_TIMING = {"pause": 0, "stretch": 0}
    run = services.request_sync(actor=ACTOR, organization=organization)
    steps = []
    while synchronizing.carry(organization.pk, run.pk):
        with scope.tenant(organization.pk):
            steps.append(SyncRun.objects.get(pk=run.pk).step)
    assert steps[:3] == ["workspace", "member", "spend_limit"]
    with scope.tenant(organization.pk):
        assert SyncRun.objects.get(pk=run.pk).status == "done"
    asked = [request.path for request in simulator.state.requests]
    assert len(asked) == len(steps)
    assert asked.count("/v1/admin/roles") == 1


def test_two_workers_at_once_ask_every_question_once(organization, admin_key, simulator):
    run = services.request_sync(actor=ACTOR, organization=organization)

    def work():
        try:
            synchronizing.carry(organization.pk, run.pk)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    asked = [request.path for request in simulator.state.requests]
    assert asked.count("/v1/admin/roles") == 1
    assert carried(run).status == "done"


def test_a_busy_mistral_is_asked_again_later_and_the_rest_is_kept(
    organization, admin_key, simulator, sync, settings
):
    simulator.state.change("admin", behaviour={"sequence": [None, "rate_limited"]})
    run = services.request_sync(actor=ACTOR, organization=organization)
    assert synchronizing.carry(organization.pk, run.pk) is False
    with scope.tenant(organization.pk):
        waiting = SyncRun.objects.get(pk=run.pk)
    assert (waiting.status, waiting.failure, waiting.attempts) == ("waiting", "rate_limited", 1)
    assert waiting.step == "workspace"
    settings.ACCOUNTING_TIMING = {**settings.ACCOUNTING_TIMING, "batch": 100_000}  # others' too
    assert ("sync", organization.pk, run.pk) in sweeping.take_due()
    with scope.tenant(organization.pk):
        SyncRun.objects.filter(pk=run.pk).update(held_until=None)
    done = carried(run)
    assert (done.status, done.attempts) == ("done", 0)


def test_an_outage_without_end_ends_the_run(organization, admin_key, simulator, settings):
    settings.ACCOUNTING_TIMING = {"pause": 0, "retry": 0, "retries": 3}
    simulator.state.change("admin", behaviour={"error": "service_unavailable"})
    run = services.request_sync(actor=ACTOR, organization=organization)
    for _ in range(3):
        synchronizing.carry(organization.pk, run.pk)
    with scope.tenant(organization.pk):
        failed = SyncRun.objects.get(pk=run.pk)
    assert (failed.status, failed.due_at) == ("failed", None)
    assert len(simulator.state.requests) == 3


def test_an_unknown_shape_is_counted_and_stops_nothing(organization, admin_key, simulator, sync):
    simulator.state.change("admin", behaviour={"sequence": [None, None, "wrong_shape"]})
    run = sync()
    assert run.status == "done"
    assert run.counts["member"]["seen"] == 0


def test_a_key_that_mistral_refuses_ends_the_run_and_is_marked(organization, simulator):
    services.set_admin_key(
        actor=ACTOR, organization=organization, plain=Secret(WELL_KNOWN["valid"])
    )
    run = carried(services.request_sync(actor=ACTOR, organization=organization))
    assert (run.status, run.failure) == ("failed", "admin_key_refused")
    with scope.tenant(organization.pk):
        assert AdminKey.objects.get().status == "refused"


def test_the_header_that_worked_is_remembered(organization, simulator):
    plain = Secret(WELL_KNOWN["admin_by_bearer"])
    services.set_admin_key(actor=ACTOR, organization=organization, plain=plain)
    for _ in range(2):
        carried(services.request_sync(actor=ACTOR, organization=organization))
    assert [request.auth for request in simulator.state.requests].count("x-api-key") == 1


def test_one_sync_at_a_time_and_none_without_a_key(organization, admin_key):
    services.request_sync(actor=ACTOR, organization=organization)
    with pytest.raises(Conflict) as caught:
        services.request_sync(actor=ACTOR, organization=organization)
    assert caught.value.code == "sync_running"
    services.remove_admin_key(actor=ACTOR, organization=organization)
    with pytest.raises(NotFound):
        services.request_sync(actor=ACTOR, organization=organization)


def test_a_removed_key_stops_a_run_that_was_asked_for(organization, admin_key):
    run = services.request_sync(actor=ACTOR, organization=organization)
    services.remove_admin_key(actor=ACTOR, organization=organization)
    assert carried(run).failure == "admin_key_missing"


def test_another_secret_is_another_version_of_the_same_row(organization, simulator):
    first = services.set_admin_key(actor=ACTOR, organization=organization, plain=Secret("A" * 32))
    second = services.set_admin_key(
        actor=ACTOR, organization=organization, plain=Secret(f"  {WELL_KNOWN['admin']}\n")
    )
    assert (second.pk, second.secret_version, second.last4) == (first.pk, 2, "0088")
    assert carried(services.request_sync(actor=ACTOR, organization=organization)).failure == ""
    with pytest.raises(Invalid):
        services.set_admin_key(actor=ACTOR, organization=organization, plain=Secret("no key"))


def test_a_box_that_was_moved_does_not_open(organization, stranger, admin_key, simulator):
    services.set_admin_key(
        actor=ACTOR, organization=stranger, plain=Secret(WELL_KNOWN["admin_by_bearer"])
    )
    with scope.tenant(organization.pk):
        box = bytes(AdminKey.objects.get().sealed)
    with scope.tenant(stranger.pk):
        AdminKey.objects.update(sealed=box)
    run = carried(services.request_sync(actor=ACTOR, organization=stranger))
    assert run.failure == "admin_key_undecryptable"
    assert simulator.state.requests == type(simulator.state.requests)(maxlen=10_000)


def test_erasing_forgets_the_key_the_people_and_the_runs(organization, admin_key, sync):
    sync()
    certificate = erasure.erase_organization(actor=ACTOR, organization=organization)
    assert certificate.keys_shredded == 1
    with scope.tenant(organization.pk):
        assert not AdminKey.objects.exists()
        assert not Observed.objects.exists()
        assert not SyncRun.objects.exists()


def test_what_differs_is_found_by_looking_only(organization, workspace, admin_key, sync):
    sync()
    before = everything(organization.pk)
    with scope.tenant(organization.pk):
        differences.find(organization.pk)
    assert everything(organization.pk) == before
