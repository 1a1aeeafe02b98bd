"""Webhooks over a real wire: signed, once each, tried again, given up, resumed after a crash."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone
from standardwebhooks import WebhookVerificationError

from tenants.common import scope
from tenants.notices import delivering, outcomes, publishing, services, tasks, webhooks
from tenants.notices.models import Delivery, WebhookSecret
from tenants.notices.timing import Timing
from tenants.organizations.models import Announcement, AuditEvent
from tests import factories
from tests.factories import ACTOR
from tests.notices.conftest import Hook
from tests.notices.receiver import Say


def test_what_was_announced_arrives_signed_and_in_the_standard_form(hook, receiver, workspace):
    hook.announce("key.validated", key_id="k", name="perché")
    delivering.deliver_due()
    (request,) = receiver.received
    event = request.verified(hook.secret)
    with scope.tenant(hook.organization.pk):
        row = Announcement.objects.get(kind="key.validated")
    assert event["type"] == "key.validated"
    assert event["timestamp"] == row.created_at.isoformat().replace("+00:00", "Z")
    assert event["data"] == {
        "organization_id": str(hook.organization.pk),
        "workspace_id": None,
        "key_id": "k",
        "name": "perché",
    }
    assert request.path == "/hooks?tenant=1"
    assert request.headers["webhook-id"] == f"msg_{row.pk.hex}"
    assert request.headers["content-type"] == "application/json"
    (delivery,) = hook.deliveries
    assert (delivery.status, delivery.attempts, delivery.status_code) == ("delivered", 1, 200)
    assert delivery.response == "ok"


def test_a_body_that_was_changed_on_the_way_does_not_verify(hook, receiver):
    hook.announce(amount="1.00")
    delivering.deliver_due()
    (request,) = receiver.received
    forged = type(request)(request.path, request.headers, request.body.replace(b"1.00", b"9.00"))
    for secret, one in ((hook.secret, forged), ("whsec_" + "A" * 44, request)):
        with pytest.raises(WebhookVerificationError):
            one.verified(secret)


def test_each_endpoint_gets_what_it_chose_once_however_often_it_is_published(
    organization, stranger, receiver
):
    everything = Hook(organization, receiver.url)
    some = Hook(organization, receiver.url, kinds=["key.invalid"])
    switched_off = Hook(organization, receiver.url, is_enabled=False)
    theirs = Hook(stranger, receiver.url)
    for kind in ("key.validated", "key.invalid"):
        everything.announce(kind, publish=False)

    def publish(_number: int) -> int:
        try:
            return publishing.publish(organization.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(publish, range(8))) == 2
    assert [one.kind for one in everything.deliveries] == ["key.validated", "key.invalid"]
    assert [one.kind for one in some.deliveries] == ["key.invalid"]
    assert switched_off.deliveries == theirs.deliveries == []


def test_what_fails_is_tried_again_later_and_later_with_the_same_id(hook, receiver):
    hook.announce()
    receiver.answers.extend([Say(500, body=b"no"), Say(404), Say(200)])
    waits = []
    for _ in range(2):
        hook.deliver()
        (row,) = hook.deliveries
        assert row.status == "pending"
        assert row.due_at is not None
        waits.append((row.due_at - timezone.now()).total_seconds())
    assert 0 < waits[0] <= 6.25
    assert 200 < waits[1] <= 375
    delivering.deliver_due()
    assert len(receiver.received) == 2, "nothing before its time"
    hook.deliver()
    assert {one.headers["webhook-id"] for one in receiver.received} == {
        receiver.received[0].headers["webhook-id"]
    }
    (row,) = hook.deliveries
    assert (row.status, row.attempts) == ("delivered", 3)
    assert [one["status_code"] for one in row.log] == [500, 404, 200]
    assert hook.endpoint.failures == 0


def test_after_ten_attempts_over_days_it_is_over(hook, receiver):
    hook.announce()
    with scope.tenant(hook.organization.pk):
        Delivery.objects.filter(endpoint=hook.row).update(attempts=9)
    receiver.always = Say(500)
    hook.deliver()
    (row,) = hook.deliveries
    assert (row.status, row.attempts, row.due_at) == ("failed", 10, None)
    assert sum(Timing().waits) > 3 * 86_400


def test_a_busy_endpoint_is_left_alone_for_as_long_as_it_asks(hook, receiver):
    hook.announce()
    receiver.answers.append(Say(429, headers=(("retry-after", "3600"),)))
    hook.deliver()
    (row,) = hook.deliveries
    assert row.due_at is not None
    assert row.due_at > timezone.now() + timedelta(seconds=3_500)


def test_410_switches_the_endpoint_off_and_tells_so(hook, receiver):
    hook.announce()
    receiver.answers.append(Say(410))
    hook.deliver()
    assert (hook.endpoint.is_enabled, hook.endpoint.disabled_reason) == (False, "gone")
    assert hook.deliveries[0].status == "failed"
    with scope.tenant(hook.organization.pk):
        told = Announcement.objects.get(kind="webhook.disabled")
        assert AuditEvent.objects.filter(verb="webhook.disabled").count() == 1
    assert (told.data["reason"], told.data["host"]) == ("gone", "127.0.0.1")
    hook.announce()
    assert len(hook.deliveries) == 1, "nothing more goes there"


def test_days_of_failure_switch_it_off_and_what_waits_goes_out_when_it_is_on_again(hook, receiver):
    hook.announce()
    receiver.always = Say(503)
    hook.change(failures=9, failing_since=timezone.now() - timedelta(days=4))
    hook.deliver()
    assert hook.endpoint.is_enabled, "four days are not enough"
    hook.change(failing_since=timezone.now() - timedelta(days=6))
    hook.deliver()
    assert (hook.endpoint.is_enabled, hook.endpoint.disabled_reason) == (False, "failing")
    receiver.always = None
    hook.deliver()
    assert hook.deliveries[0].status == "pending"
    services.update_webhook(actor=ACTOR, endpoint=hook.row, changes={"is_enabled": True})
    hook.deliver()
    assert hook.deliveries[0].status == "delivered"
    assert hook.endpoint.failing_since is None


def test_an_endpoint_that_fails_rests_and_is_then_tried_with_one_only(hook, receiver):
    for _ in range(6):
        hook.announce()
    receiver.always = Say(500)
    delivering.deliver_due()
    first = len(receiver.received)
    assert first <= Timing().share, "its share of a batch"
    assert hook.endpoint.rests_until is not None
    delivering.deliver_due()
    assert len(receiver.received) == first
    hook.deliver()
    assert len(receiver.received) == first + 1


def test_endpoints_take_turns_however_long_the_queue_of_one_is(
    organization, stranger, receiver, settings
):
    settings.NOTICES_TIMING = {"threads": 2, "share": 2, "most": 2, "stretch": 0}
    flood = Hook(organization, receiver.url)
    for _ in range(10):
        flood.announce()
    late = Hook(stranger, receiver.url)
    late.announce()
    settings.NOTICES_TIMING |= {"stretch": 0.001}
    delivering.deliver_due()
    assert late.deliveries[0].status == "delivered"
    assert sum(one.status == "delivered" for one in flood.deliveries) < 10


def test_an_endpoint_that_hangs_does_not_keep_the_others_waiting(
    organization, receiver, monkeypatch
):
    slow = Hook(organization, receiver.url, kinds=["key.validated"])
    quick = Hook(organization, receiver.url, kinds=["key.invalid"])
    for _ in range(10):
        slow.announce("key.validated")
        slow.announce("key.invalid")
    monkeypatch.setattr(delivering, "_LOOK_AGAIN", 0.02)
    released = threading.Event()
    honest = webhooks.post

    def post(target: Any, body: bytes, headers: Any, **more: Any) -> webhooks.Answer:
        if b"key.validated" in body:
            assert released.wait(10)
        return honest(target, body, headers, **more)

    def deliver() -> int:
        try:
            return delivering.deliver_due()
        finally:
            connection.close()

    monkeypatch.setattr(webhooks, "post", post)
    with ThreadPoolExecutor(1) as worker:
        working = worker.submit(deliver)
        for _ in range(1_500):
            if {one.status for one in quick.deliveries} == {"delivered"}:
                break
            time.sleep(0.01)
        assert {one.status for one in quick.deliveries} == {"delivered"}
        assert {one.status for one in slow.deliveries} == {"pending"}
        released.set()
        assert working.result() == 20
    assert {one.status for one in slow.deliveries} == {"delivered"}


def test_a_redirect_is_a_failure_and_is_not_followed(hook, receiver):
    hook.announce()
    receiver.answers.append(Say(302, headers=(("location", f"{receiver.url}&moved=1"),)))
    hook.deliver()
    assert len(receiver.received) == 1
    assert hook.deliveries[0].status_code == 302
    assert hook.deliveries[0].status == "pending"


def test_an_answer_is_cut_masked_and_waited_for_only_so_long(hook, receiver, settings):
    settings.NOTICES_TIMING = {"answer": 1}
    key = "Zk3" + "aB4" * 10
    hook.announce()
    receiver.answers.append(Say(500, body=f"key {key}\x00\x1b ".encode() + b"x" * 100_000))
    hook.deliver()
    kept = hook.deliveries[0].response
    assert key not in kept
    assert len(kept) <= 1_000
    assert "\x00" not in kept
    receiver.answers.append(Say(200, body=b"slowly", drip=0.3))
    hook.deliver()
    row = hook.deliveries[0]
    assert (row.status, row.error, row.status_code) == ("pending", "timed_out", None)
    assert row.log[-1]["milliseconds"] < 1_700


def test_a_worker_that_dies_between_post_and_commit_loses_nothing(hook, receiver, monkeypatch):
    hook.announce()

    def die(*_facts: object) -> None:
        raise SystemExit

    monkeypatch.setattr(outcomes, "commit", die)
    with pytest.raises(SystemExit):
        delivering.deliver_due()
    monkeypatch.undo()
    assert len(receiver.received) == 1
    delivering.deliver_due()
    assert len(receiver.received) == 1, "the dead worker's lease holds"
    hook.deliver()
    first, second = receiver.received
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    assert (hook.deliveries[0].status, hook.deliveries[0].attempts) == ("delivered", 1)


def test_a_worker_that_lost_its_claim_commits_nothing(hook, receiver):
    hook.announce()
    delivering.deliver_due()
    (row,) = hook.deliveries
    row.claim = row.pk
    outcomes.commit([(row, webhooks.Answer(error="timed_out"))], Timing())
    assert (hook.deliveries[0].status, hook.deliveries[0].attempts) == ("delivered", 1)


def test_of_many_workers_at_once_one_posts(hook, receiver):
    for _ in range(3):
        hook.announce()
    together = threading.Barrier(4, timeout=30)

    def deliver(_number: int) -> int:
        try:
            together.wait(5)
            return delivering.deliver_due()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(deliver, range(4))) == 3
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 3
    assert len(receiver.received) == 3


def test_no_transaction_is_open_while_an_endpoint_is_asked(hook, monkeypatch):
    hook.announce()
    seen = []
    main = connections["default"]

    def look(*_facts: object, **_more: object) -> webhooks.Answer:
        seen.append(main.in_atomic_block)
        return webhooks.Answer(status=200)

    monkeypatch.setattr(webhooks, "post", look)
    delivering.deliver_due()
    assert seen == [False]


def test_a_replay_has_the_id_it_had(hook, receiver):
    hook.announce()
    hook.deliver()
    services.replay(actor=ACTOR, delivery=hook.deliveries[0])
    assert hook.deliveries[0].status == "pending"
    hook.deliver()
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
    assert len(receiver.received) == 2
    assert (hook.deliveries[0].status, len(hook.deliveries[0].log)) == ("delivered", 2)


def test_a_test_is_sent_once_to_one_endpoint_and_ruins_nothing(hook, receiver, organization):
    other = Hook(organization, receiver.url)
    receiver.answers.append(Say(500))
    services.send_test(actor=ACTOR, endpoint=hook.row)
    publishing.publish(organization.pk)
    delivering.deliver_due()
    (request,) = receiver.received
    assert request.verified(hook.secret)["type"] == "webhook.test"
    assert (hook.deliveries[0].status, other.deliveries) == ("failed", [])
    assert hook.endpoint.failing_since is None


def test_after_a_rotation_both_secrets_sign_until_the_grace_is_over(hook, receiver):
    newer = services.rotate_secret(actor=ACTOR, endpoint=hook.row, grace_seconds=600).reveal()
    hook.announce()
    hook.deliver()
    for secret in (hook.secret, newer):
        assert receiver.received[-1].verified(secret)
    with scope.tenant(hook.organization.pk):
        past = timezone.now() - timedelta(seconds=1)
        WebhookSecret.objects.filter(endpoint=hook.row, version=1).update(ends_at=past)
    hook.announce()
    hook.deliver()
    assert receiver.received[-1].verified(newer)
    with pytest.raises(WebhookVerificationError):
        receiver.received[-1].verified(hook.secret)
    newest = services.rotate_secret(actor=ACTOR, endpoint=hook.row, grace_seconds=0).reveal()
    hook.announce()
    hook.deliver()
    assert receiver.received[-1].verified(newest)
    with scope.tenant(hook.organization.pk):
        assert WebhookSecret.objects.filter(endpoint=hook.row).count() == 1


def test_the_sweep_publishes_and_hands_on_to_the_queue(hook, receiver, monkeypatch):
    handed: list[object] = []
    monkeypatch.setattr(tasks, "enqueue_on_commit", handed.append)
    hook.announce(publish=False)
    tasks.sweep.run()
    assert handed == [tasks.deliver]
    tasks.deliver.run()
    assert len(receiver.received) == 1
    tasks.sweep.run()
    assert handed == [tasks.deliver], "nothing is due any more"


def test_what_an_erased_organization_announces_goes_nowhere(hook, receiver):
    other = factories.organization()
    erased = Hook(other, receiver.url)
    with scope.tenant(other.pk):
        type(other).objects.filter(pk=other.pk).update(status="erased")
    erased.announce(publish=False)
    publishing.publish_due()
    assert erased.deliveries == []
    with scope.tenant(other.pk):  # its data key was not destroyed: others walk over all of them
        type(other).objects.filter(pk=other.pk).update(status="active")
