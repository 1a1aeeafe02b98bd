"""The end of a token is told thirty, fourteen, seven and one day before, once each."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from tenants.access import expiring
from tenants.access.models import OrganizationToken
from tenants.access.services import (
    ALL_SCOPES,
    issue_organization_token,
    revoke_organization_token,
)
from tenants.common import scope
from tenants.organizations.models import Announcement
from tests.factories import ACTOR

HOUR = timedelta(hours=1)


@pytest.fixture
def token(organization) -> OrganizationToken:
    row, _plain = issue_organization_token(
        actor=ACTOR,
        organization=organization,
        name="nightly",
        scopes=["tokens:read"],
        grantable=ALL_SCOPES,
    )
    return row


def end_in(token: OrganizationToken, left: timedelta) -> None:
    with scope.tenant(token.organization_id):
        OrganizationToken.objects.filter(pk=token.pk).update(expires_at=Now() + left)


def told(organization) -> list[int]:
    with scope.tenant(organization.pk):
        rows = Announcement.objects.filter(kind="token.expiring").order_by("id")
        return [row.data["days_left"] for row in rows]


@pytest.mark.parametrize(
    ("left", "days"),
    [
        (timedelta(days=31), []),
        (timedelta(days=30) - HOUR, [30]),
        (timedelta(days=5), [5]),
        (HOUR, [0]),
        (-HOUR, []),
    ],
)
def test_an_end_that_is_near_is_told(organization, token, left, days):
    end_in(token, left)
    expiring.notice_expiring()
    assert told(organization) == days


def test_each_is_told_once(organization, token, monkeypatch):
    end_in(token, timedelta(days=5))
    for _once in range(2):
        expiring.notice_expiring()
    assert told(organization) == [5]
    with scope.tenant(organization.pk):
        (row,) = Announcement.objects.filter(kind="token.expiring")
    assert set(row.data) == {"token_id", "name", "hint", "expires_at", "days_left"}
    assert row.once is not None
    assert row.once.endswith(":7")
    monkeypatch.setattr(expiring, "NOTICES", (5, 30))
    expiring.notice_expiring()
    assert told(organization) == [5, 5], "another notice is told anew"


def test_nobody_is_told_of_a_token_that_was_revoked(organization, token):
    end_in(token, timedelta(days=5))
    revoke_organization_token(actor=ACTOR, token=token)
    expiring.notice_expiring()
    assert told(organization) == []
