"""The audit log: who did what, newest first."""

from uuid import UUID

from django.http import HttpResponse

from tenants.access.models import TokenScope
from tenants.access.pagination import page as page_of
from tenants.common import scope
from tenants.console.door import Page, Visit, page
from tenants.organizations import audit_reading

ROWS = 50


class Trail(Page):
    """``/organizations/<id>/audit``."""

    @page(TokenScope.AUDIT_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """List what was done; by one actor, or of one kind, if that is asked for."""
        asked = visit.request.GET
        with scope.tenant(visit.organization.pk):
            events = audit_reading.matching(
                actor=asked.get("actor") or None, action=asked.get("action") or None
            )
            found = page_of(events, limit=ROWS, cursor=asked.get("cursor"))
        return visit.show("trail", events=found.rows, next=found.next, asked=asked)
