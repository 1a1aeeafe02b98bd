"""Reported calls and corrections: counted once for ever, against every limit, never refused."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from tenants.common import scope
from tenants.common.models import new_id
from tenants.keys.models import SeenModel
from tenants.organizations.models import AuditEvent
from tenants.spend import limits, pricebook, services
from tenants.spend.calls import _CATEGORIES, CONNECTORS, category_of
from tenants.spend.own_prices import OwnPrice, report_prices
from tenants.spend.pricing import Meter as Metered
from tests.api import world
from tests.api.callers import organization_caller, platform_caller
from tests.factories import ACTOR
from tests.spend import made
from tests.spend.made import events, intent, ledger, recount

TOKENS = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
# 1000 at 0.12 and 100 at 0.5 EUR per million (mistral-small-2603)
COST = Decimal("0.00017")


@pytest.fixture
def hers(organization):
    return world.world(organization)


def event(hers, **facts):
    return {
        "event_id": str(new_id()),
        "workspace_id": str(hers.workspace.pk),
        "model": "mistral-small-2603",
        "endpoint": "/v1/chat/completions",
        "occurred_at": timezone.now().isoformat(),
        "usage": TOKENS,
    } | facts


def report(caller, *reported):
    answer = caller.post("/api/v1/usage", {"events": list(reported)})
    assert answer.status == 202, answer.raw
    return answer.body


def test_a_reported_call_is_priced_listed_and_counted(organization, hers):
    alice = organization_caller(organization)
    sent = event(
        hers, key_id=str(hers.key.pk), model_id=str(hers.model.pk), message_id="m-1", event_id="e1"
    )
    assert report(alice, sent) == {"accepted": 1, "duplicate": 0, "rejected": []}
    (row,) = events(organization)
    assert (row["cost"], row["source"], row["category"]) == (COST, "reported", "completion")
    assert len(row["price_ids"]) == 2
    assert ledger(organization) == recount(organization)
    assert ledger(organization)["key", hers.key.pk] == (COST, 0)
    spend = alice.get(f"/api/v1/spend?model_id={hers.model.pk}&group_by=source").body
    assert [(group["source"], group["amount"]) for group in spend["groups"]] == [
        ("reported", "0.00017")
    ]
    (message,) = alice.get("/api/v1/calls?message_id=m-1").body["results"]
    assert message["calls"][0]["request_id"] == "e1"
    with scope.tenant(organization.id):
        assert AuditEvent.objects.filter(verb="usage.reported").count() == 1


def test_an_event_counts_once_for_ever_whatever_comes_under_its_name(organization, hers):
    alice = organization_caller(organization)
    sent = event(hers)
    other_month = sent | {"occurred_at": (timezone.now() - timedelta(days=70)).isoformat()}
    assert report(alice, sent, sent)["duplicate"] == 1
    assert report(alice, sent, other_month) == {"accepted": 0, "duplicate": 2, "rejected": []}
    made.as_owner("DELETE FROM spend_usageevent WHERE organization_id = %s", organization.id)
    assert report(alice, sent)["duplicate"] == 1
    assert events(organization) == []


@pytest.mark.parametrize("first", ["tokens", "tools", "both"])
def test_a_part_that_comes_later_under_the_same_name_counts_no_more(organization, hers, first):
    tools = {"connectors": {"web_search": 2}}
    usages = {"tokens": TOKENS, "tools": tools, "both": TOKENS | tools}
    alice = organization_caller(organization)
    sent = event(hers, endpoint="/v1/conversations", usage=usages.pop(first))
    assert report(alice, sent)["accepted"] == 1
    known = events(organization)
    for usage in usages.values():
        answer = report(alice, sent | {"usage": usage}, event(hers))
        assert (answer["accepted"], answer["duplicate"]) == (1, 1)
    counted = {row["request_id"]: row for row in events(organization)}
    assert len(counted) == 3
    assert len(events(organization)) == len(known) + 2


def test_a_batch_sent_by_many_at_once_counts_once(organization, hers):
    sent = [event(hers) for _ in range(20)]
    callers = [organization_caller(organization) for _ in range(4)]
    start = threading.Barrier(4, timeout=20)

    def send(caller):
        start.wait()
        accepted = report(caller, *sent)["accepted"]
        connection.close()
        return accepted

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(send, callers)) == 20
    assert len(events(organization)) == 20
    assert ledger(organization) == recount(organization)


def test_parts_under_the_same_names_sent_at_once_count_once(organization, hers):
    named = [event(hers, endpoint="/v1/conversations") for _ in range(20)]
    usages = (TOKENS, {"connectors": {"web_search": 2}})
    batches = [[sent | {"usage": usage} for sent in named] for usage in usages]
    start = threading.Barrier(2, timeout=20)

    def send(batch):
        caller = organization_caller(organization)
        start.wait()
        accepted = report(caller, *batch)["accepted"]
        connection.close()
        return accepted

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(send, batches)) == 20
    assert len(events(organization)) == 20


def test_what_is_wrong_is_rejected_by_itself_and_the_rest_is_taken(organization, hers, stranger):
    alice = organization_caller(organization)
    theirs = world.world(stranger)
    wrong = {
        "/workspace_id": event(hers, workspace_id=str(theirs.workspace.pk)),
        "/key_id": event(hers, key_id=str(theirs.key.pk)),
        "/model_id": event(hers, model_id=str(theirs.model.pk)),
        "/occurred_at": event(
            hers, occurred_at=(timezone.now() + timedelta(minutes=20)).isoformat()
        ),
        "/usage": event(hers, usage={"prompt_tokens": -1}),
        "/model": event(hers, model=7),
        "/colour": event(hers, colour="red"),
    }
    old = event(hers, occurred_at="2020-01-01T00:00:00Z")
    empty = event(hers, usage={})
    answer = report(alice, *wrong.values(), event(hers), old, empty)
    assert (answer["accepted"], answer["duplicate"]) == (1, 0)
    found = {
        (one["event_id"], error["pointer"]) for one in answer["rejected"] for error in one["errors"]
    }
    assert found == {
        *((sent["event_id"], pointer) for pointer, sent in wrong.items()),
        (old["event_id"], "/occurred_at"),
        (empty["event_id"], "/usage"),
    }
    assert len(events(organization)) == 1
    assert events(stranger) == []


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ("2026-11-27", "no_offset"),
        ("2026-11-27T03:00:00", "no_offset"),
        ("2026-W48-5", "no_offset"),
        ("2026-11-27T03Z", "invalid"),
        ("2026-11-27T03:00Z", "invalid"),
        ("2026-W48-5T03:00:00Z", "invalid"),
        ("20261127T030000Z", "invalid"),
        ("2026-11-27T03:00:00+0100", "invalid"),
    ],
)
def test_an_instant_is_written_as_in_rfc_3339(organization, hers, told, code):
    (one,) = report(organization_caller(organization), event(hers, occurred_at=told))["rejected"]
    (error,) = one["errors"]
    assert (error["pointer"], error["code"]) == ("/occurred_at", code)


def test_what_is_no_object_does_not_spoil_the_batch(organization, hers):
    wrong: list[object] = [5, None, "x", [], [{}]]
    answer = report(organization_caller(organization), *wrong, event(hers))
    assert answer["accepted"] == 1
    assert [one["event_id"] for one in answer["rejected"]] == [None] * len(wrong)
    assert {error["code"] for one in answer["rejected"] for error in one["errors"]} == {
        "not_an_object"
    }


def test_a_batch_has_at_most_a_thousand_events_and_at_least_one(organization, hers):
    alice = organization_caller(organization)
    for many in (0, 1001):
        answer = alice.post("/api/v1/usage", {"events": [{"event_id": "x"}] * many})
        assert (answer.status, answer.code) == (422, "validation_failed")
    assert events(organization) == []


def test_a_platform_token_reports_for_several_organizations_at_once(organization, hers, stranger):
    theirs = world.world(stranger)
    answer = report(platform_caller("usage:write"), event(hers), event(theirs))
    assert answer["accepted"] == 2
    assert len(events(organization)) == len(events(stranger)) == 1


CHAT, FREE = "mistral-small-2603", "mistral-moderation-2603"
PROMPT = {"prompt_tokens": 10, "total_tokens": 10}
CACHED = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "prompt_tokens_details": {"cached_tokens": 640},
}
# As Mistral's documentation shows them: tokens of a transcription are told, and free; what a
# connector brought in is read like everything else.
HEARD = {"prompt_tokens": 4, "completion_tokens": 635, "total_tokens": 3264}
SOUGHT = {
    "prompt_tokens": 188,
    "completion_tokens": 55,
    "total_tokens": 7355,
    "connector_tokens": 7112,
}
#: Endpoint, model, usage and what that costs, by hand from the published list of 2026-08-21 in EUR;
#: training and storage by prices of the organization's own, since none are published.
GOLDEN = [
    ("/v1/chat/completions", CHAT, TOKENS, "0.00017"),
    ("/v1/chat/completions", CHAT, CACHED, "0.00015088"),
    ("/v1/chat/completions", CHAT, {**CACHED, "service_tier": "priority"}, "0.00026404"),
    ("/v1/fim/completions", "codestral-2508", {**TOKENS, "prompt_tokens": 500}, "0.000209"),
    ("/v1/agents/completions", CHAT, TOKENS, "0.00017"),
    ("/v1/conversations", CHAT, TOKENS, "0.00017"),
    ("/v1/conversations/{id}", CHAT, TOKENS, "0.00017"),
    ("/v1/conversations/{id}/restart", CHAT, TOKENS, "0.00017"),
    ("/v1/responses", CHAT, {"input_tokens": 1000, "output_tokens": 100}, "0.00017"),
    ("/v1/embeddings", "mistral-embed-2312", {"prompt_tokens": 8192}, "0.0008192"),
    ("/v1/moderations", FREE, PROMPT, "0"),
    ("/v1/chat/moderations", FREE, PROMPT, "0"),
    ("/v1/classifications", FREE, PROMPT, "0"),
    ("/v1/chat/classifications", FREE, PROMPT, "0"),
    ("/v1/ocr", "mistral-ocr-2512", {"pages_processed": 7}, "0.01225"),
    ("/v1/ocr", "mistral-ocr-2512", {"pages_processed": 7, "annotated_pages": 2}, "0.01401"),
    ("/v1/audio/transcriptions", "voxtral-mini-2602", {"prompt_audio_seconds": 61}, "0.002643333"),
    (
        "/v1/audio/transcriptions",
        "voxtral-mini-2602",
        HEARD | {"prompt_audio_seconds": 61},
        "0.002643333",
    ),
    (
        "/v1/audio/transcriptions",
        "voxtral-small-2507",
        HEARD | {"prompt_audio_seconds": 30},
        "0.00175",
    ),
    (
        "/v1/chat/completions",
        "voxtral-small-2507",
        HEARD | {"prompt_audio_seconds": 30},
        "0.001972602",
    ),
    ("/v1/conversations", CHAT, SOUGHT, "0.0009035"),
    ("/v1/audio/speech", "voxtral-mini-tts-2603", {"characters": 1234}, "0.01234"),
    ("/v1/fine_tuning/jobs", CHAT, {"training_tokens": 250_000}, "0.75"),
    ("/v1/fine_tuning/jobs", CHAT, {"storage_months": 3}, "5.40"),
]
#: What is billed with the call that caused it, and what costs nothing.
ELSEWHERE = {CONNECTORS, "/v1/responses/input_tokens"}


def test_golden_costs_of_every_endpoint_in_its_category(organization, hers):
    own = ((Metered.TRAINING_TOKEN, "3", 1_000_000), (Metered.STORAGE, "1.8", 1))
    report_prices(
        actor=ACTOR,
        organization=organization,
        prices=[OwnPrice(CHAT, meter, "EUR", Decimal(amount), per) for meter, amount, per in own],
        at=timezone.now(),
        source="a contract",
        checksum="none",
    )
    reported = [
        event(hers, endpoint=endpoint, model=model, usage=usage)
        for endpoint, model, usage, _cost in GOLDEN
    ]
    assert report(organization_caller(organization), *reported)["accepted"] == len(GOLDEN)
    found = {row["request_id"]: row for row in events(organization)}
    for told, (endpoint, _model, _usage, expected) in zip(reported, GOLDEN, strict=True):
        row = found[told["event_id"]]
        assert row["cost"] == Decimal(expected), endpoint
        assert row["category"] == category_of(endpoint), endpoint
    assert {endpoint for endpoint, *_ in GOLDEN} == set(_CATEGORIES) - ELSEWHERE


def test_a_model_without_a_price_is_taken_and_flagged(organization, hers):
    alice = organization_caller(organization)
    assert report(alice, event(hers, model="nobody-knows"))["accepted"] == 1
    assert [row["cost"] for row in events(organization)] == [None]
    assert alice.get(f"/api/v1/spend?organization_id={organization.pk}").body["unpriced"] == 1


def test_tools_of_a_conversation_are_a_line_of_their_own_and_do_not_hide_its_tokens(
    organization, hers
):
    alice = organization_caller(organization)
    usage = TOKENS | {"connectors": {"web_search": 2}}
    sent = event(hers, endpoint="/v1/conversations", usage=usage)
    assert report(alice, sent)["accepted"] == 1
    assert report(alice, sent)["duplicate"] == 1
    rows = {row["category"]: row for row in events(organization)}
    assert rows["completion"]["cost"] == COST
    assert (rows["connectors"]["cost"], rows["connectors"]["connector_calls"]) == (None, 2)
    assert sum(row["requests"] for row in rows.values()) == 1


def test_what_is_reported_may_exceed_a_limit_is_shown_as_excess_and_stops_the_next_call(
    meter, organization, hers
):
    services.set_limit(
        actor=ACTOR, organization=organization, subject=organization, monthly_spend=Decimal("0.001")
    )
    alice = organization_caller(organization)
    report(alice, *(event(hers) for _ in range(10)))
    (found,) = limits.effective_limits(organization=organization)
    assert (found.spent, found.excess) == (COST * 10, COST * 10 - Decimal("0.001"))
    assert found.remaining == 0
    assert not meter.open_calls([intent(organization, hers.workspace, "0.000001")])[0].is_accepted
    spent = {subject: sums for subject, sums in ledger(organization).items() if any(sums)}
    assert spent == recount(organization)


def test_a_limit_that_reports_have_passed_can_be_raised_and_holds_again(meter, organization, hers):
    services.set_limit(
        actor=ACTOR,
        organization=organization,
        subject=organization,
        monthly_spend=COST / 2,
    )
    report(organization_caller(organization), event(hers))
    services.set_limit(
        actor=ACTOR, organization=organization, subject=organization, monthly_spend=Decimal("1.00")
    )
    assert meter.open_calls([intent(organization, hers.workspace, "0.9")])[0].is_accepted
    assert not meter.open_calls([intent(organization, hers.workspace, "0.1")])[0].is_accepted


@pytest.mark.parametrize("named", ["key", "model", None])
def test_a_reported_alias_that_moved_is_priced_by_what_its_key_knows(organization, hers, named):
    alias, after = "mistral-small-latest", "mistral-medium-3-5"
    with scope.tenant(organization.id):
        SeenModel.objects.update_or_create(
            organization_id=organization.id,
            key=hers.key,
            mistral_id=alias,
            defaults={"name": after},
        )
    facts = {f"{named}_id": str(getattr(hers, named).pk)} if named else {}
    report(organization_caller(organization), event(hers, model=alias, **facts))
    (row,) = events(organization)
    snapshot = after if named else "mistral-small-2603"
    prices = pricebook.prices_for(snapshot, "EUR", timezone.now()).meters
    assert set(row["price_ids"]) == {prices[Metered.INPUT].id, prices[Metered.OUTPUT].id}
    assert (row["requested_model"], row["answered_model"]) == (alias, after if named else "")
