"""An expiry is told thirty, fourteen, seven and one day before; once each, and to its owner."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from tenants.common import scope
from tenants.keys import noticing
from tenants.keys.models import MistralKey
from tenants.organizations import services as organizations
from tenants.organizations.models import Announcement
from tests import factories
from tests.factories import ACTOR
from tests.keys.keyring import registered


def today():
    return timezone.localdate(timezone=ZoneInfo("Europe/Rome"))


def told(organization) -> list[tuple[str, int]]:
    with scope.tenant(organization.id):
        rows = Announcement.objects.filter(kind="key.expiring").order_by("id")
        return [(row.data["name"], row.data["days_left"]) for row in rows]


def expire(key, days: int) -> None:
    with scope.tenant(key.organization_id):
        MistralKey.objects.filter(pk=key.pk).update(expires_on=today() + timedelta(days=days))


@pytest.mark.parametrize(
    ("days", "is_told"),
    [(31, False), (30, True), (20, True), (7, True), (1, True), (0, True), (-1, False)],
)
def test_a_date_that_is_near_is_told(organization, workspace, made_up, days, is_told):
    key = registered(workspace, made_up(), name="Produzione")
    expire(key, days)
    noticing.notice_expiring()
    assert told(organization) == ([("Produzione", days)] if is_told else [])


def test_each_notice_is_told_once_however_often_the_clock_comes_by(
    organization, workspace, made_up, monkeypatch
):
    key = registered(workspace, made_up(), name="Produzione")
    day = today() + timedelta(days=30)
    expire(key, 30)
    for days in range(30, -1, -1):
        monkeypatch.setattr(
            "tenants.keys.noticing.expiry.today", lambda *_, left=days: day - timedelta(days=left)
        )
        for _ in range(2):
            noticing.notice_expiring()
    assert told(organization) == [("Produzione", days) for days in (30, 14, 7, 1)]


def test_who_was_away_is_told_of_the_nearest_only(organization, workspace, made_up):
    key = registered(workspace, made_up(), name="Produzione")
    expire(key, 5)
    assert noticing.notice_expiring() >= 1
    with scope.tenant(organization.id):
        (row,) = Announcement.objects.filter(kind="key.expiring")
    assert row.once == f"key.expiring:{key.pk}:{row.data['expires_on']}:7"
    assert row.workspace_id == workspace.pk
    assert set(row.data) == {"key_id", "name", "last4", "expires_on", "days_left", "in_use_by"}


def test_another_date_is_told_anew(organization, workspace, made_up):
    key = registered(workspace, made_up(), name="Produzione")
    for days in (6, 5):
        expire(key, days)
        noticing.notice_expiring()
    assert told(organization) == [("Produzione", 6), ("Produzione", 5)]


def test_nobody_is_told_of_keys_that_serve_nothing_any_more(organization, made_up):
    archived = factories.workspace(organization)
    expire(registered(archived, made_up()), 5)
    organizations.archive_workspace(actor=ACTOR, workspace=archived)
    noticing.notice_expiring()
    assert told(organization) == []
