"""The transactional outbox: what happened is written down in the transaction that made it happen.

Nothing is announced that was not committed, and nothing committed goes unannounced. Rooms announce;
``notices`` tells whoever wants to know, later and as often as it takes. It holds ids and plain
facts, never a secret, a prompt or an answer.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from tenants.organizations.models import Announcement


def announce(
    *,
    organization_id: UUID,
    kind: str,
    data: Mapping[str, Any],
    workspace_id: UUID | None = None,
    once: str = "",
) -> bool:
    """Write an announcement in the open transaction, inside the organization's scope.

    Args:
        organization_id: whose it is.
        kind: ``noun.done``, as in ``key.validated``; the webhook event of that name.
        data: JSON that the event carries: ids as text, money as decimal text, RFC 3339 instants.
        workspace_id: the workspace concerned, if it concerns one.
        once: whatever may happen only once in this organization, as in
            ``key.expiring:<key id>:14``; the second announcement of it is dropped.

    Returns:
        False if it had been announced before.
    """
    made = Announcement(
        organization_id=organization_id,
        kind=kind,
        data=dict(data),
        workspace_id=workspace_id,
        once=once or None,
    )
    if not once:
        made.save(force_insert=True)
        return True
    known = Announcement.objects.filter(organization_id=organization_id, once=once)
    if known.exists():
        return False
    # Of two at once, the second waits for the first to commit and then inserts nothing.
    Announcement.objects.bulk_create([made], ignore_conflicts=True)
    return known.filter(pk=made.pk).exists()
