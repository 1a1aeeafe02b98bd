"""The platform's pages: how Mistral answers, who needs attention, what an import changed."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
from django.utils import timezone

from tenants.assistance import workers
from tenants.assistance.models import PlatformEvent, WorkerSeen
from tenants.assistance.staff import StaffRole
from tenants.common import scope
from tenants.keys.models import MistralKey
from tenants.spend import recovery
from tenants.spend.calls import Outcome
from tenants.spend.meter import Meter
from tenants.spend.models import BatchJob, Price
from tenants.spend.pricing import Quantities
from tenants.spend.services import set_limit
from tenants.support import figures
from tests.api.world import world
from tests.factories import ACTOR
from tests.postgres import owner_url
from tests.spend import made
from tests.spend.batched import Batch
from tests.spend.made import as_owner
from tests.support.conftest import hire


def counted() -> dict[str, int]:
    return {one.name: one.amount for one in figures.answers()}


def holds() -> int:
    return next(one.amount for one in figures.figures() if one.name == "holds")


def test_holds_of_batches_that_go_on_are_not_left_over(organization):
    before = holds()
    batch = Batch("/v1/chat/completions", "mistral-small-latest", held=Quantities(prompt_tokens=9))
    assert made.holds(batch.organization)
    assert holds() == before
    with scope.tenant(batch.organization.id):
        BatchJob.objects.update(metered_at=timezone.now())
    assert holds() == before + 1


def abandoned() -> int:
    return next(one.amount for one in figures.lags() if one.name == "estimates_process_died")


def test_calls_of_a_process_that_died_are_counted_for_an_hour(organization):
    small = world(organization)
    before = abandoned()
    dead = Meter()
    at = timezone.now() - timedelta(minutes=1)
    dead.open_calls([made.intent(organization, small.workspace, call_id=made.id_at(at))])
    made.die(dead)
    assert abandoned() == before
    recovery.recover_orphans_of(organization.id)
    assert abandoned() == before + 1
    older = "UPDATE spend_usageevent SET created_at = %s WHERE organization_id = %s"
    as_owner(older, timezone.now() - timedelta(minutes=61), organization.id)
    assert abandoned() == before


def test_they_are_found_without_reading_the_ledger():
    with psycopg.connect(owner_url()) as owner:
        owner.execute("SET enable_seqscan = off")
        source = "SELECT prosrc FROM pg_proc WHERE proname = 'support_lags'"
        [(body,)] = owner.execute(source).fetchall()
        query = body.rpartition("UNION ALL")[2]
        assert "process_died" in query
        [(plan,)] = owner.execute(f"EXPLAIN (FORMAT JSON) {query}").fetchall()
    told = json.dumps(plan)
    assert '"Seq Scan"' not in told
    assert "created_at >" in " ".join(re.findall(r'"Index Cond": "([^"]*)"', told))


def test_answers_of_mistral_are_counted_by_class(organization):
    small = world(organization)
    before = counted()
    meter = Meter()
    ends = [
        ("answered", Outcome.COMPLETED, 200),
        ("quota", Outcome.REFUSED, 429),
        ("payment", Outcome.REFUSED, 402),
        ("key", Outcome.REFUSED, 401),
        ("request", Outcome.REFUSED, 422),
        ("capacity", Outcome.FAILED, 503),
        ("outage", Outcome.FAILED, 500),
        ("unreachable", Outcome.FAILED, None),
        ("caller", Outcome.DISCONNECTED, 200),
        ("gateway", Outcome.NOT_SENT, None),
    ]
    calls = [made.intent(organization, small.workspace) for _ in ends]
    meter.open_calls(calls)
    meter.settle_calls(
        [
            made.settlement(call, "0", outcome=outcome, http_status=status)
            for call, (_name, outcome, status) in zip(calls, ends, strict=True)
        ]
    )
    meter.close()
    after = counted()
    assert all(after[name] > before.get(name, 0) for name, _outcome, _status in ends)
    viewer = hire(StaffRole.VIEWER)
    shown = viewer.get("platform").text
    for words in ("provider: quota (429)", "provider: no capacity (503)", "gateway: not sent"):
        assert words in shown
    assert re.search(r"\d\.\d\d %", shown)
    viewer.client.cookies["aim_language"] = "it"
    assert re.search(r"\d,\d\d %", viewer.get("platform").text)


def test_workers_are_named_by_what_they_say_of_themselves():
    workers.note("celery@one-that-lives")
    silent = WorkerSeen(name="celery@gone", seen_at=timezone.now() - timedelta(minutes=9))
    silent.save()
    shown = hire(StaffRole.VIEWER).get("platform").text
    assert shown.index("celery@gone") < shown.index("silent") < shown.index("one-that-lives")
    silent.delete()


def test_who_needs_attention_is_counted_and_told_by_id_alone(organization):
    small = world(organization)
    set_limit(
        actor=ACTOR, organization=organization, subject=organization, monthly_spend=Decimal(10)
    )
    day = timezone.now().date() + timedelta(days=5)
    with scope.tenant(organization.pk):
        MistralKey.objects.filter(pk=small.key.pk).update(expires_on=day)
    as_owner("UPDATE spend_balance SET settled = 9 WHERE organization_id = %s", organization.pk)
    viewer = hire(StaffRole.VIEWER)
    shown = viewer.get("platform/attention").text
    link = f"/admin/organizations/{organization.pk}"
    assert shown.count(link) == 2
    assert "90 % and over" in shown
    assert "within 7 days" in shown
    named = (organization.name, organization.slug, f"{day}", small.key.last4, small.key.name)
    assert [word for word in named if word in shown] == []
    form = viewer.client.get(f"{link}/open").text  # where an id leads: the name is logged
    assert organization.name in form
    with scope.platform():
        events = PlatformEvent.objects.filter(person=viewer.person).order_by("id")
        told = list(events.values_list("verb", "detail"))
    assert told == [("attention.viewed", ""), ("directory.asked", str(organization.pk))]


def test_an_import_shows_what_it_changed(organization):
    model = f"made-up-{organization.pk}"
    for amount, at, checksum in (
        ("0.10", datetime(2026, 1, 1, tzinfo=UTC), f"a{organization.pk.hex}"),
        ("0.12", datetime(2026, 2, 1, tzinfo=UTC), f"b{organization.pk.hex}"),
    ):
        as_owner(
            "INSERT INTO spend_price (created_at, mistral_model, meter, currency, amount, per,"
            " free, is_converted, effective_from, source, checksum)"
            " VALUES (now(), %s, 'input', 'EUR', %s, 1000000, false, false, %s, 'a test', %s)",
            model,
            amount,
            at,
            checksum,
        )
    viewer = hire(StaffRole.VIEWER)
    assert f"?import=b{organization.pk.hex}" in viewer.get("platform/prices").text
    shown = viewer.get("platform/prices", **{"import": f"b{organization.pk.hex}"}).text
    for words in (model, "0.10 EUR / 1000000", "0.12 EUR / 1000000", "+20.0 %"):
        assert words in shown
    viewer.client.cookies["aim_language"] = "it"
    assert "+20,0 %" in viewer.get("platform/prices", **{"import": f"b{organization.pk.hex}"}).text
    assert Price.objects.filter(mistral_model=model).count() == 2
    as_owner("DELETE FROM spend_price WHERE mistral_model = %s", model)
