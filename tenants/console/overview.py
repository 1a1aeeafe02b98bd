"""The overview: what matters now. Spend against the limit, and what needs somebody's attention."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tenants.access.models import TokenScope
from tenants.common import scope
from tenants.common.months import Month
from tenants.console import spending
from tenants.console.door import Page, Visit, page
from tenants.console.limits import share
from tenants.console.templatetags.console import count, money, short_day
from tenants.keys import expiry, verdicts
from tenants.keys.announcing import BLOCKING
from tenants.keys.models import KeyStatus, MistralKey
from tenants.onboarding.services import progress
from tenants.organizations.models import Organization, OrganizationStatus, Workspace
from tenants.registry import status
from tenants.registry.status import BlockedReason
from tenants.spend import drilldown, limits, registered, reports
from tenants.spend.calls import SubjectKind

_SOON = timedelta(days=14)
#: So many keys and so many models are named; of more it is said that there are more.
_MOST = 6
_LATELY = timedelta(hours=24)
#: More than a hundred are many: they are not counted.
_MOST_WRONG = 100
_WRONG = [status for status in KeyStatus if status not in {KeyStatus.VALID, KeyStatus.REVOKED}]


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that needs attention: what, why, and where to do something about it."""

    tone: str
    what: str
    why: str
    address: str


class Overview(Page):
    """``/organizations/<id>``."""

    @page(TokenScope.ORGANIZATIONS_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Show the organization as far as the member's role goes."""
        may_go_on = visit.may(TokenScope.BILLING_READ)
        return visit.show("overview", **_facts(visit, None), may_go_on=may_go_on)


class WorkspaceOverview(Page):
    """``/workspaces/<id>``."""

    @page(TokenScope.WORKSPACES_READ)
    def get(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """Show a workspace as far as the member's role goes."""
        return visit.show("overview", **_facts(visit, visit.workspace))


def _facts(visit: Visit, workspace: Workspace | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "workspace": workspace,
        "progress": progress(visit.organization),
        "concerns": [],
        "has_more": False,
        "may_edit": visit.may(TokenScope.WORKSPACES_WRITE),
        "may_limit": visit.may(TokenScope.LIMITS_WRITE),
    }
    if visit.organization.status != OrganizationStatus.ACTIVE:
        why = status.explain(BlockedReason.ORGANIZATION_SUSPENDED)
        here = {"organization_id": visit.organization.pk}
        address = reverse("console-overview", kwargs=here)
        facts["concerns"].append(Concern("bad", visit.organization.name, why, address))
    if visit.may(TokenScope.SPEND_READ):
        facts |= _money(visit, workspace)
    with scope.tenant(visit.organization.pk):
        if visit.may(TokenScope.SPEND_READ):
            facts["wrong"] = drilldown.count_wrong(
                visit.organization, workspace, since=timezone.now() - _LATELY, most=_MOST_WRONG
            )
            facts["most_wrong"] = _MOST_WRONG
        if visit.may(TokenScope.LIMITS_READ):
            facts["concerns"] += _of_limits(visit.organization, workspace)
        today = expiry.today(visit.organization.timezone, timezone.now())
        if visit.may(TokenScope.KEYS_READ):
            rows = MistralKey.objects.filter(revoked_at=None)
            keys = rows.filter(workspace=workspace) if workspace else rows
            facts["keys"] = keys.count() if workspace else None
            concerns = _of_keys(keys, today)
            facts["concerns"] += concerns[:_MOST]
            facts["has_more"] = len(concerns) > _MOST
        if visit.may(TokenScope.MODELS_READ):
            models = registered.stopped(today)
            if workspace:
                models = models.filter(workspace=workspace)
                facts["models"] = registered.present().filter(workspace=workspace).count()
            concerns = _of_models(models)
            facts["concerns"] += concerns[:_MOST]
            facts["has_more"] |= len(concerns) > _MOST
    return facts


def _money(visit: Visit, workspace: Workspace | None) -> dict[str, Any]:
    organization = visit.organization
    month = Month.of(timezone.now(), organization.timezone)
    report = reports.spend_report(
        organization=organization,
        workspace=workspace,
        month=month,
        group_by=["category", "day"],
        quantities=["requests"],
    )
    series = spending.by_category(report.groups)
    standing = report.limit
    taken = None
    if standing is not None:
        whole, spent = standing.monthly_spend, standing.spent
        taken = {
            "spent": min(round(share(spent, whole), 1), 100.0),
            "held": min(round(share(spent + standing.held, whole), 1), 100.0),
            "percent": round(share(spent, whole)),
        }
    return {
        "report": report,
        "month": month,
        "taken": taken,
        "requests": sum(group.quantities["requests"] for group in report.groups),
        "running": None if report.empty_message else spending.running(organization, report, series),
    }


def _of_limits(organization: Organization, workspace: Workspace | None) -> list[Concern]:
    since = timezone.now() - _LATELY
    found = limits.strained(organization, workspace, since=since, most=_MOST)
    return [_of_limit(one, organization) for one in found]


def _of_limit(one: limits.EffectiveLimit, organization: Organization) -> Concern:
    whole, zone = one.monthly_spend or Decimal(0), ZoneInfo(organization.timezone)
    facts = {
        "percent": count(round(share(one.spent, whole))),
        "left": money(one.remaining, one.currency),
        "day": short_day(one.resets_at.astimezone(zone).date()),
    }
    if one.spent >= whole:
        tone, why = "bad", _("is used up: calls are refused until %(day)s, or until it is raised")
    elif one.refused_at is not None and one.refused_at >= timezone.now() - _LATELY:
        tone, why = "bad", _("has refused calls lately: %(left)s are left until %(day)s")
    else:
        tone, why = "warn", _("%(percent)s percent of it are spent")
    what = _("Limit of %(name)s") % {"name": one.subject_name or _("a key")}
    return Concern(tone, what, why % facts, _limits_page(one))


def _limits_page(one: limits.EffectiveLimit) -> str:
    name, member = {
        SubjectKind.WORKSPACE: ("console-workspace-limits", "workspace_id"),
        SubjectKind.MODEL: ("console-model-limits", "model_id"),
        SubjectKind.KEY: ("console-key-limits", "key_id"),
    }.get(one.subject_kind, ("console-limits", "organization_id"))
    return reverse(name, kwargs={member: one.subject_id})


def _of_keys(keys: Any, today: date) -> list[Concern]:
    is_near = Q(expires_on__isnull=False, expires_on__lte=today + _SOON)
    is_refused = Q(replacement__status__in=BLOCKING)
    rows = keys.select_related("replacement").order_by("-pk")
    found = rows.filter(Q(status__in=_WRONG) | is_near | is_refused)[: _MOST + 1]
    concerns = []
    for key in found:
        what = _("Key %(name)s") % {"name": f"{key.name} …{key.last4}".strip()}
        address = reverse("console-key", kwargs={"key_id": key.pk})
        verdict = verdicts.of(key)
        if key.status == KeyStatus.PENDING:
            concerns.append(Concern("wait", what, _("is being checked"), address))
        elif key.status != KeyStatus.VALID:
            why = verdict.title if verdict else _("does not work")
            concerns.append(Concern("bad", what, why, address))
        elif (waiting := getattr(key, "replacement", None)) and waiting.status in BLOCKING:
            why = _("waits for a secret that Mistral refuses, and gets it when the grace ends")
            concerns.append(Concern("bad", what, why, address))
        elif key.expires_on is not None:
            left = (key.expires_on - today).days
            why = ngettext("expires in %(days)d day", "expires in %(days)d days", left)
            concerns.append(Concern("warn", what, why % {"days": left}, address))
    return concerns


def _of_models(models: Any) -> list[Concern]:
    shown = registered.with_facts(models.order_by("-pk")[: _MOST + 1])
    return [
        Concern(
            "bad",
            _("Model %(name)s") % {"name": model.name},
            model.blocked_detail,
            reverse("console-model", kwargs={"model_id": model.pk}),
        )
        for model in shown
        if model.blocked_detail
    ]
