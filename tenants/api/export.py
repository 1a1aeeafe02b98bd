"""Taking an organization away, over HTTP: everything but its secrets, in one stream."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from rest_framework.renderers import BaseRenderer

from tenants.access import exporting, services, tenancy
from tenants.access.models import TokenScope
from tenants.api.endpoint import ApiView, Call, Reply, endpoint
from tenants.organizations.models import Organization

_NDJSON = "application/x-ndjson"


class _Lines(BaseRenderer):
    """Stands for what is streamed when Accept is read."""

    media_type, format = _NDJSON, "ndjson"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Render nothing: chunks come rendered."""
        return b""


class Export(ApiView):
    """``/organizations/{organization_id}/export``."""

    renderer_classes = (_Lines,)

    @endpoint(
        "export_organization",
        TokenScope.ORGANIZATIONS_EXPORT,
        summary="Export everything of an organization but its secrets",
        gives={200: None},
        refuses=(406,),
        media_types=(_NDJSON,),
        is_dangerous=True,
        strictly="export",
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """One JSON object a line: a header, rows as `{"table", "row"}`, and an end with counts.

        An export whose last line has no `end` was broken off. docs/export.md lists the tables.
        """
        organization = tenancy.find(call.principal, Organization, organization_id)
        services.note_export(actor=call.actor, organization=organization)
        return Reply(
            stream=exporting.lines(organization.pk), file_name=f"{organization.slug}.ndjson"
        )
