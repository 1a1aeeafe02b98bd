"""Calls page by page: every zone's walk ends where the calls do, and leaves none of them out."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tenants.common import scope
from tenants.common.months import Month
from tenants.organizations.models import FormerTimeZone, Organization
from tenants.spend import drilldown
from tenants.spend.drilldown import Choice
from tests import factories
from tests.spend import made
from tests.spend.made import intent, settlement

CHANGED = datetime(2026, 10, 12, 6, tzinfo=UTC)
ZONES = (
    "UTC",
    "Europe/Rome",
    "America/New_York",
    "Pacific/Auckland",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
)


def organization_of(organization, zone, former=None):
    with scope.tenant(organization.pk):
        if former:
            FormerTimeZone.objects.create(organization=organization, timezone=former, until=CHANGED)
        Organization.objects.update(timezone=zone)
        organization.refresh_from_db()
    return organization


def metered(meter, organization, workspace, instants, **facts):
    """Meter a call at each instant, in the zone that the organization had then."""
    with scope.tenant(organization.pk):
        former = FormerTimeZone.objects.first()
    calls = []
    for instant in instants:
        zone = former.timezone if former and instant < former.until else organization.timezone
        of_then = Organization(pk=organization.pk, timezone=zone)
        calls.append(intent(of_then, workspace, call_id=made.id_at(instant)))
    meter.open_calls(calls)
    meter.settle_calls([settlement(call, **facts) for call in calls])
    return [call.call_id for call in calls]


def walked(organization, limit, **facts):
    """Walk through all pages: the calls' ids, oldest first."""
    before, found = None, []
    while True:
        page = drilldown.calls(
            organization=organization, choice=Choice(**facts), before=before, limit=limit
        )
        found += [call.id for call in page.results]
        if page.next is None:
            return found[::-1]
        before = page.next


def around_midnights(*zones):
    """Some instants of days far apart, close to where the days of these zones begin."""
    return sorted(
        {
            datetime(2026, 10, day, hour, 15, tzinfo=ZoneInfo(zone)).astimezone(UTC)
            for zone in zones
            for day in (3, 4, 9, 16)
            for hour in (0, 1, 22, 23)
        }
    )


def every_half_day(since, number):
    return [since + timedelta(hours=12) * place for place in range(number)]


@pytest.mark.parametrize("is_rolled", [False, True], ids=["as lines", "rolled up"])
@pytest.mark.parametrize(
    ("former", "zone"),
    [
        *((None, zone) for zone in ZONES),
        ("Pacific/Pago_Pago", "Pacific/Kiritimati"),
        ("Pacific/Kiritimati", "Pacific/Pago_Pago"),
        ("Europe/Rome", "America/New_York"),
    ],
)
def test_no_call_is_left_out_in_any_zone(meter, organization, former, zone, is_rolled):
    organization = organization_of(organization, zone, former)
    workspace = factories.default_workspace(organization)
    instants = around_midnights(*filter(None, (former, zone)))
    ids = metered(meter, organization, workspace, instants)
    if is_rolled:
        made.roll_up(organization)
    for limit in (1, 2, 5):
        facts = {"month": Month.parse("2026-10", zone), "category": "completion"}
        assert walked(organization, limit, **facts) == ids, limit


def test_calls_of_a_day_are_found_behind_newer_ones(meter, organization, workspace):
    ids = metered(
        meter, organization, workspace, every_half_day(datetime(2026, 10, 2, 1, tzinfo=UTC), 10)
    )
    facts = {"month": Month.parse("2026-10", "Europe/Rome"), "category": "completion"}
    day = datetime(2026, 10, 3, tzinfo=UTC).date()
    assert walked(organization, 1, day=day, **facts) == ids[2:4]


def test_calls_without_a_price_are_found_behind_those_that_have_one(meter, organization, workspace):
    first = datetime(2026, 10, 2, 1, tzinfo=UTC)
    unpriced = metered(meter, organization, workspace, every_half_day(first, 3), amount=None)
    later = every_half_day(first + timedelta(days=5), 6)
    metered(meter, organization, workspace, later)
    facts = {"month": Month.parse("2026-10", "Europe/Rome"), "category": "completion"}
    assert walked(organization, 1, is_unpriced=True, **facts) == unpriced
