"""Metered calls one by one: what every figure leads to, a message's calls, and the same as CSV."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase

from tenants.access import streaming
from tenants.access.models import TokenScope
from tenants.access.pagination import make_cursor, read_cursor
from tenants.common import scope, tables
from tenants.common.money import plain
from tenants.console.door import Page, Visit, page
from tenants.organizations.models import Organization, Workspace
from tenants.registry.models import RegisteredModel
from tenants.spend import drilldown, reports, wording
from tenants.spend.calls import Category
from tenants.spend.drilldown import Choice
from tenants.spend.models import UsageEvent

ROWS = 50
#: What the address asks for whoever wants to see what went wrong only.
WRONG = "wrong"
_HEAD = (
    *("occurred_at", "call_id", "workspace_id", "key_id", "model_id", "model", "category"),
    *("requested_model", "answered_model", "message_id", "prompt_tokens", "completion_tokens"),
    *("cached_tokens", "pages", "audio_seconds", "characters", "duration_ms", "http_status"),
    *("cost", "currency", "estimate", "corrects", "outcome"),
)


class Calls(Page):
    """``/organizations/<id>/calls``."""

    @page(TokenScope.SPEND_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """List metered calls."""
        return _listed(visit, None)


class WorkspaceCalls(Page):
    """``/workspaces/<id>/calls``."""

    @page(TokenScope.SPEND_READ)
    def get(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """List metered calls."""
        return _listed(visit, visit.workspace)


class CallsTable(Page):
    """``/organizations/<id>/calls.csv``."""

    @page(TokenScope.SPEND_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponseBase:
        """Give all calls that match as CSV, as long as it takes."""
        return _table(visit, None)


class WorkspaceCallsTable(Page):
    """``/workspaces/<id>/calls.csv``."""

    @page(TokenScope.SPEND_READ)
    def get(self, visit: Visit, workspace_id: UUID) -> HttpResponseBase:
        """Give all calls that match as CSV."""
        return _table(visit, visit.workspace)


def _choice(visit: Visit) -> Choice:
    """Read which calls are asked for: of a month, or of a message whenever it was."""
    asked = visit.request.GET
    message, month = asked.get("message", "").strip()[:200], asked.get("month")
    category = asked.get("category")
    return Choice(
        month=reports.month_of(month or None, visit.organization) if month or not message else None,
        day=_day(asked.get("day", "")),
        category=category if category in set(Category) else None,
        mistral_model=asked.get("mistral_model") or None,
        message_id=message or None,
        went_wrong=asked.get("outcome") == WRONG or None,
    )


def _listed(visit: Visit, workspace: Workspace | None) -> HttpResponse:
    asked, organization = visit.request.GET, visit.organization
    cursor = asked.get("cursor")
    choice = _choice(visit)
    found = drilldown.calls(
        organization=organization,
        workspace=workspace,
        choice=choice,
        before=read_cursor(cursor, drilldown.read_place) if cursor else None,
        limit=drilldown.MOST if choice.message_id else ROWS,
    )
    names = _names(organization, found.results)
    return visit.show(
        "spend/calls",
        calls=[
            (call, names.get(call.model_id, ""), wording.beside_tokens(call))
            for call in found.results
        ],
        next=make_cursor(drilldown.place_bytes(*found.next)) if found.next else None,
        month=choice.month,
        day=choice.day,
        back=choice.month or reports.month_of(None, organization),
        workspace=workspace,
        asked=asked,
        message=choice.message_id,
        sums=_sums(found.results) if choice.message_id else None,
    )


def _sums(calls: Sequence[UsageEvent]) -> dict[str, Any]:
    """Add up what a message took; AIsuru may make up to ten calls for one."""
    return {
        "calls": len(calls),
        "input": sum(call.prompt_tokens for call in calls),
        "output": sum(call.completion_tokens for call in calls),
        "cost": sum((call.cost for call in calls if call.cost is not None), 0),
        "unpriced": sum(call.cost is None for call in calls),
    }


def _table(visit: Visit, workspace: Workspace | None) -> HttpResponseBase:
    choice, organization = _choice(visit), visit.organization
    name = f"calls-{(workspace or organization).pk}-{choice.month or 'message'}.csv"
    return streaming.response(
        visit.request,
        _rows(organization, workspace, choice),
        media_type="text/csv; charset=utf-8",
        file_name=name,
    )


def _rows(
    organization: Organization, workspace: Workspace | None, choice: Choice
) -> Iterator[bytes]:
    """Write page after page, each read in a transaction of its own."""
    yield tables.MARK + tables.write([_HEAD])
    place = None
    while True:
        found = drilldown.calls(
            organization=organization,
            workspace=workspace,
            choice=choice,
            before=place,
            limit=drilldown.MOST,
        )
        names = _names(organization, found.results)
        if found.results:
            yield tables.write(_row(call, names.get(call.model_id, "")) for call in found.results)
        if found.next is None:
            return
        place = found.next


def _names(organization: Organization, calls: Sequence[UsageEvent]) -> dict[Any, str]:
    ids = {call.model_id for call in calls if call.model_id}
    with scope.tenant(organization.pk):
        return dict(RegisteredModel.objects.filter(pk__in=ids).values_list("pk", "name"))


def _row(call: UsageEvent, name: str) -> list[Any]:
    return [
        call.occurred_at.isoformat(),
        *(call.id, call.workspace_id, call.key_id or "", call.model_id or "", name),
        *(call.category, call.requested_model, call.answered_model, call.message_id),
        *(call.prompt_tokens, call.completion_tokens, call.cached_tokens, call.pages),
        *(call.audio_seconds, call.characters, call.duration_ms, call.http_status),
        *("" if call.cost is None else plain(call.cost), call.currency),
        *(call.estimate, call.corrects or "", call.outcome),
    ]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
