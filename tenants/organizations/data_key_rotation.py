"""Data-key rotation: a new data key, everything sealed anew with it, the old one destroyed.

Online and resumable, one organization at a time, with no state but the rows themselves: while
there are two data keys, new secrets are sealed with the newer one, and old ones are moved page by
page, each by a conditional update. The old key is destroyed in a transaction that first waits for
everybody who is sealing with it, and then finds that nothing uses it. A run that was killed is
continued by the next; two at once do no harm.

A box that does not open is left, and with it the old data key: what was lost may come back with its
master key.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog
from django.utils import timezone

from tenants.common import scope, turns
from tenants.common.turns import Turn
from tenants.organizations import audit, boxes, data_keys, walking
from tenants.organizations.audit import Actor
from tenants.organizations.data_keys import KeyGoneError, OpeningError, WrappedKey
from tenants.organizations.models import DataKey, Organization, OrganizationStatus
from tenants.organizations.sealed_columns import BY_DATA_KEY

log = structlog.get_logger(__name__)

_MOST_PASSES = 20


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did: boxes sealed anew, boxes that do not open, data keys destroyed."""

    sealed_anew: int = 0
    unopened: int = 0
    destroyed: int = 0

    def __add__(self, other: "Rotated") -> "Rotated":
        """Add up two organizations."""
        return Rotated(
            self.sealed_anew + other.sealed_anew,
            self.unopened + other.unopened,
            self.destroyed + other.destroyed,
        )


def due(*, days: int, turn: Turn | None = None) -> Iterator[tuple[UUID, UUID]]:
    """Find what is to be rotated: pairs of organization and its newest data key.

    Due are data keys older than so many days, and rotations that were not finished. In a turn it
    looks only at those for which there is time.
    """
    due_of = partial(_due_of, made_before=timezone.now() - timedelta(days=days))
    for found in turns.each(walking.organization_ids(turn), due_of, turn):
        yield from found


def _due_of(organization_id: UUID, made_before: datetime) -> list[tuple[UUID, UUID]]:
    with scope.tenant(organization_id):
        rows = list(DataKey.objects.order_by("-version"))
    is_due = len(rows) > 1 or any(row.created_at < made_before for row in rows)
    return [(organization_id, rows[0].pk)] if is_due else []


def rotate(
    organization_id: UUID,
    *,
    actor: Actor,
    away_from: UUID | None = None,
    turn: Turn | None = None,
) -> Rotated:
    """Rotate an organization's data key, or finish a rotation that was begun.

    Args:
        organization_id: whose.
        actor: who wants it, for the audit rows.
        away_from: a new key is made only while this is the newest: so that a task that is
            delivered twice rotates once.
        turn: seal anew what it has time for; None: everything.

    Raises:
        KeyringUnavailableError: a master key cannot be asked now; what was done is kept, and the
            next run goes on.
    """
    keys = _keys(organization_id)
    if len(keys) == 1 and away_from in {None, keys[0].row_id}:
        _make_next(organization_id, keys, actor)
    return _finish(organization_id, actor, turn)


def replace_lost(organization_id: UUID, *, actor: Actor) -> bool:
    """Make a new data key where the newest one does not open, so that secrets can be stored again.

    What the old one sealed stays as it is, and opens again if its master key comes back.

    Returns:
        Whether the data key was lost.
    """
    keys = _keys(organization_id)
    if not keys or data_keys.opens(keys[-1]):
        return False
    _make_next(organization_id, keys, actor)
    return True


def _keys(organization_id: UUID) -> list[WrappedKey]:
    with scope.tenant(organization_id):
        return data_keys.all_of(organization_id)


def _make_next(organization_id: UUID, known: list[WrappedKey], actor: Actor) -> None:
    """Make the next data key, unless another run just did, or the organization was erased."""
    fresh = data_keys.make(organization_id, known[-1].version + 1)
    with scope.tenant(organization_id):
        # Who erases takes this lock first: no data key is made behind his back.
        standing = Organization.objects.select_for_update(no_key=True).exclude(
            status=OrganizationStatus.ERASED
        )
        if not standing.filter(pk=organization_id).exists():
            return
        if data_keys.all_of(organization_id)[-1:] != known[-1:]:
            return
        row = data_keys.store(fresh)
        audit.record(
            actor=actor, organization_id=organization_id, verb="data_key.created", target=row
        )


def _finish(organization_id: UUID, actor: Actor, turn: Turn | None) -> Rotated:
    """Move everything to the newest data key and destroy the others."""
    done, idle = Rotated(), 0
    for _ in range(_MOST_PASSES):
        keys = _keys(organization_id)
        if len(keys) < 2:  # noqa: PLR2004 - one key, and nothing to move to
            return done
        try:
            moved, unopened = _move(organization_id, keys, turn)
        except KeyGoneError:  # the organization was erased meanwhile
            return done
        gone = sum(_destroy(organization_id, key, actor) for key in keys[:-1])
        done = replace(done + Rotated(sealed_anew=moved, destroyed=gone), unopened=unopened)
        if turn is not None and turn.is_over():
            return done
        # Who was sealing may have committed after we looked and before the key was ours: once more.
        idle = 0 if moved or gone else idle + 1
        if idle == 2:  # noqa: PLR2004 - what is left does not open
            break
    log.warning("data_key_kept", organization_id=str(organization_id), unopened=done.unopened)
    return done


def _move(organization_id: UUID, keys: list[WrappedKey], turn: Turn | None) -> tuple[int, int]:
    """Seal anew, once, what older data keys sealed; tell how much, and what does not open.

    A turn that is over ends it behind a page.
    """
    newest, by_version = keys[-1], {key.version: key for key in keys}
    moved = unopened = 0
    for column in BY_DATA_KEY:
        for page in boxes.pages(organization_id, column, below=newest.version):
            fresh: list[tuple[boxes.Box, bytes]] = []
            for box in page:
                try:
                    old = by_version[box.key_version]
                    fresh.append((box, box.seal_anew(old, newest)))
                except (KeyError, OpeningError):
                    unopened += 1
            with scope.tenant(organization_id):
                # First the data key, as who erases does: then neither waits for the other's rows.
                data_keys.newest(organization_id)
                moved += sum(box.replace(sealed, newest) for box, sealed in fresh)
            if turn is not None and turn.is_over():
                return moved, unopened
    return moved, unopened


def _destroy(organization_id: UUID, key: WrappedKey, actor: Actor) -> bool:
    """Destroy a data key if nothing uses it."""
    with scope.tenant(organization_id):
        # Waits for everybody who seals with it; what they sealed is seen by the next statement.
        row = DataKey.objects.select_for_update().filter(pk=key.row_id).first()
        if row is None or boxes.uses(key.version):
            return False
        audit.record(
            actor=actor, organization_id=organization_id, verb="data_key.destroyed", target=row
        )
        row.delete()
    return True
