"""Data-key rotation: while others seal, killed half-way, twice at once, and with what is lost."""

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from tenants.access.idempotency import _Tenant
from tenants.access.models import TenantRequest
from tenants.accounting.models import AdminKey
from tenants.common import scope, turns
from tenants.common.models import new_id
from tenants.common.secrets import Secret
from tenants.keys import custody, replacing, services
from tenants.keys.models import KeyReplacement, MistralKey
from tenants.notices import custody as webhooks
from tenants.notices.models import WebhookSecret
from tenants.notices.services import create_webhook
from tenants.organizations import boxes, data_key_rotation, data_keys, erasure, tasks
from tenants.organizations import custody as logins
from tenants.organizations.data_key_rotation import Rotated, rotate
from tenants.organizations.models import AuditEvent, DataKey
from tenants.organizations.sealed_columns import BY_DATA_KEY
from tenants.registry.connections import set_connection
from tenants.registry.models import AisuruConnection
from tenants.vault.keyring import keyring as own_keyring
from tests import factories
from tests.factories import ACTOR
from tests.keys.keyring import registered
from tests.vault.rings import forget, ring_of, some_key

PLAINS = ["HQSxGm3vTb8yLw5kZr2nXc7dJp4fUg6Y", "KcVfPq9sWm2hBt6xRj4yNd8gLz5vTa3Q"]


@pytest.fixture
def keyring(monkeypatch):
    """Swap the process's keyring for one that knows only a key of its own, or both."""
    other, mine = some_key("other"), own_keyring()

    def use(*also: None) -> None:
        ring = ring_of(other)
        if also:
            ring._keys |= mine._keys
        monkeypatch.setattr("tenants.vault.envelope.keyring", lambda: ring)

    yield use
    forget("other")


def versions(organization) -> list[int]:
    with scope.tenant(organization.id):
        return [key.version for key in data_keys.all_of(organization.id)]


def opened(key: MistralKey) -> str:
    with scope.tenant(key.organization_id):
        return custody.borrow(MistralKey.objects.get(pk=key.pk)).reveal()


def kept_answer(organization) -> TenantRequest:
    shelf, row_id = _Tenant(organization.id), new_id()
    with scope.tenant(organization.id):
        return TenantRequest.objects.create(
            id=row_id,
            organization=organization,
            token_id=new_id(),
            key="once",
            fingerprint=b"f" * 32,
            request_id="r",
            claim=new_id(),
            claimed_until=timezone.now(),
            status=201,
            **shelf.close_box(row_id, Secret("the answer")),
        )


def kept_admin_key(organization) -> AdminKey:
    row_id = new_id()
    with scope.tenant(organization.id):
        sealed, version = logins.seal(
            Secret("an admin key"),
            slot=logins.Slot.ADMIN_KEY,
            organization_id=organization.id,
            row_id=row_id,
            version=1,
        )
        return AdminKey.objects.create(
            id=row_id,
            organization=organization,
            last4="okey",
            sealed=sealed,
            data_key_version=version,
            created_by="tests",
        )


@pytest.fixture
def filled(organization, workspace):
    """An organization with something in every registered column, and what opens each."""
    key = registered(workspace, PLAINS[0])
    login = set_connection(actor=ACTOR, organization=organization, plain=Secret("a-login-token"))
    services.replace_secret(actor=ACTOR, key=key, plain=Secret(PLAINS[1]), grace_seconds=600)
    answer = kept_answer(organization)
    admin_key = kept_admin_key(organization)
    webhook, _secret = create_webhook(
        actor=ACTOR, organization=organization, url="https://example.com/"
    )

    def waiting() -> str:
        return custody.borrow_waiting(key, KeyReplacement.objects.get(key=key)).reveal()

    def answered() -> str:
        row = TenantRequest.objects.get(pk=answer.pk)
        return _Tenant(organization.id).open_box(row).reveal()

    def signing() -> str:
        row = WebhookSecret.objects.get(endpoint=webhook)
        plain = webhooks.borrow_all(organization.id, [row])[row.pk]
        return plain.reveal() if plain else ""

    return {
        "keys.MistralKey.sealed": lambda: custody.borrow(
            MistralKey.objects.get(pk=key.pk)
        ).reveal(),
        "keys.KeyReplacement.sealed": waiting,
        "accounting.AdminKey.sealed": lambda: logins.borrow(
            AdminKey.objects.get(pk=admin_key.pk), logins.Slot.ADMIN_KEY
        ).reveal(),
        "notices.WebhookSecret.sealed": signing,
        "registry.AisuruConnection.sealed": lambda: logins.borrow(
            AisuruConnection.objects.get(pk=login.pk), logins.Slot.AISURU_LOGIN
        ).reveal(),
        "access.TenantRequest.body": answered,
    }


def test_everything_in_every_registered_column_is_sealed_anew_and_opens_where_it_did(
    organization, filled
):
    assert set(filled) == set(BY_DATA_KEY), "enter the new column here"
    with scope.tenant(organization.id):
        before = {name: open_it() for name, open_it in filled.items()}
    assert rotate(organization.id, actor=ACTOR) == Rotated(len(filled), 0, 1)
    assert versions(organization) == [2]
    with scope.tenant(organization.id):
        assert {name: open_it() for name, open_it in filled.items()} == before
        told = list(AuditEvent.objects.filter(verb__startswith="data_key").order_by("id"))
        assert not any(boxes.uses(version) for version in (1, 3))
    assert [event.verb for event in told] == ["data_key.created", "data_key.destroyed"]
    assert rotate(organization.id, actor=ACTOR).destroyed == 1
    assert versions(organization) == [3]


def test_nothing_of_another_organization_is_touched(organization, filled, stranger):
    theirs = registered(factories.default_workspace(stranger), PLAINS[0])
    rotate(organization.id, actor=ACTOR)
    assert versions(stranger) == [1]
    assert opened(theirs) == PLAINS[0]


def test_a_rotation_that_was_killed_at_any_step_is_finished_by_the_next(
    organization, workspace, monkeypatch
):
    keys = [registered(workspace, plain) for plain in PLAINS]
    monkeypatch.setattr(boxes, "_PAGE", 1)
    for victim in (
        "tenants.organizations.data_keys.newest",
        f"{data_key_rotation.__name__}._destroy",
    ):
        with monkeypatch.context() as killing:
            killing.setattr(victim, lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                rotate(organization.id, actor=ACTOR)
        assert len(versions(organization)) == 2
        assert [opened(key) for key in keys] == PLAINS, "both data keys serve meanwhile"
        assert (organization.id, data_key_of(organization)) in set(data_key_rotation.due(days=9))
    assert rotate(organization.id, actor=ACTOR).destroyed == 1
    assert versions(organization) == [2]
    assert [opened(key) for key in keys] == PLAINS


def data_key_of(organization):
    with scope.tenant(organization.id):
        return data_keys.newest(organization.id).row_id


def test_who_is_sealing_with_the_old_key_is_waited_for_and_moved(organization, workspace):
    """The race: sealed with the old key before the rotation began, committed after it looked."""
    has_sealed, may_commit = threading.Event(), threading.Event()

    def seal_slowly() -> MistralKey:
        try:
            with scope.tenant(organization.id):
                key = MistralKey(id=new_id(), organization=organization, workspace=workspace)
                box, version = custody.seal(
                    Secret(PLAINS[0]),
                    organization_id=organization.id,
                    workspace_id=workspace.id,
                    key_id=key.id,
                    version=1,
                )
                has_sealed.set()
                assert may_commit.wait(20)
                key.sealed, key.data_key_version = box, version
                key.fingerprint, key.last4 = b"f" * 32, "Ug6Y"
                key.save(force_insert=True)
            return key
        finally:
            connection.close()

    def rotate_it() -> Rotated:
        try:
            return rotate(organization.id, actor=ACTOR)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        sealing = pool.submit(seal_slowly)
        assert has_sealed.wait(20)
        rotating = pool.submit(rotate_it)
        wait_until(lambda: len(versions(organization)) == 2)
        wait_until(is_somebody_waiting)
        assert not rotating.done()
        may_commit.set()
        assert rotating.result(30) == Rotated(1, 0, 1)
        assert opened(sealing.result()) == PLAINS[0]
    assert versions(organization) == [2]


def is_somebody_waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def wait_until(is_so) -> None:
    for _ in range(400):
        if is_so():
            return
        time.sleep(0.05)
    raise AssertionError("it never came to that")


def test_keys_registered_and_replaced_while_rotations_run_all_open(organization, workspace):
    stop = threading.Event()

    def rotate_on() -> None:
        try:
            while not stop.is_set():
                rotate(organization.id, actor=ACTOR)
        finally:
            connection.close()

    def use(number: int) -> tuple[MistralKey, str]:
        try:
            plain = f"{number:02}" + PLAINS[0][2:]
            key = registered(workspace, plain)
            for turn in range(3):
                plain = f"{number:02}{turn}" + PLAINS[1][3:]
                services.replace_secret(actor=ACTOR, key=key, plain=Secret(plain))
            return key, plain
        finally:
            connection.close()

    with ThreadPoolExecutor(5) as pool:
        rotating = [pool.submit(rotate_on) for _ in range(2)]
        made = list(pool.map(use, range(6)))
        stop.set()
        for one in rotating:
            one.result(60)
    assert [opened(key) for key, _ in made] == [plain for _, plain in made]
    rotate(organization.id, actor=ACTOR)
    assert len(versions(organization)) == 1
    assert [opened(key) for key, _ in made] == [plain for _, plain in made]


def test_what_was_read_before_a_rotation_opens_after_it(organization, workspace):
    key = registered(workspace, PLAINS[0])
    services.replace_secret(actor=ACTOR, key=key, plain=Secret(PLAINS[1]), grace_seconds=600)
    claim = new_id()
    with scope.tenant(organization.id):
        MistralKey.objects.filter(pk=key.pk).update(claim=claim)
        stale, waiting = MistralKey.objects.get(pk=key.pk), KeyReplacement.objects.get(key=key)
    rotate(organization.id, actor=ACTOR)
    with scope.tenant(organization.id):
        assert custody.borrow(stale).reveal() == PLAINS[0]
        assert custody.borrow_waiting(stale, waiting).reveal() == PLAINS[1]
        assert replacing.take_over(ACTOR, stale, waiting, claim)
    assert opened(key) == PLAINS[1], "what takes over is the box as it is now, not as it was read"


def test_a_box_that_does_not_open_keeps_its_data_key_and_holds_up_nothing_else(
    organization, workspace
):
    lost, good = (registered(workspace, plain) for plain in PLAINS)
    with scope.tenant(organization.id):
        box = bytes(MistralKey.objects.get(pk=lost.pk).sealed or b"")
        MistralKey.objects.filter(pk=lost.pk).update(sealed=box[:-1] + bytes([box[-1] ^ 1]))
    assert rotate(organization.id, actor=ACTOR) == Rotated(1, 1, 0)
    assert versions(organization) == [1, 2]
    assert opened(good) == PLAINS[1]
    with scope.tenant(organization.id):
        MistralKey.objects.filter(pk=lost.pk).update(sealed=box)
    assert opened(lost) == PLAINS[0], "what comes back opens"
    assert rotate(organization.id, actor=ACTOR) == Rotated(1, 0, 1)


def test_an_organization_that_is_erased_meanwhile_gets_no_new_data_key(organization):
    keys = data_key_rotation._keys(organization.id)
    with scope.tenant(organization.id):
        erasure.destroy_data_keys(organization)
        erasure.forget(organization)
    data_key_rotation._make_next(organization.id, keys, ACTOR)
    assert versions(organization) == []
    assert rotate(organization.id, actor=ACTOR) == Rotated()


def test_a_task_that_is_delivered_twice_rotates_once(organization):
    leaving = str(data_key_of(organization))
    for _ in range(2):
        tasks.rotate_data_key(str(organization.id), leaving)
    assert versions(organization) == [2]


def test_a_rotation_that_is_told_to_stop_ends_behind_a_page_and_its_next_turn_goes_on(
    organization, workspace, monkeypatch
):
    keys = [registered(workspace, plain) for plain in PLAINS]
    whose = (str(organization.id), str(data_key_of(organization)))
    queued = []
    monkeypatch.setattr(boxes, "_PAGE", 1)
    monkeypatch.setattr(turns, "step", lambda: True)
    monkeypatch.setattr(tasks, "enqueue_on_commit", lambda _task, *ids: queued.append(ids))
    for known in ([1, 2], [2], [2]):
        tasks.rotate_data_key(*whose)
        assert versions(organization) == known
    assert queued == [whose, whose], "as often as there was something to seal anew"
    assert [opened(key) for key in keys] == PLAINS


def test_old_data_keys_are_due_and_young_ones_are_not(organization):
    pair = (organization.id, data_key_of(organization))
    assert pair not in set(data_key_rotation.due(days=1))
    with scope.tenant(organization.id):
        DataKey.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert pair in set(data_key_rotation.due(days=1))


def test_a_lost_data_key_gets_a_successor_only_when_it_is_asked_for(
    organization, workspace, keyring
):
    lost = registered(workspace, PLAINS[0])
    assert not data_key_rotation.replace_lost(organization.id, actor=ACTOR), "it is not lost"
    keyring()
    assert data_key_rotation.replace_lost(organization.id, actor=ACTOR)
    again = registered(workspace, PLAINS[1])
    assert opened(again) == PLAINS[1]
    keyring(None)
    assert opened(lost) == PLAINS[0], "and what was lost came back with its master key"


def test_the_command_shows_progress_and_what_was_done(organization, workspace):
    key = registered(workspace, PLAINS[0])
    out, err = io.StringIO(), io.StringIO()
    call_command("rotate_data_keys", "--organization", str(organization.id), stdout=out, stderr=err)
    assert out.getvalue() == "1 data keys destroyed, 1 secrets sealed anew\n"
    assert "1/1 organizations" in err.getvalue()
    with scope.tenant(organization.id):
        MistralKey.objects.filter(pk=key.pk).update(sealed=b"no box")
    with pytest.raises(CommandError, match="1 secrets do not open"):
        call_command(
            "rotate_data_keys", "--organization", str(organization.id), stdout=out, stderr=err
        )


def test_rows_of_several_kinds_in_one_column_keep_their_kind(organization):
    row = kept_answer(organization)
    with scope.tenant(organization.id):
        key = data_keys.newest(organization.id)
        place = replace(key.place, row=row.id, slot="call-answer")
        sealed = data_keys.seal(Secret("of a call"), key=key, place=place)
        TenantRequest.objects.filter(pk=row.pk).update(body=sealed)
    assert rotate(organization.id, actor=ACTOR) == Rotated(1, 0, 1)
    with scope.tenant(organization.id):
        fresh, key = TenantRequest.objects.get(pk=row.pk), data_keys.newest(organization.id)
        place = replace(key.place, row=row.id, slot="call-answer")
        box = bytes(fresh.body or b"")
        assert data_keys.unseal(box, key=key, place=place).reveal() == "of a call"
