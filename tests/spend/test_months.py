"""Budget months follow the organization's zone; a call belongs to the month it started in."""

from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal

import pytest
from django.utils import timezone

from tenants.common.months import Month
from tenants.spend import reports, services
from tenants.spend.calls import instant_of, period_of
from tests import factories
from tests.factories import ACTOR
from tests.spend import made
from tests.spend.made import intent, settlement

DAY = timedelta(days=1)


def utc(year, month, day, *time):
    return datetime.combine(date(year, month, day), clock(*time), tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "zone", "first_day"),
    [
        # Rome is two hours ahead in summer, one in winter: the month begins that much earlier.
        (utc(2026, 3, 31, 21, 59, 59), "Europe/Rome", date(2026, 3, 1)),
        (utc(2026, 3, 31, 22, 0, 0), "Europe/Rome", date(2026, 4, 1)),
        (utc(2026, 10, 31, 22, 59, 59), "Europe/Rome", date(2026, 10, 1)),
        (utc(2026, 10, 31, 23, 0, 0), "Europe/Rome", date(2026, 11, 1)),
        (utc(2026, 12, 31, 23, 0, 0), "Europe/Rome", date(2027, 1, 1)),
        (utc(2028, 2, 29, 22, 59, 59), "Europe/Rome", date(2028, 2, 1)),
        (utc(2028, 2, 29, 23, 0, 0), "Europe/Rome", date(2028, 3, 1)),
        (utc(2026, 4, 1, 0, 0, 0), "UTC", date(2026, 4, 1)),
        (utc(2026, 3, 31, 12, 0, 0), "Pacific/Auckland", date(2026, 4, 1)),
        # The hour that happens twice and the one that does not are in the month they look like.
        (utc(2026, 10, 25, 1, 30, 0), "Europe/Rome", date(2026, 10, 1)),
        (utc(2026, 3, 29, 1, 0, 0), "Europe/Rome", date(2026, 3, 1)),
    ],
)
def test_the_month_of_a_call_is_that_of_its_start_in_the_organizations_zone(
    instant, zone, first_day
):
    call_id = made.id_at(instant)
    assert instant_of(call_id) == instant
    assert period_of(call_id, zone) == first_day


def test_a_limit_opens_again_at_midnight_of_the_first_in_the_organizations_zone(
    meter, organization, workspace
):
    services.set_limit(
        actor=ACTOR, organization=organization, subject=organization, monthly_spend=Decimal(1)
    )
    midnight = Month.of(timezone.now(), "Europe/Rome").ends_at
    last = made.id_at(midnight - timedelta(milliseconds=1))
    first = made.id_at(midnight)
    assert meter.open_calls([intent(organization, workspace, "1.00", call_id=last)])[0].is_accepted
    again = made.id_at(midnight - timedelta(milliseconds=1))
    refused, accepted = meter.open_calls(
        [
            intent(organization, workspace, "0.01", call_id=again),
            intent(organization, workspace, "1.00", call_id=first),
        ]
    )
    assert not refused.is_accepted
    assert accepted.is_accepted


def test_a_call_over_midnight_is_settled_in_the_month_it_started_in(meter, organization, workspace):
    midnight = Month.parse("2026-11", "Europe/Rome").starts_at
    call = intent(organization, workspace, call_id=made.id_at(midnight - timedelta(seconds=1)))
    meter.open_calls([call])
    meter.settle_calls([settlement(call, duration=timedelta(seconds=5))])
    october, november = (
        reports.spend_report(
            organization=organization,
            month=Month.parse(text, "Europe/Rome"),
            group_by=["day"],
        )
        for text in ("2026-10", "2026-11")
    )
    assert [october.total, november.total] == [Decimal("0.40"), 0]
    assert [group.names for group in october.groups] == [{"day": date(2026, 10, 31)}]


def test_days_of_a_report_are_days_of_the_zone_also_when_clocks_change(meter, organization):
    workspace = factories.default_workspace(organization)
    instants = [
        utc(2026, 10, 24, 21, 59, 59),  # the 24th, 23:59:59 in summer time
        utc(2026, 10, 24, 22, 0, 0),  # the 25th, 00:00 in summer time
        utc(2026, 10, 25, 22, 59, 59),  # the 25th, 23:59:59 in winter time: it had 25 hours
        utc(2026, 10, 25, 23, 0, 0),
    ]
    calls = [intent(organization, workspace, call_id=made.id_at(instant)) for instant in instants]
    meter.open_calls(calls)
    meter.settle_calls([settlement(call, "0.10") for call in calls])
    found = reports.spend_report(
        organization=organization, month=Month.parse("2026-10", "Europe/Rome"), group_by=["day"]
    )
    assert [(group.names["day"], group.amount) for group in found.groups] == [
        (date(2026, 10, 24), Decimal("0.10")),
        (date(2026, 10, 25), Decimal("0.20")),
        (date(2026, 10, 26), Decimal("0.10")),
    ]


def test_a_month_keeps_its_calls_when_the_organization_moves_to_another_zone(meter):
    organization = factories.organization(timezone_name="Pacific/Auckland")
    workspace = factories.default_workspace(organization)
    instant = utc(2026, 9, 30, 12, 0, 0)  # 1 October in Auckland, 30 September in Honolulu
    call = intent(organization, workspace, call_id=made.id_at(instant))
    meter.open_calls([call])
    meter.settle_calls([settlement(call)])
    organization.timezone = "Pacific/Honolulu"
    month = Month.parse("2026-10", organization.timezone)
    assert reports.spend_report(organization=organization, month=month).total == Decimal("0.40")


def test_a_limit_set_just_after_midnight_holds_where_the_month_before_begins_anew(
    meter, organization, workspace
):
    """In Rome the new month has begun; after moving to New York its limit still stands."""
    last_month = Month.of(Month.of(timezone.now(), "Europe/Rome").starts_at - DAY, "Europe/Rome")
    before = made.id_at(last_month.ends_at - DAY)
    meter.open_calls([intent(organization, workspace, "0.10", call_id=before)])
    services.set_limit(
        actor=ACTOR, organization=organization, subject=organization, monthly_spend=Decimal(1)
    )
    again = [made.id_at(last_month.ends_at - DAY) for _ in range(2)]
    dear, cheap = meter.open_calls(
        [
            intent(organization, workspace, "50.00", call_id=again[0]),
            intent(organization, workspace, "0.90", call_id=again[1]),
        ]
    )
    assert not dear.is_accepted
    assert cheap.is_accepted
