"""One organization on one page, inside an open session: what is well, what is not, what happened.

The page opens the organization's scope for as long as it reads (``visiting.visit``), and is in its
audit log. Nothing is counted that can be large.
"""

from collections import Counter
from datetime import timedelta
from uuid import UUID

from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext as _

from tenants.assistance import visiting
from tenants.assistance.staff import Staff
from tenants.assistance.visiting import Visit, visit
from tenants.common.lookups import Among
from tenants.common.months import Month
from tenants.keys.models import KeyStatus, MistralKey
from tenants.notices.models import Delivery, DeliveryStatus, WebhookEndpoint
from tenants.organizations.models import AuditEvent, Organization, OrganizationStatus, Workspace
from tenants.registry import status
from tenants.registry.models import Publication, RegisteredModel
from tenants.spend.calls import Outcome
from tenants.spend.models import Hold, UsageEvent
from tenants.support import house, pages, spend, tables, words
from tenants.support.door import closed
from tenants.support.pages import NOTHING, Button, Section
from tenants.support.words import told

_FEW = 10
_RECENT = timedelta(days=7)
_MOST_KEYS = 500
_MOST_MODELS = 200


def overview(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """Show an organization on one page; without a session, ask for one."""
    if not any(
        one.organization_id == organization_id for one in visiting.open_sessions(staff.person)
    ):
        return HttpResponseRedirect(reverse("admin:session_open", args=[organization_id]))
    with visit(staff=staff, organization_id=organization_id, page="overview") as found:
        month = Month.of(timezone.now(), found.organization.timezone)
        sections = [
            _health(found),
            _keys(found),
            _models(found, list(house.model_rows()[:_FEW])),
            spend.of_limits(found),
            spend.curve(found.organization, month),
            _holds(found),
            _refused(found),
            _outside(found),
            _events(found),
        ]
        return pages.page(request, staff, found.organization.name, sections, visit=found)


def _health(found: Visit) -> Section:
    organization = found.organization
    blocked = _blocked(organization)
    keys = format_html_join(
        ", ", "{}: {}", ((told(words.KEYS, state), count) for state, count in _keys_by_status())
    )
    return Section(
        _("At a glance"),
        facts=[
            (_("Status"), told(words.ORGANIZATIONS, organization.status)),
            (_("AIsuru tenant"), organization.aisuru_tenant or NOTHING),
            (_("Slug"), organization.slug),
            (_("Owner"), organization.owner_email),
            (_("Time zone"), organization.timezone),
            (_("Since"), pages.when(organization.created_at)),
            (_("Keys"), keys or NOTHING),
            (_("Models blocked"), f"{sum(blocked)} / {len(blocked)}"),
        ],
        buttons=_status_buttons(found),
    )


def _keys_by_status() -> list[tuple[str, str]]:
    """Count the keys of each status: exactly where they are hundreds, which an index tells."""
    states = [one for one in KeyStatus if one is not KeyStatus.REVOKED]
    first, *others = (
        MistralKey.objects.filter(status=one).order_by().values_list("status")[: _MOST_KEYS + 1]
        for one in states
    )
    counted = Counter(state for (state,) in first.union(*others, all=True).order_by())
    return [
        (state, str(count) if count <= _MOST_KEYS else f"{_MOST_KEYS}+")
        for state, count in sorted(counted.items())
    ]


def _blocked(organization: Organization) -> list[bool]:
    """Tell of the newest models whether something stops them: hundreds, and no more of them."""
    models = list(
        RegisteredModel.objects.filter(retired_at=None)
        .order_by("-pk")
        .values_list("workspace_id", "key_id")[:_MOST_MODELS]
    )
    keys = {
        pk: (state, expires_on)
        for pk, state, expires_on in MistralKey.objects.filter(
            Among(F("pk"), {key_id for _workspace_id, key_id in models})
        )
        .order_by()
        .values_list("pk", "status", "expires_on")
    }
    archived = set(Workspace.objects.exclude(archived_at=None).values_list("pk", flat=True))
    now = timezone.now()
    return [
        status.Circumstances(
            organization_status=organization.status,
            timezone=organization.timezone,
            workspace_archived=workspace_id in archived,
            model_retired=False,
            key_status=keys[key_id][0],
            key_expires_on=keys[key_id][1],
        ).blocked(now)
        is not None
        for workspace_id, key_id in models
    ]


def _keys(found: Visit) -> Section:
    rows = list(house.key_rows()[:_FEW])
    return Section(
        _("Keys"),
        headers=tables.key_headers(),
        rows=tables.keys(found, rows),
        buttons=tables.key_buttons(found, rows),
        more=_address(found, "admin:keys"),
    )


def _models(found: Visit, rows: list[RegisteredModel]) -> Section:
    return Section(
        _("Models"),
        headers=tables.model_headers(),
        rows=tables.models(found, rows),
        buttons=house.stop_buttons(found, [row for row in rows if tables.is_blocked(row)]),
        more=_address(found, "admin:models"),
    )


def _holds(found: Visit) -> Section:
    rows = Hold.objects.filter(organization=found.organization).order_by("id")[:_FEW]
    release = Button(
        _("Release orphaned holds"), reverse("admin:holds_release", args=[found.organization.pk])
    )
    return Section(
        _("Calls that are going on"),
        _("A hold whose process has ended is released by itself within seconds."),
        headers=tables.hold_headers(),
        rows=tables.holds(rows),
        buttons=[release] if found.may("hold:release") else [],
    )


def _refused(found: Visit) -> Section:
    rows = UsageEvent.objects.filter(
        organization=found.organization, occurred_at__gt=timezone.now() - _RECENT
    ).exclude(outcome=Outcome.COMPLETED.value)[:_FEW]
    return Section(
        _("Calls that went wrong in the last seven days"),
        headers=tables.call_headers(),
        rows=tables.calls(found, list(rows)),
        more=f"{_address(found, 'admin:calls')}?outcome={house.SPOILT}",
    )


def _outside(found: Visit) -> Section:
    off = WebhookEndpoint.objects.filter(is_enabled=False)[:_FEW]
    late = Delivery.objects.exclude(status=DeliveryStatus.DELIVERED).only("pk")[:_FEW]
    failed = Publication.objects.exclude(failure="").only("pk")[:_FEW]
    return Section(
        _("Webhooks and AIsuru"),
        facts=[
            (_("Webhooks switched off"), _some(len(off))),
            (_("Deliveries that have not arrived"), _some(len(late))),
            (_("Publications that failed"), _some(len(failed))),
        ],
        more=_address(found, "admin:outside"),
    )


def _events(found: Visit) -> Section:
    return Section(
        _("Audit log"),
        headers=tables.event_headers(),
        rows=tables.events(found, list(AuditEvent.objects.all()[:_FEW])),
        more=_address(found, "admin:audit"),
    )


def _status_buttons(found: Visit) -> list[Button]:
    if not found.may("organization:suspend"):
        return []
    ids = [found.organization.pk]
    if found.organization.status == OrganizationStatus.ACTIVE:
        suspend = reverse("admin:suspend", args=ids)
        return [Button(_("Suspend the organization"), suspend, is_grave=True)]
    return [Button(_("Let the organization work again"), reverse("admin:reactivate", args=ids))]


def _some(count: int) -> str:
    """Say how many, of what is not counted beyond a few."""
    return f"≥ {count}" if count == _FEW else str(count)


def _address(found: Visit, name: str) -> str:
    return reverse(name, args=[found.organization.pk])


OVERVIEW = closed(overview)
