"""One organization, inside an open session: what is well, what is not, and what happened.

Every page opens the organization's scope for as long as it reads (``visiting.visit``), and is in
its audit log. Lists go by keyset; nothing is counted that can be large.
"""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.access.models import OrganizationToken
from tenants.access.pagination import Page, make_cursor, page, read_cursor
from tenants.assistance import visiting
from tenants.assistance.staff import Staff
from tenants.assistance.visiting import Visit, visit
from tenants.common.models import Row
from tenants.common.months import Month
from tenants.keys.models import MistralKey
from tenants.organizations.models import AuditEvent, Invitation, Member, OrganizationStatus
from tenants.registry import status
from tenants.registry.models import RegisteredModel
from tenants.spend import reports
from tenants.spend.calls import Outcome
from tenants.spend.groups import grouped
from tenants.spend.models import Balance, Hold, Limit, UsageEvent
from tenants.support import pages, tables
from tenants.support.door import closed
from tenants.support.pages import NOTHING, Button, Section, amount, when

_FEW = 10
_MANY = 50
_RECENT = timedelta(days=7)
_MOST_MODELS = 200
_SPOILT = [
    one.value for one in (Outcome.REFUSED, Outcome.FAILED, Outcome.NOT_SENT, Outcome.UNKNOWN)
]


def overview(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """Show an organization on one page; without a session, ask for one."""
    if not any(
        one.organization_id == organization_id for one in visiting.open_sessions(staff.person)
    ):
        return HttpResponseRedirect(reverse("admin:session_open", args=[organization_id]))
    with visit(staff=staff, organization_id=organization_id, page="overview") as found:
        sections = [
            _health(found),
            _keys(found, _key_rows()[:_FEW], "admin:keys"),
            _models(found, _model_rows()[:_FEW], "admin:models"),
            _limits(found),
            _spend(found),
            _holds(found),
            _refused(found),
            _events(found, list(AuditEvent.objects.all()[:_FEW]), "admin:audit"),
        ]
        return pages.page(request, staff, found.organization.name, sections, visit=found)


def keys(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """List keys with their verdicts."""
    with visit(staff=staff, organization_id=organization_id, page="keys") as found:
        listed = _listed(request, _key_rows())
        section = _keys(found, list(listed.rows))
        return _list(request, found, _("Keys"), section, listed.next)


def models(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """List models and why one is blocked."""
    with visit(staff=staff, organization_id=organization_id, page="models") as found:
        listed = _listed(request, _model_rows())
        section = _models(found, list(listed.rows))
        return _list(request, found, _("Models"), section, listed.next)


def calls(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """List metered calls, newest first; ``?spoilt=1`` only those that went wrong."""
    with visit(staff=staff, organization_id=organization_id, page="calls") as found:
        events = UsageEvent.objects.filter(organization=found.organization)
        if request.GET.get("spoilt"):
            events = events.filter(outcome__in=_SPOILT)
        if cursor := request.GET.get("cursor"):
            last = read_cursor(cursor, lambda place: UUID(bytes=place))
            at = UsageEvent.objects.filter(id=last).values_list("occurred_at", flat=True).first()
            events = events.filter(pk__lt=(organization_id, at or timezone.now(), last))
        rows = list(events[: _MANY + 1])
        more = make_cursor(rows[_MANY - 1].id.bytes) if len(rows) > _MANY else None
        section = Section(
            _("Calls"), headers=tables.call_headers(), rows=tables.calls(found, rows[:_MANY])
        )
        return _list(request, found, _("Calls"), section, more)


def people(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """List members, open invitations and tokens (by their hint)."""
    with visit(staff=staff, organization_id=organization_id, page="people") as found:
        members = Member.objects.select_related("person")[:_MANY]
        invitations = list(Invitation.objects.filter(closed_at=None).defer("digest")[:_MANY])
        tokens = list(OrganizationToken.objects.filter(revoked_at=None).defer("digest")[:_MANY])
        sections = [
            Section(
                _("Members"),
                headers=[_("E-mail"), _("Name"), _("Role")],
                rows=[[one.person.email, one.person.name, one.role] for one in members],
            ),
            Section(
                _("Open invitations"),
                headers=[_("E-mail"), _("Role"), _("Sent"), _("Until")],
                rows=[
                    [one.email, one.role, when(one.mailed_at), when(one.expires_at)]
                    for one in invitations
                ],
                buttons=_resend_buttons(found, invitations),
            ),
            Section(
                _("Tokens"),
                headers=[_("Name"), _("Token"), _("Made by"), _("Until")],
                rows=[[one.name, one.hint, one.created_by, when(one.expires_at)] for one in tokens],
                buttons=_revoke_buttons(found, tokens),
            ),
        ]
        return pages.page(request, staff, _("People and tokens"), sections, visit=found)


def audit_log(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """List audit events, this look among them."""
    with visit(staff=staff, organization_id=organization_id, page="audit") as found:
        listed = _listed(request, AuditEvent.objects.all())
        section = _events(found, list(listed.rows))
        return _list(request, found, _("Audit log"), section, listed.next)


def _health(found: Visit) -> Section:
    organization = found.organization
    by_status = dict(
        MistralKey.objects.exclude(status="revoked").values_list("status").annotate(Count("pk"))
    )
    now = timezone.now()
    reasons = [status.of(model, now) for model in _model_rows()[:_MOST_MODELS]]
    told = ", ".join(f"{name} {count}" for name, count in sorted(by_status.items()))
    return Section(
        _("At a glance"),
        facts=[
            (_("Status"), organization.status),
            (_("AIsuru tenant"), organization.aisuru_tenant or NOTHING),
            (_("Slug"), organization.slug),
            (_("Owner"), organization.owner_email),
            (_("Time zone"), organization.timezone),
            (_("Since"), when(organization.created_at)),
            (_("Keys"), told or NOTHING),
            (_("Models blocked"), f"{sum(map(bool, reasons))} / {len(reasons)}"),
        ],
        buttons=_status_buttons(found),
    )


def _keys(found: Visit, rows: "list[MistralKey] | QuerySet[MistralKey]", more: str = "") -> Section:
    listed = list(rows)
    return Section(
        _("Keys"),
        headers=tables.key_headers(),
        rows=tables.keys(listed),
        buttons=tables.key_buttons(found, listed),
        more=_address(found, more),
    )


def _models(
    found: Visit, rows: "list[RegisteredModel] | QuerySet[RegisteredModel]", more: str = ""
) -> Section:
    listed = list(rows)
    buttons = [
        Button(
            _("Stop the tokens of %(name)s") % {"name": model.name},
            reverse("admin:model_stop", args=[found.organization.pk, model.pk]),
            is_grave=True,
        )
        for model in listed
        if found.may("model:stop")
    ]
    return Section(
        _("Models"),
        headers=tables.model_headers(),
        rows=tables.models(listed),
        buttons=buttons,
        more=_address(found, more),
    )


def _limits(found: Visit) -> Section:
    organization = found.organization
    month = Month.of(timezone.now(), organization.timezone)
    balances = {
        (one.subject_kind, one.subject_id): one
        for one in Balance.objects.filter(organization=organization, period=month.first_day)[:_MANY]
    }
    rows = []
    for limit in Limit.objects.order_by("pk")[:_MANY]:
        balance = balances.get((limit.subject_kind, limit.subject_id))
        rows.append(
            [
                f"{limit.subject_kind} {limit.subject_id}",
                amount(limit.monthly_spend, organization.currency),
                limit.mode,
                amount(balance.settled if balance else None, organization.currency),
                amount(balance.held if balance else None, organization.currency),
                when(balance.refused_at if balance else None),
            ]
        )
    return Section(
        _("Limits"),
        headers=[
            _("Of"),
            _("A month"),
            _("Mode"),
            _("Spent"),
            _("Held"),
            _("Last refused a call (gateway)"),
        ],
        rows=rows,
    )


def _spend(found: Visit) -> Section:
    organization = found.organization
    month = Month.of(timezone.now(), organization.timezone)
    lines = reports.lines_of(organization).filter(period=month.first_day)
    days = grouped(lines, ["day"])
    total = sum((day.amount for day in days), start=Decimal(0))
    return Section(
        _("Spend of the month"),
        facts=[
            (_("Total"), amount(total, organization.currency)),
            (_("Calls without a price"), sum(day.unpriced for day in days)),
        ],
        headers=[_("Day"), _("Cost"), _("Calls")],
        rows=[
            [day.names["day"], amount(day.amount, organization.currency), day.events]
            for day in days
        ],
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
        organization=found.organization,
        occurred_at__gt=timezone.now() - _RECENT,
        outcome__in=_SPOILT,
    )[:_FEW]
    return Section(
        _("Calls that went wrong in the last seven days"),
        headers=tables.call_headers(),
        rows=tables.calls(found, rows),
        more=f"{_address(found, 'admin:calls')}?spoilt=1",
    )


def _events(found: Visit, rows: list[AuditEvent], more: str = "") -> Section:
    return Section(
        _("Audit log"),
        headers=tables.event_headers(),
        rows=tables.events(rows),
        more=_address(found, more),
    )


def _status_buttons(found: Visit) -> list[Button]:
    if not found.may("organization:suspend"):
        return []
    ids = [found.organization.pk]
    if found.organization.status == OrganizationStatus.ACTIVE:
        suspend = reverse("admin:suspend", args=ids)
        return [Button(_("Suspend the organization"), suspend, is_grave=True)]
    return [Button(_("Let the organization work again"), reverse("admin:reactivate", args=ids))]


def _resend_buttons(found: Visit, invitations: list[Invitation]) -> list[Button]:
    return [
        Button(
            _("Send %(email)s a new link") % {"email": one.email},
            reverse("admin:invitation_resend", args=[found.organization.pk, one.pk]),
        )
        for one in invitations
        if found.may("invitation:resend")
    ]


def _revoke_buttons(found: Visit, tokens: list[OrganizationToken]) -> list[Button]:
    return [
        Button(
            _("Revoke %(name)s") % {"name": one.name},
            reverse("admin:token_revoke", args=[found.organization.pk, one.pk]),
            is_grave=True,
        )
        for one in tokens
        if found.may("token:revoke")
    ]


def _key_rows() -> QuerySet[MistralKey]:
    return MistralKey.objects.select_related("workspace").only(*tables.KEY_COLUMNS)


def _model_rows() -> QuerySet[RegisteredModel]:
    rows = RegisteredModel.objects.filter(retired_at=None)
    return rows.select_related("organization", "workspace", "key").defer(
        "key__sealed", "key__fingerprint"
    )


def _listed[M: Row](request: HttpRequest, rows: QuerySet[M]) -> Page[M]:
    return page(rows, limit=_MANY, cursor=request.GET.get("cursor"))


def _list(
    request: HttpRequest, found: Visit, title: str, section: Section, cursor: str | None
) -> HttpResponse:
    query = request.GET.copy()
    if cursor:
        query["cursor"] = cursor
    more = f"{request.path}?{query.urlencode()}" if cursor else ""
    shown = Section(
        section.title,
        headers=section.headers,
        rows=section.rows,
        buttons=section.buttons,
        more=more,
    )
    return pages.page(request, found.staff, title, [shown], visit=found)


def _address(found: Visit, name: str) -> str:
    return reverse(name, args=[found.organization.pk]) if name else ""


OVERVIEW = closed(overview)
KEYS = closed(keys)
MODELS = closed(models)
CALLS = closed(calls)
PEOPLE = closed(people)
AUDIT = closed(audit_log)
