"""What a run that is not dry may change here without asking a person; all of it can be undone.

It ties workspaces to Mistral's, and keys likewise; it enters an expiry date where none was known.
It never deletes, renames, or moves anything, sets no limit, and overwrites no date: those
differences are shown, and a person decides.
"""

from django.db.models import Q

from tenants.accounting import differences
from tenants.accounting.differences import Found
from tenants.accounting.models import Observed, ObservedKind, SyncRun
from tenants.keys import slots
from tenants.keys.models import MistralKey
from tenants.organizations import audit
from tenants.organizations.audit import Actor
from tenants.organizations.models import Workspace

WORKER = Actor(kind="worker", id="accounting.sync", name="accounting.sync")


def apply(run: SyncRun, found: Found) -> dict[str, int]:
    """Apply what may be applied, inside the scope; tell how much of each."""
    applied = {"workspaces": 0, "keys": 0, "expiry_dates": 0}
    for external_id, workspace in found.matches.workspaces.items():
        applied["workspaces"] += _tie(ObservedKind.WORKSPACE, external_id, workspace)
    for external_id, key in found.matches.keys.items():
        applied["keys"] += _tie(ObservedKind.KEY, external_id, key)
        applied["expiry_dates"] += _enter_expiry(external_id, key)
    audit.record(
        actor=WORKER, organization_id=run.organization_id, verb="organization.synced", target=run
    )
    return applied


def _tie(kind: ObservedKind, external_id: str, ours: Workspace | MistralKey) -> bool:
    """Tie a row of ours to what was observed; one of ours is tied to one of theirs."""
    rows = Observed.objects.filter(kind=kind)
    rows.filter(ours=ours.pk).exclude(external_id=external_id).update(ours=None)
    free = rows.filter(external_id=external_id).filter(Q(ours=None) | ~Q(ours=ours.pk))
    return bool(free.update(ours=ours.pk))


def _enter_expiry(external_id: str, key: MistralKey) -> bool:
    """Enter the date that Mistral tells of a key whose date nobody has entered here."""
    seen = Observed.objects.get(kind=ObservedKind.KEY, external_id=external_id)
    expires_on = differences.expiry_of(seen.data)
    if expires_on is None:
        return False
    unknown = MistralKey.objects.filter(pk=key.pk, revoked_at=None, expires_on=None)
    entered = unknown.update(expires_on=expires_on, **slots.due())
    if entered:
        slots.done(WORKER, key, "key.updated", ["expires_on"])
    return bool(entered)
