"""A paid trial: asked for, priced first, metered under every limit, and never sent twice."""

import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from threading import Thread

import pytest
from django.db import connection
from django.utils import timezone

from tenants.common import scope
from tenants.common.months import Month
from tenants.common.problems import Conflict, Invalid
from tenants.keys import trying, verdicts
from tenants.keys.models import KeyProbe, ProbeStatus, SeenModel
from tenants.spend import pricebook, probes, probing, reports
from tenants.spend.models import Hold, UsageEvent
from tenants.spend.pricing import Meter
from tenants.spend.services import set_limit
from tests.factories import ACTOR
from tests.keys.conftest import _timing, made_up, mistral
from tests.keys.keyring import checked, name_of, registered

__all__ = ["_timing", "made_up", "mistral"]
CHAT = "/v1/chat/completions"


@pytest.fixture
def plain(made_up) -> str:
    """A key that Mistral accepts."""
    return str(made_up(organization="aurora", workspace="main"))


@pytest.fixture
def key(workspace, plain):
    """The same key, valid in Alice's default workspace."""
    return checked(registered(workspace, plain))


def requested(key, **facts) -> KeyProbe:
    return probes.request_probe(actor=ACTOR, key=key, **facts)


def made(probe) -> KeyProbe:
    """Let a worker make a trial, and read it anew."""
    probing.probe(probe.organization_id, probe.pk)
    with scope.tenant(probe.organization_id):
        return KeyProbe.objects.select_related("key").get(pk=probe.pk)


def events(key) -> list[UsageEvent]:
    with scope.tenant(key.organization_id):
        assert not Hold.objects.filter(key_id=key.pk).exists()
        return list(UsageEvent.objects.filter(key_id=key.pk).order_by("occurred_at"))


def asked(mistral, plain) -> int:
    return len(mistral.state.calls(key=name_of(plain), path=CHAT))


def test_a_check_spends_nothing_unless_a_trial_is_asked_for(mistral, plain, key):
    checked(key)
    assert asked(mistral, plain) == 0
    assert events(key) == []


def test_a_trial_costs_one_token_of_the_cheapest_model_and_is_in_the_ledger(
    organization, mistral, plain, key
):
    probe = requested(key)
    assert (probe.status, probe.cost) == (ProbeStatus.PENDING, None)
    quote = probe.quote
    assert quote is not None
    probe = made(probe)
    assert (probe.status, probe.verdict_code) == (ProbeStatus.ANSWERED, "ok")
    assert probe.completion_tokens == 1
    assert asked(mistral, plain) == 1
    (event,) = events(key)
    assert event.id == probe.pk
    assert (event.category, event.model_id, event.requests) == ("probe", None, 1)
    assert event.cost == probe.cost
    assert probe.cost is not None
    assert 0 < probe.cost <= quote
    verdict = verdicts.of_probe(probe)
    assert verdict is not None
    assert verdict.code == "ok"
    with scope.tenant(organization.id):
        assert KeyProbe.objects.get(pk=probe.pk).finished_at is not None


def test_spend_shows_trials_in_a_category_of_their_own(organization, key):
    probe = made(requested(key))
    month = Month.of(timezone.now(), organization.timezone)
    report = reports.spend_report(organization=organization, month=month, group_by=["category"])
    groups = {group.names["category"]: group.amount for group in report.groups}
    assert groups == {"probe": probe.cost}


def test_while_one_is_pending_no_other_is_made(key, mistral, plain):
    first, again = requested(key), requested(key)
    assert first.pk == again.pk
    made(first)
    made(again)
    assert asked(mistral, plain) == 1
    assert requested(key).pk != first.pk


@pytest.mark.parametrize(
    "answer",
    [
        ("subscription_required", "subscription_required", "subscription_required"),
        ("api_budget_exhausted", "spending_limit_reached", "included_usage_exhausted"),
        ("spending_limit_reached", "spending_limit_reached", "spending_limit_reached"),
        ("model_tier_denied", "mistral_unavailable", "model_tier_denied"),
        ("labs_not_enabled", "mistral_unavailable", "labs_not_enabled"),
        ("model_unknown", "mistral_unavailable", "model_unknown"),
        ("bad_arguments", "mistral_unavailable", "bad_request"),
        ("validation", "mistral_unavailable", "validation"),
        ("rate_limited", "rate_limited", "rate_limited"),
        ("service_unavailable", "mistral_unavailable", "server_error"),
    ],
    ids=lambda answer: answer[0],
)
def test_a_trial_that_mistral_refuses_says_why_and_costs_nothing(mistral, plain, key, answer):
    error, code, cause = answer
    mistral.state.change(name_of(plain), behaviour={"error": error, "scope": "inference"})
    probe = made(requested(key))
    assert (probe.status, probe.verdict_code) == (ProbeStatus.REFUSED, code)
    assert (probe.evidence["cause"], probe.cost) == (cause, Decimal(0))
    (event,) = events(key)
    assert event.cost == 0
    assert checked(key).status == "valid", "what the trial found is the trial's"


def test_a_limit_holds_for_a_trial_too_and_nothing_is_sent(organization, mistral, plain, key):
    set_limit(
        actor=ACTOR,
        organization=organization,
        subject=organization,
        monthly_spend=Decimal("0.000000001"),
    )
    probe = made(requested(key))
    assert (probe.status, probe.cost) == (ProbeStatus.NOT_SENT, None)
    assert probe.refusal is not None
    assert probe.refusal["reason"] == "spending_limit_reached"
    assert asked(mistral, plain) == 0
    assert events(key) == []


def test_only_a_chat_model_that_the_key_sees_is_tried(key):
    with pytest.raises(Invalid) as refusal:
        requested(key, mistral_model="mistral-embed")
    assert refusal.value.code == "model_not_available"
    assert requested(key, mistral_model="mistral-small-latest").mistral_model.startswith("mistral")


def test_a_key_that_was_never_accepted_has_nothing_to_try(workspace, made_up):
    key = registered(workspace, made_up())
    with pytest.raises(Conflict) as refusal:
        requested(key)
    assert refusal.value.code == "no_model_to_try"


def test_an_answer_that_is_lost_may_have_cost_and_is_counted_so(mistral, plain, key, settings):
    settings.KEY_TIMING = {**settings.KEY_TIMING, "probe": 0.3}
    mistral.state.change(name_of(plain), behaviour={"error": "hang", "scope": "inference"})
    probe = made(requested(key))
    assert (probe.status, probe.evidence["cause"]) == (ProbeStatus.REFUSED, "answer_lost")
    (event,) = events(key)
    assert (event.cost, event.estimate) == (probe.quote, "broken_answer")


def test_two_workers_on_one_trial_send_it_once(mistral, plain, key):
    mistral.state.change(name_of(plain), directives={"delay": 0.2})
    probe = requested(key)

    def work() -> None:
        try:
            probing.probe(probe.organization_id, probe.pk)
        finally:
            connection.close()

    workers = [Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert asked(mistral, plain) == 1
    assert len(events(key)) == 1


def test_a_worker_killed_after_sending_is_not_followed_by_a_second_call(
    mistral, plain, key, settings
):
    mistral.state.change(name_of(plain), behaviour={"error": "hang", "scope": "inference"})
    probe = requested(key)
    program = (
        "import django, sys, uuid; django.setup();"
        "from tenants.spend.probing import probe; probe(*map(uuid.UUID, sys.argv[1:]))"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", program, str(probe.organization_id), str(probe.pk)],
        env={**os.environ, "MISTRAL_API_URL": mistral.url},  # noqa: TID251 - the child needs the database
    )
    deadline = time.monotonic() + 30
    while not asked(mistral, plain) and time.monotonic() < deadline:
        assert worker.poll() is None
        time.sleep(0.02)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(10)
    assert made(probe).status == ProbeStatus.PENDING, "the claim still holds"
    with scope.tenant(probe.organization_id):
        KeyProbe.objects.filter(pk=probe.pk).update(claimed_until=timezone.now())
    assert (probe.organization_id, probe.pk) in trying.take_lost()
    probe = made(probe)
    assert (probe.status, probe.verdict_code) == (ProbeStatus.UNKNOWN, "")
    assert probe.cost == probe.quote, "it may have cost as much"
    assert asked(mistral, plain) == 1


def test_a_trial_of_an_alias_that_moved_is_priced_by_its_snapshot(key):
    alias, after = "mistral-small-latest", "mistral-medium-3-5"
    with scope.tenant(key.organization_id):
        assert SeenModel.objects.filter(key=key, mistral_id=alias).update(name=after)
    probe = requested(key, mistral_model=alias)
    dear = requested(key, mistral_model=alias).quote
    probe = made(probe)
    (event,) = events(key)
    prices = pricebook.prices_for(after, "EUR", event.occurred_at).meters
    assert event.answered_model == after
    assert set(event.price_ids) == {prices[Meter.INPUT].id, prices[Meter.OUTPUT].id}
    assert event.excess == 0
    assert dear is not None
    assert event.cost is not None
    assert event.cost <= dear
