"""Alerts: each threshold of a limit is told once a month, and again when the limit is raised."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from tenants.common import scope
from tenants.common.months import Month
from tenants.organizations import services as organizations
from tenants.organizations.models import Announcement
from tenants.spend import alerts, services
from tenants.spend.calls import LimitMode
from tests import factories
from tests.factories import ACTOR
from tests.spend import made
from tests.spend.made import intent, settlement


def limit(organization, amount, subject=None, **facts):
    return services.set_limit(
        actor=ACTOR,
        organization=organization,
        subject=subject or organization,
        monthly_spend=Decimal(amount),
        **facts,
    )


def spend(meter, organization, workspace, amount, **facts):
    call = intent(organization, workspace, amount, **facts)
    assert meter.open_calls([call])[0].is_accepted
    meter.settle_calls([settlement(call, amount)])


def told(organization):
    """What was announced, in order."""
    with scope.tenant(organization.id):
        found = Announcement.objects.filter(kind__startswith="spend.").order_by("id")
        return [(row.kind.partition(".")[2], row.data.get("threshold")) for row in found]


def tell(organization):
    alerts.tell_of_limits()
    return told(organization)


def due(organization):
    """How often an organization is among those that have something to be told."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM spend_alerts_due()")
        return cursor.fetchall().count((organization.id,))


def test_each_threshold_is_told_once_as_it_is_reached(meter, organization, workspace):
    limit(organization, "10.00")
    spend(meter, organization, workspace, "4.99")
    assert tell(organization) == []
    spend(meter, organization, workspace, "0.01")
    assert tell(organization) == [("threshold_reached", 50)]
    assert tell(organization) == [("threshold_reached", 50)]
    spend(meter, organization, workspace, "5.00")
    assert tell(organization) == [
        ("threshold_reached", 50),
        ("threshold_reached", 80),
        ("threshold_reached", 100),
        ("limit_reached", None),
    ]


def test_an_announcement_says_which_limit_and_where_it_stands(meter, organization, workspace):
    limit(organization, "1.00", workspace, alert_thresholds=[80])
    spend(meter, organization, workspace, "0.85")
    alerts.tell_of_limits()
    with scope.tenant(organization.id):
        row = Announcement.objects.get(kind="spend.threshold_reached")
    assert row.workspace_id == workspace.id
    data = row.data
    assert data.pop("resets_at").endswith("Z")
    assert len(data.pop("month")) == 7
    assert data == {
        "subject_kind": "workspace",
        "subject_id": str(workspace.id),
        "limit": "1.00",
        "spent": "0.85",
        "held": "0.00",
        "currency": "EUR",
        "mode": "enforce",
        "threshold": 80,
    }


def test_a_raised_limit_is_armed_again_for_what_is_no_longer_reached(
    meter, organization, workspace
):
    limit(organization, "10.00")
    spend(meter, organization, workspace, "8.50")
    assert tell(organization) == [("threshold_reached", 50), ("threshold_reached", 80)]
    limit(organization, "12.00")  # 71 %: 80 can be reached again, 50 still is
    assert len(tell(organization)) == 2
    spend(meter, organization, workspace, "1.50")
    assert tell(organization)[2:] == [("threshold_reached", 80)]


def test_a_threshold_that_was_told_is_not_told_again_when_it_is_chosen_anew(
    meter, organization, workspace
):
    limit(organization, "10.00", alert_thresholds=[50, 80])
    spend(meter, organization, workspace, "8.50")
    assert tell(organization) == [("threshold_reached", 50), ("threshold_reached", 80)]
    for chosen in ([80], [50, 80], [], [50, 80, 90]):
        limit(organization, "10.00", alert_thresholds=chosen)
        assert len(tell(organization)) == 2
    limit(organization, "12.00", alert_thresholds=[50])  # 80 is not reached, chosen or not
    limit(organization, "10.00", alert_thresholds=[50, 80])
    assert tell(organization)[2:] == [("threshold_reached", 80)]


def test_a_call_that_is_refused_near_the_limit_tells_of_the_limit(meter, organization, workspace):
    limit(organization, "10.00", alert_thresholds=[])
    assert not meter.open_calls([intent(organization, workspace, "11.00")])[0].is_accepted
    assert tell(organization) == []  # the call was too big, the limit is far
    spend(meter, organization, workspace, "9.10")
    assert tell(organization) == [("limit_reached", None)]


def test_a_watched_limit_is_told_of_too_and_a_limit_without_figure_is_not(
    meter, organization, workspace
):
    limit(organization, "1.00", mode=LimitMode.SHADOW, alert_thresholds=[100])
    services.set_limit(
        actor=ACTOR, organization=organization, subject=workspace, monthly_spend=None
    )
    spend(meter, organization, workspace, "1.50")
    assert tell(organization) == [("threshold_reached", 100), ("limit_reached", None)]


def test_a_new_month_is_told_of_anew(meter, organization, workspace):
    limit(organization, "1.00", alert_thresholds=[50])
    spend(meter, organization, workspace, "0.60")
    assert tell(organization) == [("threshold_reached", 50)]
    made.as_owner(
        "UPDATE spend_thresholdalert SET period = period - 40 WHERE organization_id = %s",
        organization.id,
    )
    assert tell(organization) == [("threshold_reached", 50)] * 2


def test_many_workers_at_once_tell_once(meter, organization, workspace):
    limit(organization, "1.00")
    spend(meter, organization, workspace, "1.00")

    def work(_number):
        alerts.tell_of_limits()
        connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert Counter(told(organization)) == Counter(
        {
            ("threshold_reached", 50): 1,
            ("threshold_reached", 80): 1,
            ("threshold_reached", 100): 1,
            ("limit_reached", None): 1,
        }
    )


@pytest.mark.parametrize("settled", ["0.49", "0.51"])
def test_what_is_held_is_no_spend_yet(meter, organization, settled):
    workspace = factories.default_workspace(organization)
    limit(organization, "1.00", alert_thresholds=[50])
    call = intent(organization, workspace, "1.00")
    meter.open_calls([call])
    assert tell(organization) == []
    meter.settle_calls([settlement(call, settled)])
    assert len(tell(organization)) == (settled == "0.51")


@pytest.mark.parametrize(
    ("spent", "reached"),
    [
        ("0.099999999", []),
        ("0.10", [1]),
        ("5.00", [1, 50]),
        ("9.999999999", [1, 50]),
        ("10.00", [1, 50, 100, None]),
    ],
)
def test_an_organization_is_due_when_something_is_reached_until_it_is_told(
    meter, organization, workspace, spent, reached
):
    limit(organization, "10.00", alert_thresholds=[1, 50, 100])
    spend(meter, organization, workspace, spent)
    assert due(organization) == bool(reached)
    assert [threshold for _kind, threshold in tell(organization)] == reached
    assert due(organization) == 0


@pytest.mark.parametrize(
    ("spent", "refused", "reached"),
    [
        ("9.999999999", False, []),
        ("10.00", False, [None]),
        ("8.999999999", True, []),
        ("9.00", True, [None]),
    ],
)
def test_without_thresholds_the_limit_itself_is_due_and_near_it_only_if_it_refused(
    meter, organization, spent, refused, reached
):
    workspace = factories.default_workspace(organization)
    limit(organization, "10.00", alert_thresholds=[])
    spend(meter, organization, workspace, spent)
    if refused:
        assert not meter.open_calls([intent(organization, workspace, "9.99")])[0].is_accepted
    assert due(organization) == bool(reached)
    assert [threshold for _kind, threshold in tell(organization)] == reached
    assert due(organization) == 0


def test_a_limit_of_nothing_is_never_due_and_one_of_cents_is(meter, organization, workspace):
    limit(organization, "0", workspace)
    assert not meter.open_calls([intent(organization, workspace, "0.50")])[0].is_accepted
    assert due(organization) == 0
    limit(organization, "0.50", workspace)
    spend(meter, organization, workspace, "0.50")
    assert due(organization) == 1


def test_a_limit_is_reached_by_the_balance_of_its_own_subject_and_month(
    meter, organization, workspace, stranger
):
    """The model of a call from elsewhere has the workspace's id, as have a stranger's calls."""
    limit(organization, "1.00", workspace)
    elsewhere = factories.workspace(organization)
    spend(meter, organization, elsewhere, "1.00", model_id=workspace.id)
    spend(meter, stranger, workspace, "1.00")
    last_month = Month.of(timezone.now(), organization.timezone).starts_at - timedelta(hours=1)
    spend(meter, organization, workspace, "1.00", call_id=made.id_at(last_month))
    assert due(organization) == due(stranger) == 0
    spend(meter, organization, workspace, "1.00")
    assert due(organization) == 1


def test_what_was_told_of_one_limit_was_not_told_of_another(meter, organization, workspace):
    limit(organization, "1.00")
    spend(meter, organization, workspace, "1.00")
    alerts.tell_of_limits()
    assert due(organization) == 0
    limit(organization, "1.00", workspace)
    assert due(organization) == 1


def test_nothing_is_due_while_an_organization_is_suspended(meter, organization, workspace):
    limit(organization, "1.00")
    spend(meter, organization, workspace, "1.00")
    for suspended in (True, False):
        organizations.set_suspended(actor=ACTOR, organization=organization, suspended=suspended)
        assert due(organization) == (not suspended)
