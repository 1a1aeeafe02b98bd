"""Limits: of the organization or a part of it, where the month stands, and what if."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.access.models import TokenScope
from tenants.common.problems import Problem
from tenants.console import words
from tenants.console.door import Page, Visit, page
from tenants.console.forms import Amount, ChangeForm, HouseForm, Number
from tenants.keys.models import MistralKey
from tenants.organizations.models import Organization, Workspace
from tenants.registry.models import RegisteredModel
from tenants.registry.services import reset_rate_limits
from tenants.spend import limits, ratereport
from tenants.spend.calls import LimitMode
from tenants.spend.limits import Subject
from tenants.spend.models import Limit
from tenants.spend.ratereport import BucketReport
from tenants.spend.rates import Rates
from tenants.spend.services import set_limit

_MOST_TOKENS = 10**15
_MOST_BUCKETS = 50
_THREE_PLACES = Decimal("0.001")
#: How many requests one AIsuru message may make, where nothing is known yet.
_REQUESTS_OF_MESSAGE = Decimal(10)
_MINUTE = Decimal(60)


class Percentages(forms.CharField):
    """Whole percentages, with commas between them."""

    def clean(self, value: Any) -> list[int]:
        """Read them.

        Raises:
            ValidationError: they are none.
        """
        text: str = super().clean(value).replace("%", " ").replace(";", ",")
        try:
            return sorted({int(one) for one in text.split(",") if one.strip()})
        except ValueError:
            detail = _("Write whole numbers with commas between them, like 50, 80, 100.")
            raise forms.ValidationError(detail, "invalid") from None

    def prepare_value(self, value: Any) -> Any:
        """Write them."""
        return ", ".join(map(str, value)) if isinstance(value, list) else value


class LimitForm(ChangeForm):
    """A limit."""

    monthly_spend = Amount(
        required=False,
        label=gettext_lazy("Spending limit a month"),
        help_text=gettext_lazy("Empty: no limit of its own. 0: no call goes through."),
    )
    alert_thresholds = Percentages(
        max_length=60,
        required=False,
        label=gettext_lazy("Tell at these percentages"),
        help_text=gettext_lazy("With commas between them, like 50, 80, 100."),
    )
    mode = forms.ChoiceField(
        choices=[
            (LimitMode.ENFORCE.value, gettext_lazy("Refuse calls that would go beyond it")),
            (LimitMode.SHADOW.value, gettext_lazy("Only count what it would refuse")),
        ],
        label=gettext_lazy("What it does"),
    )
    requests_per_second = Number(
        required=False,
        min_value=_THREE_PLACES,
        max_value=100_000,
        decimal_places=3,
        label=gettext_lazy("Requests a second"),
    )
    tokens_per_minute = forms.IntegerField(
        required=False, min_value=1, max_value=_MOST_TOKENS, label=gettext_lazy("Tokens a minute")
    )
    tokens_per_month = forms.IntegerField(
        required=False, min_value=1, max_value=_MOST_TOKENS, label=gettext_lazy("Tokens a month")
    )

    def __init__(self, *args: Any, limit: Limit) -> None:
        now = {name: getattr(limit, name) for name in self.base_fields}
        super().__init__(*args, now=now)


class WhatIfForm(HouseForm):
    """How much would be asked."""

    agents = forms.IntegerField(min_value=1, max_value=100_000, label=gettext_lazy("Agents"))
    messages = Number(
        min_value=Decimal("0.1"),
        max_value=10_000,
        label=gettext_lazy("Messages a minute to each"),
        error_messages={"min_value": gettext_lazy("At least one message in ten minutes.")},
    )
    requests = Number(
        min_value=1,
        max_value=100,
        label=gettext_lazy("Requests a message"),
        help_text=gettext_lazy("AIsuru may make up to ten for one message."),
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a load needs, and whether it fits.

    Attributes:
        per_second: requests a second that are needed.
        allowed: requests a second that are allowed, by the tightest limit known; None: none known.
        messages: how many messages a minute are carried; None: not known.
    """

    per_second: Decimal
    allowed: Decimal | None
    messages: Decimal | None

    @property
    def fits(self) -> bool:
        """Tell whether it does."""
        return self.allowed is None or self.per_second <= self.allowed


class Limits(Page):
    """``/organizations/<id>/limits``."""

    @page(TokenScope.LIMITS_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Show the limit, where the month stands, Mistral's rates, and what would fit."""
        return _shown(visit, visit.organization)

    @page(TokenScope.LIMITS_WRITE)
    def post(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Set it; the next call obeys it."""
        return _set(visit, visit.organization, "console-limits", organization_id=organization_id)


class ResetRates(Page):
    """``/organizations/<id>/limits/reset``: confirmed by naming what is tried again."""

    @page(TokenScope.LIMITS_WRITE)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Say what is forgotten, and what stays."""
        return visit.show("limits_reset")

    @page(TokenScope.LIMITS_WRITE)
    def post(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Have what Mistral's refusals taught forgotten."""
        reset_rate_limits(actor=visit.actor, organization=visit.organization)
        visit.tell(_("Calls go out again within a few seconds."))
        return visit.go("console-limits", organization_id=organization_id)


class WorkspaceLimits(Page):
    """``/workspaces/<id>/limits``."""

    @page(TokenScope.LIMITS_READ)
    def get(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """Show the limit, and every other that the workspace's calls must pass."""
        return _shown(visit, visit.workspace)

    @page(TokenScope.LIMITS_WRITE)
    def post(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """Set it."""
        return _set(visit, visit.workspace, "console-workspace-limits", workspace_id=workspace_id)


class ModelLimits(Page):
    """``/models/<id>/limits``."""

    @page(TokenScope.LIMITS_READ)
    def get(self, visit: Visit, model_id: UUID) -> HttpResponse:
        """Show the limit, and every other that the model's calls must pass."""
        return _shown(visit, visit.find(RegisteredModel, model_id))

    @page(TokenScope.LIMITS_WRITE)
    def post(self, visit: Visit, model_id: UUID) -> HttpResponse:
        """Set it."""
        model = visit.find(RegisteredModel, model_id)
        return _set(visit, model, "console-model-limits", model_id=model_id)


class KeyLimits(Page):
    """``/keys/<id>/limits``."""

    @page(TokenScope.LIMITS_READ)
    def get(self, visit: Visit, key_id: UUID) -> HttpResponse:
        """Show the limit, and every other that the key's calls must pass."""
        return _shown(visit, visit.find(MistralKey, key_id))

    @page(TokenScope.LIMITS_WRITE)
    def post(self, visit: Visit, key_id: UUID) -> HttpResponse:
        """Set it."""
        key = visit.find(MistralKey, key_id)
        return _set(visit, key, "console-key-limits", key_id=key_id)


def answer(load: Mapping[str, Any], buckets: list[BucketReport], own: Any) -> Answer:
    """Compare a load with the tightest rate known: ours, and what Mistral's answers have taught.

    Args:
        load: ``agents``, ``messages`` a minute to each, ``requests`` a message.
        buckets: what is known of Mistral's limits.
        own: requests a second that are set here; None for none.
    """
    needed = Decimal(load["agents"]) * load["messages"] * load["requests"] / _MINUTE
    known = [
        Decimal(window.limit) / window.seconds
        for bucket in buckets
        for window in bucket.learned
        if window.meter == "requests" and window.limit and window.seconds
    ]
    if own is not None:
        known.append(own)
    allowed = min(known, default=None)
    messages = None if allowed is None else allowed * _MINUTE / load["requests"]
    return Answer(
        needed.quantize(Decimal("0.01"), ROUND_HALF_UP),
        None if allowed is None else allowed.quantize(Decimal("0.01"), ROUND_HALF_UP),
        None if messages is None else messages.quantize(Decimal(1), ROUND_HALF_UP),
    )


def _shown(
    visit: Visit, subject: Subject, form: LimitForm | None = None, status: int = 200
) -> HttpResponse:
    organization = visit.organization
    limit = limits.read_limit(organization=organization, subject=subject)
    effective = limits.effective_limits(
        organization=organization,
        workspace=subject if isinstance(subject, Workspace) else None,
        model=subject if isinstance(subject, RegisteredModel) else None,
        key=subject if isinstance(subject, MistralKey) else None,
    )
    is_whole = isinstance(subject, Organization)
    buckets = (
        ratereport.report(organization=organization, after=None, most=_MOST_BUCKETS)
        if is_whole
        else []
    )
    asked = visit.request.GET
    load = WhatIfForm(
        asked if "agents" in asked else None,
        initial={"agents": 5, "messages": 2, "requests": _per_message(buckets)},
    )
    told = None
    if load.is_bound and load.is_valid():
        told = answer(load.cleaned_data, buckets, limit.requests_per_second)
    return visit.show(
        "limits",
        status,
        subject=subject,
        name=_name(subject),
        kind=limits.kind_of(subject).value,
        form=form or LimitForm(limit=limit),
        effective=[(one, _percent(one)) for one in effective],
        buckets=buckets,
        is_whole=is_whole,
        load=load,
        told=told,
        sees_all=visit.here.leads_to("console-limits"),
        may_write=visit.may(TokenScope.LIMITS_WRITE),
    )


def _set(visit: Visit, subject: Subject, name: str, **ids: UUID) -> HttpResponse:
    limit = limits.read_limit(organization=visit.organization, subject=subject)
    form = LimitForm(visit.request.POST, limit=limit)
    if form.is_valid():
        said = form.cleaned_data
        try:
            set_limit(
                actor=visit.actor,
                organization=visit.organization,
                subject=subject,
                monthly_spend=said["monthly_spend"],
                alert_thresholds=said["alert_thresholds"],
                mode=LimitMode(said["mode"]),
                rates=Rates(
                    said["requests_per_second"],
                    said["tokens_per_minute"],
                    said["tokens_per_month"],
                ),
            )
        except Problem as problem:
            form.refuse(problem)
        else:
            now = limits.read_limit(organization=visit.organization, subject=subject)
            way = form.way_back(visit.request.path, LimitForm(limit=now))
            visit.tell(_("The limit holds from the next call on."), way)
            if now.monthly_spend == 0 and now.mode == LimitMode.ENFORCE:
                visit.warn(_("The limit is 0: every call that costs something is refused."))
            return visit.go(name, **ids)
    return _shown(visit, subject, form, form.refused)


def share(amount: Decimal, whole: Decimal) -> float:
    """Tell how many percent of a limit an amount takes; a limit of nothing is used up."""
    return float(100 * amount / whole) if whole else 100.0


def _name(subject: Subject) -> str:
    if isinstance(subject, MistralKey):
        return words.key_called(subject.name, subject.last4)
    return subject.name


def _percent(one: limits.EffectiveLimit) -> int | None:
    if one.monthly_spend is None:
        return None
    return min(100, round(share(one.spent + one.held, one.monthly_spend)))


def _per_message(buckets: list[BucketReport]) -> Decimal:
    """Take what messages have really made, where that is known."""
    known = [bucket.calls_of_message for bucket in buckets if bucket.calls_of_message]
    return max(known, default=_REQUESTS_OF_MESSAGE)
