"""Finds audit events: by who, what, to what and when."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet

from tenants.common.models import least_id
from tenants.organizations.models import AuditEvent

# An event's id is made a moment before its instant is taken.
_SKEW = timedelta(minutes=1)


def matching(
    *,
    actor: str | None = None,
    action: str | None = None,
    actions: Collection[str] = (),
    target: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[AuditEvent]:
    """Choose events, inside the organization's scope; without conditions, all.

    Args:
        actor: the id of who acted.
        action: the verb, as in ``key.registered``.
        actions: one of these verbs.
        target: the id of what it was done to.
        since: from this instant on.
        until: before this instant.
    """
    wanted = {"actor_id": actor, "verb": action, "target_id": target}
    found = AuditEvent.objects.filter(
        **{name: value for name, value in wanted.items() if value is not None}
    )
    if actions:
        found = found.filter(verb__in=actions)
    if since is not None:
        found = found.filter(created_at__gte=since, pk__gte=least_id(since, shift=-_SKEW))
    if until is not None:
        found = found.filter(created_at__lt=until, pk__lt=least_id(until, shift=_SKEW))
    return found
