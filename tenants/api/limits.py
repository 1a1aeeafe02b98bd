"""Limits over HTTP: what an organization or a part of it may cost and use."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.models import TokenScope
from tenants.access.pagination import part
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, PageQuery, Reply, endpoint, page_of
from tenants.common import scope
from tenants.keys.models import MistralKey
from tenants.organizations.models import Organization, Workspace
from tenants.registry.models import RegisteredModel
from tenants.spend import limits, services
from tenants.spend.calls import LimitMode, SubjectKind
from tenants.spend.limits import Subject
from tenants.spend.models import Limit
from tenants.spend.rates import Rates

_MODES = [mode.value for mode in LimitMode]
_AN = {
    "organization": "an organization",
    "workspace": "a workspace",
    "model": "a model",
    "key": "a key",
}
_MOST_TOKENS = 10**15
_THREE_PLACES = Decimal("0.001")
_KINDS = [kind.value for kind in SubjectKind]


class LimitIn(In):
    """A limit."""

    monthly_spend = fields.Amount(
        allow_null=True, help_text="In the organization's currency; null for no limit."
    )
    alert_thresholds = fields.Several(
        child=fields.Whole(min_value=1, max_value=100),
        max_length=10,
        default=list(limits.DEFAULT_THRESHOLDS),
        help_text="Percentages at which to tell.",
    )
    requests_per_second = fields.Number(
        min_value=0.001,
        max_value=100_000,
        allow_null=True,
        default=None,
        help_text="Up to three places: 0.5 is one call in two seconds.",
    )
    tokens_per_minute = fields.Whole(
        min_value=1, max_value=_MOST_TOKENS, allow_null=True, default=None
    )
    tokens_per_month = fields.Whole(
        min_value=1,
        max_value=_MOST_TOKENS,
        allow_null=True,
        default=None,
        help_text="In the budget months of the organization's zone.",
    )
    mode = fields.OneOf(
        choices=_MODES,
        default=LimitMode.ENFORCE.value,
        help_text="`shadow` only counts what it would refuse.",
    )


class LimitOut(Out):
    """A limit, as it is set."""

    subject_kind = serializers.ChoiceField(choices=_KINDS)
    subject_id = serializers.UUIDField()
    monthly_spend = fields.Amount(allow_null=True)
    requests_per_second = serializers.FloatField(allow_null=True)
    tokens_per_minute = serializers.IntegerField(allow_null=True)
    tokens_per_month = serializers.IntegerField(allow_null=True)
    currency = serializers.CharField()
    alert_thresholds = serializers.ListField(child=serializers.IntegerField())
    mode = serializers.ChoiceField(choices=_MODES)
    updated_at = serializers.DateTimeField(allow_null=True)


class EffectiveLimitOut(Out):
    """A limit that applies, and where this month stands."""

    subject_kind = serializers.ChoiceField(choices=_KINDS)
    subject_id = serializers.UUIDField()
    subject_name = serializers.CharField()
    monthly_spend = fields.Amount(allow_null=True, help_text="Null where only rates are limited.")
    requests_per_second = serializers.FloatField(allow_null=True)
    tokens_per_minute = serializers.IntegerField(allow_null=True)
    tokens_per_month = serializers.IntegerField(allow_null=True)
    mode = serializers.ChoiceField(choices=_MODES)
    alert_thresholds = serializers.ListField(child=serializers.IntegerField())
    currency = serializers.CharField()
    spent = fields.Amount()
    held = fields.Amount(help_text="Worst cases of the calls going on now.")
    excess = fields.Amount(
        help_text="The part of `spent` that Mistral billed beyond what was held."
    )
    remaining = fields.Amount(allow_null=True)
    resets_at = serializers.DateTimeField()
    refused_at = serializers.DateTimeField(
        allow_null=True, help_text="When it last refused a call this month, to the minute."
    )
    refused_calls = serializers.IntegerField(help_text="What a shadow limit would have refused.")
    refused_amount = fields.Amount()
    rate_refused_calls = serializers.IntegerField(help_text="By its rates, this month.")
    rate_shadowed_calls = serializers.IntegerField(
        help_text="What its rates would have refused in shadow mode."
    )


@dataclass(frozen=True)
class _Shown:
    """A limit beside the currency it is in."""

    subject_kind: str
    subject_id: UUID
    monthly_spend: Decimal | None
    requests_per_second: Decimal | None
    tokens_per_minute: int | None
    tokens_per_month: int | None
    currency: str
    alert_thresholds: list[int]
    mode: str
    updated_at: datetime | None


def limits_of(subject: type[Subject], noun: str) -> type[ApiView]:
    """Make ``/…/limits`` of one kind of subject."""

    class Limits(ApiView):
        @endpoint(
            f"get_{noun}_limits",
            TokenScope.LIMITS_READ,
            summary=f"Read the limits of {_AN[noun]}",
            gives={200: LimitOut},
        )
        def get(self, call: Call, **ids: UUID) -> Reply:
            """Without a limit of its own, `monthly_spend` is null."""
            found, organization = _find(call, subject, ids)
            limit = limits.read_limit(organization=organization, subject=found)
            return Reply(_shown(limit, organization))

        @endpoint(
            f"set_{noun}_limits",
            TokenScope.LIMITS_WRITE,
            summary=f"Set the limits of {_AN[noun]}",
            takes=LimitIn,
            gives={200: LimitOut},
            refuses=(409,),
            example={"monthly_spend": "500.00", "alert_thresholds": [50, 80, 100]},
        )
        def put(self, call: Call, **ids: UUID) -> Reply:
            """The next call obeys it; members that are not sent take their defaults."""
            found, organization = _find(call, subject, ids)
            facts = dict(call.data)
            mode = LimitMode(facts.pop("mode"))
            limit = services.set_limit(
                actor=call.actor,
                organization=organization,
                subject=found,
                mode=mode,
                rates=_rates(facts),
                **facts,
            )
            return Reply(_shown(limit, organization))

    return Limits


def effective_limits_of(subject: type[Subject], noun: str) -> type[ApiView]:
    """Make ``/…/limits/effective`` of one kind of subject."""

    class EffectiveLimits(ApiView):
        @endpoint(
            f"list_effective_{noun}_limits",
            TokenScope.LIMITS_READ,
            summary=f"List every limit that a call of {_AN[noun]} must pass",
            query=PageQuery,
            gives={200: page_of(EffectiveLimitOut)},
        )
        def get(self, call: Call, **ids: UUID) -> Reply:
            """Widest first, each with this month's figures. None overrides another."""
            found, organization = _find(call, subject, ids)
            results = limits.effective_limits(
                organization=organization,
                workspace=found if isinstance(found, Workspace) else None,
                model=found if isinstance(found, RegisteredModel) else None,
                key=found if isinstance(found, MistralKey) else None,
            )
            return Reply(part(results, **call.page))

    return EffectiveLimits


def _find[S: Subject](
    call: Call, subject: type[S], ids: Mapping[str, UUID]
) -> tuple[S, Organization]:
    (row_id,) = ids.values()
    found = tenancy.find(call.principal, subject, row_id)
    if isinstance(found, Organization):
        return found, found
    with scope.tenant(found.organization_id):
        return found, Organization.objects.get()


def _rates(facts: dict[str, Any]) -> Rates:
    """Take the rates out of what was sent."""
    per_second = facts.pop("requests_per_second")
    return Rates(
        None if per_second is None else Decimal(str(per_second)).quantize(_THREE_PLACES),
        facts.pop("tokens_per_minute"),
        facts.pop("tokens_per_month"),
    )


def _shown(limit: Limit, organization: Organization) -> _Shown:
    return _Shown(
        subject_kind=limit.subject_kind,
        subject_id=limit.subject_id,
        monthly_spend=limit.monthly_spend,
        requests_per_second=limit.requests_per_second,
        tokens_per_minute=limit.tokens_per_minute,
        tokens_per_month=limit.tokens_per_month,
        currency=organization.currency,
        alert_thresholds=limit.alert_thresholds,
        mode=limit.mode,
        updated_at=limit.updated_at,
    )
