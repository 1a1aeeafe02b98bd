"""The audit of custody, nightly and at start: every stored secret is opened once, and told if lost.

Nothing is sent anywhere. A key that does not open is made due; its check then finds the same and
makes it ``undecryptable``, by the rules of every other check. One that opens again is made due too,
and becomes what it was. It walks one organization at a time, and opens with no transaction open. A
key service that does not answer says nothing about a key: then nothing changes.
"""

from collections import Counter
from functools import partial
from uuid import UUID

import structlog
from django.db.models.functions import Now

from tenants.common import scope, turns
from tenants.common.problems import Unavailable
from tenants.common.turns import Turn
from tenants.keys.models import KeyReplacement, KeyStatus, MistralKey
from tenants.organizations import boxes, data_keys, rotation, walking
from tenants.organizations.data_keys import OpeningError, WrappedKey
from tenants.organizations.sealed_columns import BY_DATA_KEY
from tenants.people import second_factors

log = structlog.get_logger(__name__)

_KEYS = "keys.MistralKey.sealed"
_WAITING = "keys.KeyReplacement.sealed"
#: As ``second_factors.audit`` counts, too.
_OPENED, _LOST, _UNANSWERED = "opened", "lost", "unanswered"


def find_unopened(turn: Turn | None = None) -> list[tuple[UUID, UUID]]:
    """Open every secret; make due, and return, the keys whose status is not what that found.

    Args:
        turn: open those only for which it has time; None: all.
    """
    changed: list[tuple[UUID, UUID]] = []
    seen: Counter[str] = Counter()
    audit = partial(_audit, seen=seen)
    for found in turns.each(walking.organization_ids(turn), audit, turn):
        changed += found
    is_whole = turn is None or turn.left_at is None
    if is_whole:
        seen += second_factors.audit()
    missing = rotation.missing_master_keys()
    is_well = not (seen[_LOST] or seen[_UNANSWERED] or missing)
    tell = log.info if is_well else log.error
    tell(
        "custody_audited",
        opened=seen[_OPENED],
        lost=seen[_LOST],
        unanswered=seen[_UNANSWERED],
        changed=len(changed),
        missing_master_keys=missing,
        is_whole=is_whole,
    )
    return changed


def _audit(organization_id: UUID, seen: Counter[str]) -> list[tuple[UUID, UUID]]:
    """Open the secrets of one organization; return the keys to be checked."""
    with scope.tenant(organization_id):
        keys = {key.version: key for key in data_keys.all_of(organization_id)}
    lost: dict[str, set[UUID]] = {column: set() for column in BY_DATA_KEY}
    opened: set[UUID] = set()
    for column in BY_DATA_KEY:
        for page in boxes.pages(organization_id, column):
            for box in page:
                outcome = _try(box, keys)
                seen[outcome] += 1
                if outcome == _LOST:
                    lost[column].add(box.pk)
                elif outcome == _OPENED and column == _KEYS:
                    opened.add(box.pk)
    elsewhere = {column: len(rows) for column, rows in lost.items() if rows and column != _KEYS}
    if elsewhere:
        log.error("custody_lost", organization_id=str(organization_id), boxes=elsewhere)
    with scope.tenant(organization_id):
        waiting = KeyReplacement.objects.filter(pk__in=lost[_WAITING])
        behind = waiting.exclude(status=KeyStatus.UNDECRYPTABLE).values_list("key_id", flat=True)
        known = MistralKey.objects.filter(revoked_at=None)
        broken = known.filter(pk__in=lost[_KEYS]).exclude(status=KeyStatus.UNDECRYPTABLE)
        healed = known.filter(pk__in=opened, status=KeyStatus.UNDECRYPTABLE)
        due = [
            *broken.values_list("pk", flat=True),
            *healed.values_list("pk", flat=True),
            *(key_id for key_id in behind if key_id not in lost[_KEYS]),
        ]
        known.filter(pk__in=due).update(next_check_at=Now())
    return [(organization_id, key_id) for key_id in due]


def _try(box: boxes.Box, keys: dict[int, WrappedKey]) -> str:
    """Open a box and drop what was in it."""
    try:
        box.open(keys[box.key_version])
    except (KeyError, OpeningError):
        return _LOST
    except Unavailable:
        return _UNANSWERED
    return _OPENED
