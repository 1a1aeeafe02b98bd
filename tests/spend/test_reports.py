"""Reports: every figure is a sum of events, grouped as asked, and empty months say so."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.utils import timezone, translation

from tenants.common import scope
from tenants.common.months import Month
from tenants.organizations.models import FormerTimeZone, Organization, Workspace
from tenants.registry.models import RegisteredModel
from tenants.spend import drilldown, forecast, recovery, reports
from tenants.spend.calls import Estimate
from tenants.spend.drilldown import Choice
from tenants.spend.groups import GROUPINGS
from tenants.spend.meter import Meter
from tenants.spend.pricing import Quantities
from tests import factories
from tests.spend import made
from tests.spend.made import intent, settlement

OCTOBER = Month.parse("2026-10", "Europe/Rome")


def at(day, hour=12):
    return made.id_at(datetime(2026, 10, day, hour, tzinfo=UTC))


@pytest.fixture
def spent(meter, organization, workspace):
    """Three calls in October: two workspaces, two models, two categories, one without a price."""
    other = factories.workspace(organization)
    with scope.tenant(organization.id):
        model = made.registered_model(organization, workspace)
    calls = [
        intent(organization, workspace, call_id=at(3), model_id=model.id, message_id="m-1"),
        intent(organization, other, call_id=at(3, 13), message_id="m-1"),
        intent(organization, workspace, None, call_id=at(4), model_id=model.id),
    ]
    meter.open_calls(calls)
    meter.settle_calls(
        [
            settlement(calls[0], "0.10"),
            settlement(
                calls[1],
                "0.20",
                answered_model="mistral-medium-3-5",
                estimate=Estimate.DISCONNECTED,
                quantities=Quantities(10, 5, 0, pages=2, annotated_pages=1, characters=7),
            ),
            settlement(calls[2], None, answered_model=""),
        ]
    )
    return {"model": model, "other": other, "calls": calls}


def report(organization, *group_by, **facts):
    return reports.spend_report(
        organization=organization, month=facts.pop("month", OCTOBER), group_by=group_by, **facts
    )


def test_totals_of_a_month(organization, spent):
    found = report(organization)
    assert (found.total, found.currency, found.held) == (Decimal("0.30"), "EUR", 0)
    assert (found.estimated, found.unpriced) == (Decimal("0.20"), 1)
    assert (found.groups, found.empty_message) == ((), "")


def test_groups_add_up_to_the_total_whatever_they_are(organization, spent):
    for names in (["category"], ["day"], ["model"], ["workspace"], ["key"], ["source"]):
        found = report(organization, *names)
        assert sum(group.amount for group in found.groups) == found.total
        assert sum(group.quantities["requests"] for group in found.groups) == 3
        assert sum(group.unpriced for group in found.groups) == 1
    every = report(organization, *GROUPINGS)
    assert sum(group.estimated for group in every.groups) == every.estimated
    assert sum(group.amount for group in every.groups) == every.total
    assert len(every.groups) == 3


@pytest.mark.parametrize("is_rolled", [False, True])
def test_a_month_cut_in_several_ways_has_the_same_groups_each_time(
    organization, workspace, spent, is_rolled
):
    if is_rolled:
        made.roll_up(organization)
    cuts = (["workspace", "model"], ["category"], ["workspace"], ["model"])
    found = report(organization, "category", "day", cuts=cuts, dearest=1)
    assert found.groups == report(organization, "category", "day").groups
    for names, groups in zip(cuts, found.cuts, strict=True):
        assert set(map(str, groups)) == set(map(str, report(organization, *names).groups))
    [days] = found.dearest.values()
    assert list(days.values()) == [Decimal("0.20")]
    inside = report(organization, "day", cuts=cuts, workspace=workspace)
    assert {sum(group.amount for group in groups) for groups in inside.cuts} == {Decimal("0.10")}
    with pytest.raises(ValueError, match="weather"):
        report(organization, "day", cuts=[["weather"]])


def test_months_to_pick_have_the_totals_of_the_ledger(organization, workspace, spent):
    for facts in ({}, {"workspace": workspace}):
        listed = reports.months(organization=organization, **facts)
        picked = reports.month_totals(organization=organization, **facts)
        assert picked == [(one.month, one.total) for one in listed]


def test_calls_that_are_rare_are_found_page_by_page_and_none_is_left_out(organization, spent):
    def listed(**facts):
        choice = Choice(month=OCTOBER, **facts)
        before, found = None, []
        while True:
            page = drilldown.calls(organization=organization, choice=choice, before=before, limit=1)
            found += [call.id for call in page.results]
            if page.next is None:
                return found
            before = page.next

    ids = [call.call_id for call in spent["calls"]]
    assert listed(category="completion") == ids[::-1]
    assert listed(mistral_model="mistral-medium-3-5") == [ids[1]]
    assert listed(category="ocr") == []


def test_a_group_has_its_names_amount_and_quantities(organization, workspace, spent):
    found = report(organization, "workspace", "day")
    groups = {
        (group.names["workspace_id"], str(group.names["day"])): group for group in found.groups
    }
    assert set(groups) == {
        (workspace.id, "2026-10-03"),
        (workspace.id, "2026-10-04"),
        (spent["other"].id, "2026-10-03"),
    }
    group = groups[spent["other"].id, "2026-10-03"]
    assert group.amount == Decimal("0.20")
    assert group.quantities == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cached_tokens": 0,
        "pages": 3,
        "audio_seconds": 0,
        "characters": 7,
        "requests": 1,
        "connector_calls": 0,
        "training_tokens": 0,
        "storage_months": 0,
    }


def test_models_are_those_that_answered_else_those_that_were_asked(organization, spent):
    found = report(organization, "model")
    assert {group.names["mistral_model"] for group in found.groups} == {
        "mistral-small-2603",
        "mistral-medium-3-5",
        "mistral-small-latest",
    }


def test_a_report_can_be_of_one_workspace_or_one_model(organization, workspace, spent):
    assert report(organization, workspace=spent["other"]).total == Decimal("0.20")
    assert report(organization, workspace=workspace).total == Decimal("0.10")
    assert report(organization, model=spent["model"]).total == Decimal("0.10")


@pytest.mark.parametrize(
    ("language", "message"),
    [("en", "No usage in September 2026"), ("it", "Nessun consumo a settembre 2026")],
)
def test_an_empty_month_says_so(organization, spent, language, message):
    with translation.override(language):
        found = report(organization, "day", month=Month.parse("2026-09", "Europe/Rome"))
    assert (found.total, found.groups) == (0, ())
    assert message in found.empty_message


def test_what_is_going_on_is_held_and_not_spent(meter, organization, workspace):
    meter.open_calls([intent(organization, workspace, "0.70")])
    month = Month.of(timezone.now(), "Europe/Rome")
    found = report(organization, month=month)
    assert (found.total, found.held) == (0, Decimal("0.70"))
    assert report(organization, month=month, workspace=workspace).held == Decimal("0.70")


def test_an_estimate_that_was_corrected_is_an_estimate_no_more(meter, organization, workspace):
    dead = Meter()
    call = intent(organization, workspace, call_id=at(9))
    dead.open_calls([call])
    made.die(dead)
    recovery.recover_orphans()
    assert report(organization).estimated == 1
    meter.settle_calls([settlement(call, "0.40")])
    found = report(organization, "source")
    assert (found.total, found.estimated) == (Decimal("0.40"), 0)
    assert {group.names["source"]: group.amount for group in found.groups} == {
        "gateway": 1,
        "correction": Decimal("-0.60"),
    }


def test_an_unknown_grouping_is_refused(organization):
    with pytest.raises(ValueError, match="colour"):
        report(organization, "day", "colour")


def written(found):
    header, *rows = reports.rows_for_csv(found)
    return header, [dict(zip(header, row, strict=True)) for row in rows]


def test_the_csv_has_a_header_a_row_per_group_and_a_marked_total(organization, workspace, spent):
    header, rows = written(report(organization, "workspace"))
    assert header[:6] == ["row", "month", "timezone", "currency", "workspace_id", "amount"]
    assert [row["row"] for row in rows] == ["group", "group", "total"]
    assert {row["workspace_id"] for row in rows} == {str(workspace.id), str(spent["other"].id), ""}
    assert {(row["month"], row["timezone"]) for row in rows} == {("2026-10", "Europe/Rome")}
    total = rows[-1]
    assert [total[name] for name in ("total", "held", "estimated", "total_unpriced")] == [
        *("0.30", "0.00", "0.20"),
        "1",
    ]


def test_no_column_of_the_csv_counts_anything_twice_when_it_is_summed(organization, spent):
    _header, rows = written(report(organization, "workspace", "day"))
    sums = {
        name: sum(Decimal(row[name] or 0) for row in rows)
        for name in ("amount", "total", "requests", "unpriced", "total_unpriced", "estimated")
    }
    assert sums["amount"] == sums["total"] == Decimal("0.30")
    assert (sums["requests"], sums["estimated"]) == (3, Decimal("0.20"))
    assert sums["unpriced"] == sums["total_unpriced"] == 1


def test_the_csv_of_an_empty_month_has_the_same_columns(organization, spent):
    names = ("model", "key")
    header, rows = written(report(organization, *names, month=Month.parse("2025-01", "UTC")))
    assert header == written(report(organization, *names))[0]
    assert [(row["row"], row["total"], row["amount"]) for row in rows] == [("total", "0.00", "")]


def test_calls_are_listed_newest_first_page_by_page(organization, workspace, spent):
    newest_first = [call.call_id for call in reversed(spent["calls"])]
    seen, before = [], None
    for _ in range(3):
        page = drilldown.calls(organization=organization, before=before, limit=1)
        seen += [event.id for event in page.results]
        before = page.next
    assert seen == newest_first
    assert before is None


def test_calls_of_one_message_one_workspace_or_one_model(organization, spent):
    def ids(workspace=None, model=None, **chosen):
        page = drilldown.calls(
            organization=organization, workspace=workspace, model=model, choice=Choice(**chosen)
        )
        return {event.id for event in page.results}

    first, second, third = (call.call_id for call in spent["calls"])
    assert ids(message_id="m-1") == {first, second}
    assert ids(workspace=spent["other"]) == {second}
    assert ids(model=spent["model"]) == {first, third}
    assert ids(message_id="nobody's") == set()


def test_a_stranger_sees_nothing_of_it(stranger, workspace, spent):
    assert report(stranger).total == 0
    assert report(stranger, workspace=workspace).total == 0
    assert drilldown.calls(organization=stranger).results == ()
    assert drilldown.calls(organization=stranger, choice=Choice(message_id="m-1")).results == ()


def test_every_group_leads_to_its_very_calls(organization, spent):
    found = report(organization, *GROUPINGS)
    seen = []
    for group in found.groups:
        names = dict(group.names)
        model, workspace = names.pop("model_id"), names.pop("workspace_id")
        page = drilldown.calls(
            organization=organization,
            workspace=Workspace(pk=workspace),
            model=RegisteredModel(pk=model),
            choice=Choice(month=found.month, **names),
        )
        assert sum(event.cost or 0 for event in page.results) == group.amount
        assert len(page.results) == group.events
        seen += [event.id for event in page.results]
    assert sorted(seen) == sorted(call.call_id for call in spent["calls"])


def test_a_day_is_that_of_the_zone_the_organization_had_then(meter, organization):
    late = made.id_at(datetime(2026, 10, 3, 21, 30, tzinfo=UTC))
    edge = made.id_at(datetime(2026, 10, 31, 22, 30, tzinfo=UTC))  # 23:30 in Rome
    calls = [
        intent(organization, factories.default_workspace(organization), call_id=one)
        for one in (late, edge)
    ]
    meter.open_calls(calls)
    meter.settle_calls([settlement(call) for call in calls])
    with scope.tenant(organization.pk):
        FormerTimeZone.objects.create(
            organization=organization, timezone="Europe/Rome", until=timezone.now()
        )
        Organization.objects.update(timezone="Asia/Tokyo")
        organization.refresh_from_db()
    moved = Month.parse("2026-10", "Asia/Tokyo")
    days = [group.names["day"] for group in report(organization, "day", month=moved).groups]
    assert days == [date(2026, 10, 3), date(2026, 10, 31)]
    for day, call_id in zip(days, (late, edge), strict=True):
        page = drilldown.calls(organization=organization, choice=Choice(month=moved, day=day))
        assert [event.id for event in page.results] == [call_id]


def test_a_picker_offers_every_month_from_the_first_one_on(organization, workspace, spent):
    listed = reports.months(organization=organization)
    named = {str(one.month): one for one in listed}
    assert [str(one.month) for one in listed] == sorted(named, reverse=True)
    assert (named["2026-10"].total, named["2026-10"].is_empty) == (Decimal("0.30"), False)
    assert str(listed[0].month) == str(Month.of(timezone.now(), "Europe/Rome"))
    (only,) = reports.months(organization=organization, workspace=factories.workspace(organization))
    assert only.is_empty


def lines(*days):
    """Stand in for the lines of days: (day of November, amount)."""
    rows = [SimpleNamespace(day=date(2026, 11, day), cost=Decimal(cost)) for day, cost in days]

    class Lines:
        def filter(self, *, day__gte, day__lt, **_periods):
            return Lines.of(row for row in rows if day__gte <= row.day < day__lt)

        @staticmethod
        def of(chosen):
            total = sum((row.cost for row in chosen), Decimal(0))
            return SimpleNamespace(aggregate=lambda **_sums: {"amount": total})

    return Lines()


NOVEMBER = Month.parse("2026-11", "Europe/Rome")
MADE = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_forecast_adds_the_mean_of_full_days_for_the_days_left():
    now = NOVEMBER.starts_at + timedelta(days=15)  # midnight: the 16th begins
    found = forecast.forecast(
        lines=lines((1, "99"), (2, "7"), (15, "7"), (16, "5")),
        month=NOVEMBER,
        spent=Decimal(20),
        began=MADE,
        now=now,
        limit=Decimal(30),
    )
    assert found is not None
    assert (found.per_day, found.days, found.since) == (Decimal(1), 14, date(2026, 11, 2))
    assert found.amount == 35
    assert found.limit_reached_on == date(2026, 11, 26)


@pytest.mark.parametrize(
    ("now", "began"),
    [
        (NOVEMBER.ends_at, MADE),
        (NOVEMBER.starts_at - timedelta(seconds=1), MADE),
        (NOVEMBER.starts_at + timedelta(days=5), NOVEMBER.starts_at + timedelta(days=2)),
    ],
)
def test_other_months_and_too_few_days_are_not_forecast(now, began):
    assert (
        forecast.forecast(
            lines=lines((3, "1")), month=NOVEMBER, spent=Decimal(1), began=began, now=now
        )
        is None
    )


def test_a_limit_that_is_passed_is_reached_today_and_one_far_away_never():
    now = NOVEMBER.starts_at + timedelta(days=15, hours=3)

    def reached(limit):
        found = forecast.forecast(
            lines=lines((15, "14")),
            month=NOVEMBER,
            spent=Decimal(20),
            began=MADE,
            now=now,
            limit=Decimal(limit),
        )
        assert found is not None
        return found.limit_reached_on

    assert reached(20) == date(2026, 11, 16)
    assert reached(500) is None
