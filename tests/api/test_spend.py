"""Spend, calls and limits over HTTP: exact, in text, of nobody else."""

import csv
import io
from decimal import Decimal

import pytest

from tenants.api.spend import QuantitiesOut, SpendGroupOut
from tenants.spend.meter import Meter
from tests.api.world import everything
from tests.spend import made

MONTH_MEMBERS = {
    "month",
    "timezone",
    "currency",
    "total",
    "held",
    "groups",
    "estimated",
    "unpriced",
    "limit",
    "forecast",
    "empty_message",
}


@pytest.fixture
def meter():
    metered = Meter()
    yield metered
    metered.close()


@pytest.fixture
def spent(hers, meter):
    """Three calls: two of one message, one unpriced; and one that goes on."""

    def call(worst, **facts):
        return made.intent(
            hers.organization,
            hers.workspace,
            worst,
            model_id=hers.model.pk,
            key_id=hers.key.pk,
            **facts,
        )

    calls = [call("1.00", message_id="m-1"), call("1.00", message_id="m-1"), call(None)]
    open_call = call("2.50")
    verdicts = meter.open_calls([*calls, open_call])
    assert all(verdict.is_accepted for verdict in verdicts)
    amounts = ["0.000000123", "0.40", None]
    meter.settle_calls(
        [made.settlement(one, amount) for one, amount in zip(calls, amounts, strict=True)]
    )
    return calls


def test_a_months_spend_is_exact_text_beside_its_currency(hers, spent, alice):
    report = alice.get(f"spend?workspace_id={hers.workspace.pk}").body
    assert set(report) == MONTH_MEMBERS
    assert (report["total"], report["held"]) == ("0.400000123", "2.50")
    assert (report["currency"], report["timezone"]) == ("EUR", "Europe/Rome")
    assert (report["unpriced"], report["estimated"], report["empty_message"]) == (1, "0.00", "")
    (group,) = report["groups"]
    assert (group["category"], group["amount"]) == ("completion", "0.400000123")
    assert group["quantities"]["prompt_tokens"] == 300
    assert group["quantities"]["requests"] == 3


@pytest.mark.parametrize("named", ["organization", "workspace", "model"])
def test_the_same_spend_is_found_from_above(named, hers, spent, platform):
    row_id = hers.ids[f"{named}_id"]
    assert platform.get(f"spend?{named}_id={row_id}").body["total"] == "0.400000123"


def test_groups_add_up_and_carry_what_they_are_grouped_by(hers, spent, alice):
    groups = "category,day,model,workspace,key,source"
    report = alice.get(f"spend?group_by={groups}").body
    assert sum(Decimal(group["amount"]) for group in report["groups"]) == Decimal(report["total"])
    (group,) = report["groups"]
    assert group["model_id"] == str(hers.model.pk)
    assert group["key_id"] == str(hers.key.pk)
    assert group["mistral_model"] == "mistral-small-2603"
    assert group["source"] == "gateway"
    assert alice.get("spend?group_by=").body["groups"] == []


def test_an_empty_month_says_so(alice):
    report = alice.get("spend?month=2025-01", {"Accept-Language": "en"}).body
    assert (report["total"], report["groups"]) == ("0.00", [])
    assert report["empty_message"] == "No usage in January 2025"


def test_csv_gives_the_same_figures(spent, alice):
    answer = alice.get("spend?group_by=model", {"Accept": "text/csv"})
    assert answer.headers["Content-Type"].startswith("text/csv")
    group, total = csv.DictReader(io.StringIO(answer.raw.decode()))
    report = alice.get("spend?group_by=model").body
    (shown,) = report["groups"]
    assert (group["row"], group["amount"], group["model_id"]) == (
        "group",
        shown["amount"],
        shown["model_id"],
    )
    assert group["prompt_tokens"] == str(shown["quantities"]["prompt_tokens"]) == "300"
    for name in ("month", "timezone", "currency", "total", "held", "estimated"):
        assert total[name] == report[name]
    assert (total["row"], total["total_unpriced"]) == ("total", str(report["unpriced"]))


def test_a_group_has_no_members_that_it_is_not_grouped_by(spent, alice):
    (group,) = alice.get("spend?group_by=category").body["groups"]
    assert set(group) == {"category", "amount", "quantities", "estimated", "unpriced"}


def test_a_group_of_calls_without_a_key_says_so():
    used = dict.fromkeys(QuantitiesOut().fields, 0)
    group = {"key_id": None, "amount": Decimal(0), "quantities": used, "unpriced": 0}
    group["estimated"] = Decimal(0)
    assert set(SpendGroupOut(group).data) == set(group)
    assert SpendGroupOut(group).data["key_id"] is None


def test_calls_of_one_message_come_together(hers, spent, alice):
    results = alice.get(f"calls?workspace_id={hers.workspace.pk}").body["results"]
    assert sorted(len(group["calls"]) for group in results) == [1, 2]
    (message,) = [group for group in results if group["message_id"] == "m-1"]
    assert (message["cost"], message["currency"]) == ("0.400000123", "EUR")
    assert {call["id"] for call in message["calls"]} == {str(call.call_id) for call in spent[:2]}
    (single,) = [group for group in results if group["message_id"] is None]
    assert single["calls"][0]["cost"] is None
    assert single["calls"][0]["quantities"]["cached_tokens"] == 64
    assert single["calls"][0]["request_id"] == single["calls"][0]["id"]
    assert single["calls"][0]["correlation_id"] == ""
    only = alice.get("calls?message_id=m-1").body["results"]
    assert only == [message]
    assert alice.get("calls?message_id=m-2").body["results"] == []


def test_pages_of_calls_give_each_call_once(spent, alice):
    seen, cursor = [], ""
    for _ in range(3):
        body = alice.get(f"calls?limit=1{cursor}").body
        seen += [call["id"] for group in body["results"] for call in group["calls"]]
        cursor = f"&cursor={body['next']}"
    assert body["next"] is None
    assert sorted(seen) == sorted(str(call.call_id) for call in spent)


def test_charlie_sees_no_spend_of_others(spent, hers, charlie):
    assert charlie.get("spend").body["total"] == "0.00"
    assert charlie.get("calls").body["results"] == []
    for name in ("organization_id", "workspace_id", "model_id"):
        for path in ("spend", "calls"):
            assert charlie.get(f"{path}?{name}={hers.ids[name]}").status == 404


@pytest.mark.parametrize("named", ["organization", "workspace", "model"])
def test_a_limit_is_set_read_and_lifted(named, hers, alice):
    path = f"{named}s/{hers.ids[f'{named}_id']}/limits"
    unset = alice.get(path).body
    assert (unset["monthly_spend"], unset["mode"], unset["updated_at"]) == (None, "enforce", None)
    assert unset["alert_thresholds"] == [50, 80, 100]
    body = {"monthly_spend": "12.5", "alert_thresholds": [90, 10], "mode": "shadow"}
    done = alice.put(path, body).body
    assert (done["monthly_spend"], done["currency"]) == ("12.50", "EUR")
    assert (done["subject_kind"], done["subject_id"]) == (named, str(hers.ids[f"{named}_id"]))
    assert (done["alert_thresholds"], done["mode"]) == ([10, 90], "shadow")
    assert alice.get(path).body == done
    assert alice.put(path, {"monthly_spend": None}).body["monthly_spend"] is None


def test_a_limit_in_shadow_tells_how_many_calls_it_would_have_refused_and_what_they_cost(
    hers, alice, meter
):
    path = f"models/{hers.model.pk}/limits"
    alice.put(path, {"monthly_spend": "1.00", "mode": "shadow"})
    facts = {"key_id": hers.key.pk, "model_id": hers.model.pk}
    for _ in range(3):
        call = made.intent(hers.organization, hers.workspace, "0.75", **facts)
        (verdict,) = meter.open_calls([call])
        assert verdict.is_accepted
    limits = alice.get(f"{path}/effective").body["results"]
    (found,) = [limit for limit in limits if limit["mode"] == "shadow"]
    assert (found["refused_calls"], found["refused_amount"]) == (2, "1.50")


def test_every_limit_that_matches_is_told_widest_first(hers, spent, alice):
    for named, amount in (("organization", "100"), ("workspace", "50"), ("model", "20")):
        alice.put(f"{named}s/{hers.ids[f'{named}_id']}/limits", {"monthly_spend": amount})
    results = alice.get(f"models/{hers.model.pk}/limits/effective").body["results"]
    assert [one["subject_kind"] for one in results] == ["organization", "workspace", "model"]
    assert [one["monthly_spend"] for one in results] == ["100.00", "50.00", "20.00"]
    for one in results:
        assert (one["spent"], one["held"]) == ("0.400000123", "2.50")
        assert Decimal(one["remaining"]) == Decimal(one["monthly_spend"]) - Decimal("2.900000123")
        assert one["resets_at"].endswith("Z")
    workspace = alice.get(f"workspaces/{hers.workspace.pk}/limits/effective").body["results"]
    assert [one["subject_kind"] for one in workspace] == ["organization", "workspace"]


@pytest.mark.parametrize("named", ["organization", "workspace", "model"])
def test_rates_are_set_beside_the_spend_and_lifted_by_leaving_them_out(named, hers, alice):
    path = f"{named}s/{hers.ids[f'{named}_id']}/limits"
    rates = {"requests_per_second": 0.5, "tokens_per_minute": 20_000, "tokens_per_month": 10**9}
    before = alice.get(path).body
    assert {name: before[name] for name in rates} == dict.fromkeys(rates)
    done = alice.put(path, {"monthly_spend": None, **rates}).body
    assert {name: done[name] for name in rates} == rates
    assert alice.get(path).body == done
    told = alice.get(f"{path}/effective").body["results"][-1]
    assert {name: told[name] for name in rates} == rates
    assert (told["monthly_spend"], told["remaining"], told["spent"]) == (None, None, "0.00")
    lifted = alice.put(path, {"monthly_spend": None}).body
    assert {name: lifted[name] for name in rates} == dict.fromkeys(rates)
    assert alice.get(f"{path}/effective").body["results"] == []


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("requests_per_second", 0, "min_value"),
        ("requests_per_second", "1", "invalid"),
        ("tokens_per_minute", 0, "min_value"),
        ("tokens_per_minute", 1.5, "invalid"),
        ("tokens_per_month", -1, "min_value"),
    ],
)
def test_a_rate_that_is_none_is_refused_and_changes_nothing(member, value, code, hers, alice):
    before = everything(hers.organization.pk)
    path = f"organizations/{hers.organization.pk}/limits"
    answer = alice.put(path, {"monthly_spend": None, member: value})
    assert (answer.status, answer.pointers) == (422, {f"/{member}": code})
    assert everything(hers.organization.pk) == before


def test_a_workspace_may_not_spend_more_than_its_organization(hers, alice):
    alice.put(f"organizations/{hers.organization.pk}/limits", {"monthly_spend": "10"})
    path = f"workspaces/{hers.workspace.pk}/limits"
    answer = alice.put(path, {"monthly_spend": "10.01"})
    assert (answer.status, answer.code) == (422, "above_organization_limit")
    assert alice.get(path).body["monthly_spend"] is None


def test_every_group_of_a_report_names_the_calls_that_it_is_made_of(hers, spent, alice):
    report = alice.get("spend?group_by=category,day,key,source,workspace").body
    found = []
    for group in report["groups"]:
        members = ("category", "day", "key_id", "source", "workspace_id")
        query = "&".join(f"{name}={group[name]}" for name in members)
        answer = alice.get(f"calls?month={report['month']}&{query}").body
        calls = [call for message in answer["results"] for call in message["calls"]]
        assert sum(Decimal(call["cost"] or 0) for call in calls) == Decimal(group["amount"])
        found += calls
    assert {call["id"] for call in found} == {str(call.call_id) for call in spent}
    assert alice.get("calls?category=ocr").body["results"] == []
    assert alice.get("calls?day=2020-01-01").body["results"] == []
    assert alice.get("calls?day=yesterday").status == 422


def test_months_can_be_chosen_from_the_first_on(hers, spent, alice):
    answer = alice.get(f"spend/months?model_id={hers.model.pk}").body["results"]
    assert [(one["total"], one["empty_message"]) for one in answer] == [("0.400000123", "")]
    assert answer[0]["unpriced"] == 1


def test_the_present_month_stands_beside_its_limit(hers, spent, alice):
    path = f"organizations/{hers.organization.pk}"
    assert alice.get("spend").body["limit"] is None
    alice.put(f"{path}/limits", {"monthly_spend": "10.00"})
    limit = alice.get("spend").body["limit"]
    assert limit["monthly_spend"] == "10.00"
    assert Decimal(limit["spent"]) + Decimal(limit["held"]) + Decimal(limit["remaining"]) == 10
    assert alice.get("spend?month=2025-01").body["limit"] is None
    assert alice.get("spend").body["forecast"] is None  # made today: too few days
