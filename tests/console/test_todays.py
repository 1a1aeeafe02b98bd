"""Today is the organization's: at every hour one of these zones has another day than UTC."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tenants.common import charts, scope
from tenants.common.months import Month
from tenants.keys import expiry
from tenants.keys.models import MistralKey
from tenants.organizations.models import Organization
from tenants.support import spend
from tests import people
from tests.api.world import world

ZONES = ("Pacific/Kiritimati", "Pacific/Pago_Pago")


@pytest.fixture(params=ZONES)
def hers(request):
    made = world()
    with scope.tenant(made.organization.pk):
        Organization.objects.update(timezone=request.param)
        made.organization.refresh_from_db()
    return made


@pytest.fixture
def today(hers):
    return expiry.today(hers.organization.timezone, timezone.now())


def test_the_last_day_of_a_token_may_be_today_and_not_yesterday(hers, today):
    client = people.visitor(hers.organization)
    address = f"/organizations/{hers.organization.pk}/tokens/new"
    said = {"name": "Nightly", "scopes": ["keys:read"]}
    for day, is_over in ((today, False), (today - timedelta(days=1), True)):
        answer = client.post(address, said | {"expires_on": day.isoformat()})
        assert ("This day is over." in answer.text) is is_over, day


def test_a_keys_days_are_counted_from_today(hers, today):
    with scope.tenant(hers.organization.pk):
        MistralKey.objects.filter(pk=hers.key.pk).update(expires_on=today + timedelta(days=3))
    page = people.visitor(hers.organization).get(f"/organizations/{hers.organization.pk}").text
    assert "expires in 3 days" in page


def test_the_desks_chart_ends_today(hers, today, monkeypatch):
    drawn = []

    def draw(_days, totals, *_args, **_facts):
        drawn.extend(totals)
        return ""

    monkeypatch.setattr(charts, "running_total", draw)
    month = Month.of(timezone.now(), hers.organization.timezone)
    with scope.tenant(hers.organization.pk):
        spend.curve(hers.organization, month)
    assert len(drawn) == today.day
