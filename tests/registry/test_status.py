"""Ready or blocked is derived, and every reason has its words."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.utils import translation

from tenants.keys.models import KeyStatus
from tenants.registry.status import BlockedReason, Circumstances, explain

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)


def blocked(now=NOON, **facts):
    ready: dict[str, Any] = {
        "organization_status": "active",
        "timezone": "Europe/Rome",
        "workspace_archived": False,
        "model_retired": False,
        "key_status": KeyStatus.VALID,
        "key_expires_on": None,
    }
    return Circumstances(**(ready | facts)).blocked(now)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (KeyStatus.VALID, None),
        (KeyStatus.PENDING, None),
        (KeyStatus.UNREACHABLE, None),
        (KeyStatus.INVALID, BlockedReason.KEY_INVALID),
        (KeyStatus.SUSPENDED, BlockedReason.KEY_SUSPENDED),
        (KeyStatus.EXPIRED, BlockedReason.KEY_EXPIRED),
        (KeyStatus.UNDECRYPTABLE, BlockedReason.KEY_UNDECRYPTABLE),
        (KeyStatus.REVOKED, BlockedReason.KEY_REVOKED),
    ],
)
def test_a_key_stops_its_models_only_when_it_was_judged_so(status, reason):
    assert blocked(key_status=status) is reason


def test_every_status_of_a_key_is_decided_here():
    assert {blocked(key_status=status) for status in KeyStatus} >= {None}
    assert len(KeyStatus) == 8


def test_the_widest_cause_is_told_first():
    everything: dict[str, Any] = {
        "organization_status": "suspended",
        "workspace_archived": True,
        "model_retired": True,
        "key_status": KeyStatus.REVOKED,
    }
    told = []
    for cause, well in (
        ("organization_status", "active"),
        ("workspace_archived", False),
        ("model_retired", False),
        ("key_status", KeyStatus.VALID),
    ):
        told.append(blocked(**everything))
        everything[cause] = well
    assert told == [
        BlockedReason.ORGANIZATION_SUSPENDED,
        BlockedReason.WORKSPACE_ARCHIVED,
        BlockedReason.MODEL_RETIRED,
        BlockedReason.KEY_REVOKED,
    ]
    assert blocked(**everything) is None


@pytest.mark.parametrize(
    ("zone", "now", "reason"),
    [
        ("Europe/Rome", datetime(2026, 6, 15, 21, 59, tzinfo=UTC), None),
        ("Europe/Rome", datetime(2026, 6, 15, 22, 0, tzinfo=UTC), BlockedReason.KEY_EXPIRED),
        ("Pacific/Kiritimati", datetime(2026, 6, 15, 10, 0, tzinfo=UTC), BlockedReason.KEY_EXPIRED),
        ("Pacific/Honolulu", datetime(2026, 6, 16, 9, 59, tzinfo=UTC), None),
    ],
)
def test_a_keys_day_is_good_to_its_end_in_the_organizations_zone(zone, now, reason):
    assert blocked(now, timezone=zone, key_expires_on=date(2026, 6, 15)) is reason


@pytest.mark.parametrize("reason", BlockedReason)
def test_every_reason_has_its_words(reason):
    with translation.override("en"):
        words = explain(reason)
    assert words.endswith(".")
    assert len(words) > 40
