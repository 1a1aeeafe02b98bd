"""Who did what in an organization, over HTTP: each event with its place in the chain."""

from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery
from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.models import TokenScope
from tenants.access.pagination import page
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, Out, PageQuery, Reply, endpoint, page_of
from tenants.common import scope
from tenants.organizations import audit_chain, audit_reading
from tenants.organizations.models import AuditEvent, AuditLink, Organization


class AuditQuery(PageQuery):
    """Which events; all conditions hold together."""

    actor = fields.Text(
        max_length=64, required=False, help_text="The id of a token or a person, or a command."
    )
    action = fields.Text(max_length=64, required=False, help_text="As in `key.registered`.")
    target = fields.Id(required=False, help_text="What it was done to.")
    since = fields.Instant(required=False, help_text="From this instant on.")
    until = fields.Instant(required=False, help_text="Before this instant.")


class ActorOut(Out):
    """Who acted."""

    kind = serializers.CharField(
        source="actor_kind",
        help_text=(
            "`platform` or `organization` (a token), `person`, `staff` (of ours), `command` or"
            " `worker`."
        ),
    )
    id = serializers.CharField(source="actor_id")
    name = serializers.CharField(source="actor_name", help_text="What it was called then.")


class TargetOut(Out):
    """What it was done to."""

    kind = serializers.CharField(source="target_kind")
    id = serializers.UUIDField(source="target_id")


class AuditEventOut(Out):
    """One thing that was done."""

    id = serializers.UUIDField()
    occurred_at = serializers.DateTimeField(source="created_at")
    actor = ActorOut(source="*")
    action = serializers.CharField(source="verb", help_text="`noun.done`.")
    target = TargetOut(source="*")
    changed = serializers.ListField(
        child=serializers.CharField(), help_text="Names of the members that changed; no values."
    )
    request_id = serializers.CharField(help_text="Empty outside of requests.")
    sequence = serializers.IntegerField(help_text="Its place in the organization's chain.")
    hash = serializers.CharField(
        help_text="SHA-256 over the event and the hash before it (docs/audit.md)."
    )


class HeadOut(Out):
    """The end of the chain: keep it, and nobody can cut off what was before."""

    sequence = serializers.IntegerField()
    hash = serializers.CharField()


class AuditEventPageOut(page_of(AuditEventOut)):  # type: ignore[misc]  # made by a function
    """A page of events, newest first, and where the chain ends."""

    head = HeadOut(allow_null=True)


class AuditEvents(ApiView):
    """``/organizations/{organization_id}/audit-events``."""

    @endpoint(
        "list_audit_events",
        TokenScope.AUDIT_READ,
        summary="List what was done in an organization",
        query=AuditQuery,
        gives={200: AuditEventPageOut},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """Every change, and every read that takes much away at once, like an export."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk, snapshot=True):
            found: Any = page(_linked(audit_reading.matching(**_asked(call))), **call.page)
            head = audit_chain.head_of()
        return Reply({"rows": found.rows, "next": found.next, "head": head})


def _asked(call: Call) -> dict[str, Any]:
    return {name: call.data.get(name) for name in ("actor", "action", "target", "since", "until")}


def _linked(events: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
    """Add each event's place in the chain."""
    link = AuditLink.objects.filter(event_id=OuterRef("pk"))
    return events.annotate(
        sequence=Subquery(link.values("sequence")), hash=Subquery(link.values("hash"))
    )
