"""Reads limits: which match, what they leave, and when they open again.

Every limit that matches a call must pass; none overrides another. Judging calls is the meter's
work, in the database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from tenants.common import scope
from tenants.common.months import Month
from tenants.common.prepared import Prepared
from tenants.keys.models import MistralKey
from tenants.organizations.models import Organization, Workspace
from tenants.registry.models import RegisteredModel
from tenants.spend.calls import LimitMode, SubjectKind
from tenants.spend.models import Balance, Limit, RateCount
from tenants.spend.rates import RATES_SET

type Subject = Organization | Workspace | RegisteredModel | MistralKey

DEFAULT_THRESHOLDS = (50, 80, 100)
_ZERO = Decimal(0)
#: The part of a limit from which on it is nearly used up.
_NEARLY = Decimal("0.8")
_KINDS: Mapping[type[Subject], SubjectKind] = {
    Organization: SubjectKind.ORGANIZATION,
    Workspace: SubjectKind.WORKSPACE,
    RegisteredModel: SubjectKind.MODEL,
    MistralKey: SubjectKind.KEY,
}
#: Of one subject.
_LIMIT = Prepared(
    lambda organization_id, kind, subject_id: Limit.objects.filter(
        organization_id=organization_id, subject_kind=kind, subject_id=subject_id
    ).values_list(),
    *(UUID, str, UUID),
)


@dataclass(frozen=True, slots=True)
class EffectiveLimit:
    """A limit that applies, and where this month stands; amounts are in ``currency``.

    Attributes:
        subject_kind, subject_id, subject_name: on what the limit is set.
        monthly_spend: the limit; None where only rates are limited.
        requests_per_second, tokens_per_minute, tokens_per_month: its rates; None is no limit.
        mode: enforced, or only watched.
        alert_thresholds: percentages at which to tell.
        spent: settled this month. ``held``: worst cases of the calls going on now.
        excess: the part of ``spent`` that Mistral billed beyond what was held.
        remaining: what may still be held; never below zero; None without a monthly limit.
        resets_at: when the next month begins in the organization's zone.
        refused_at: when it last refused a call this month, to the minute; None if it did not.
        refused_calls, refused_amount: what a shadow limit would have refused this month.
        rate_refused_calls, rate_shadowed_calls: what its rates have refused this month, and would
            have refused in shadow mode.
    """

    subject_kind: SubjectKind
    subject_id: UUID
    subject_name: str
    monthly_spend: Decimal | None
    requests_per_second: Decimal | None
    tokens_per_minute: int | None
    tokens_per_month: int | None
    mode: LimitMode
    alert_thresholds: tuple[int, ...]
    currency: str
    spent: Decimal
    held: Decimal
    excess: Decimal
    remaining: Decimal | None
    resets_at: datetime
    refused_at: datetime | None
    refused_calls: int
    refused_amount: Decimal
    rate_refused_calls: int
    rate_shadowed_calls: int


@dataclass(frozen=True, slots=True)
class Setting:
    """The month and the currency that figures are told in."""

    month: Month
    currency: str


def kind_of(subject: Subject) -> SubjectKind:
    """Tell what a subject is."""
    return _KINDS[type(subject)]


def owner_of(subject: Subject) -> UUID:
    """Tell whose a subject is."""
    return subject.pk if isinstance(subject, Organization) else subject.organization_id


def limit_of(organization: Organization, subject: Subject) -> Limit:
    """Find a subject's limit inside an open scope; without one, an unsaved row with no figure."""
    kind = kind_of(subject).value
    found = _LIMIT.find(Limit, organization.pk, kind, subject.pk)
    return (
        found[0]
        if found
        else Limit(
            organization=organization,
            subject_kind=kind,
            subject_id=subject.pk,
            alert_thresholds=list(DEFAULT_THRESHOLDS),
        )
    )


def read_limit(*, organization: Organization, subject: Subject) -> Limit:
    """Find a subject's limit; without one, an unsaved row with no figure."""
    with scope.tenant(organization.pk):
        return limit_of(organization, subject)


def apply(limit: Limit, month: date, currency: str) -> None:
    """Write a saved limit into the balances it judges, in the transaction that saved it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT spend_apply_limit(%s, %s, %s, %s)",
            [limit.subject_kind, limit.subject_id, month, currency],
        )


def effective_limits(
    *,
    organization: Organization,
    workspace: Workspace | None = None,
    model: RegisteredModel | None = None,
    key: MistralKey | None = None,
) -> list[EffectiveLimit]:
    """List every limit that a call of this model, key or workspace must pass, widest first.

    A model brings its workspace and its key along, a key its workspace. Each is told with this
    month's figures.
    """
    with scope.tenant(organization.pk):
        if model is not None:
            key = model.key
        if key is not None:
            workspace = key.workspace
        subjects: Sequence[Subject] = [
            subject for subject in (organization, workspace, key, model) if subject is not None
        ]
        chosen = {subject.pk: subject for subject in subjects}
        month = Month.of(timezone.now(), organization.timezone)
        limits = Limit.objects.filter(
            Q(monthly_spend__isnull=False) | RATES_SET,
            organization=organization,
            subject_id__in=chosen,
        )
        balances = {
            balance.subject_id: balance
            for balance in Balance.objects.filter(
                organization=organization, subject_id__in=chosen, period=month.first_day
            )
        }
        counts = {
            count.subject_id: count
            for count in RateCount.objects.filter(
                organization=organization, subject_id__in=chosen, period=month.first_day
            )
        }
        found = {
            limit.subject_id: _effective(
                limit,
                chosen[limit.subject_id],
                balances.get(limit.subject_id),
                counts.get(limit.subject_id),
                Setting(month, organization.currency),
            )
            for limit in limits
        }
    return [found[subject_id] for subject_id in chosen if subject_id in found]


def strained(
    organization: Organization,
    workspace: Workspace | None = None,
    *,
    since: datetime,
    most: int,
) -> list[EffectiveLimit]:
    """List enforced limits that are nearly used up or have refused calls, inside a tenant's scope.

    Args:
        organization: whose.
        workspace: only its own, and those of its keys and models; None for all.
        since: a refusal counts from then on.
        most: at most so many; the organization's own comes first, then the fullest.
    """
    month = Month.of(timezone.now(), organization.timezone)
    balances = Balance.objects.filter(organization=organization, period=month.first_day)
    of_it = balances.filter(
        subject_kind=OuterRef("subject_kind"), subject_id=OuterRef("subject_id")
    )
    is_full = Q(settled__gte=OuterRef("monthly_spend") * _NEARLY)
    rows = Limit.objects.filter(
        Exists(of_it.filter(is_full | Q(refused_at__gte=since))),
        organization=organization,
        monthly_spend__isnull=False,
        mode=LimitMode.ENFORCE.value,
    )
    if workspace is not None:
        inside = {"workspace": workspace}
        rows = rows.filter(
            Q(subject_id=workspace.pk)
            | Q(subject_id__in=MistralKey.objects.filter(**inside).values("pk"))
            | Q(subject_id__in=RegisteredModel.objects.filter(**inside).values("pk"))
        )
    found = {limit.subject_id: limit for limit in rows[:most]}
    named = {
        subject.pk: subject for kind in _KINDS for subject in kind.objects.filter(pk__in=found)
    }
    standings = [
        _effective(
            found[balance.subject_id],
            named[balance.subject_id],
            balance,
            None,
            Setting(month, organization.currency),
        )
        for balance in balances.filter(subject_id__in=found)
        if balance.subject_id in named
    ]
    return sorted(standings, key=_strain, reverse=True)


def _strain(one: EffectiveLimit) -> tuple[bool, Decimal]:
    whole = one.monthly_spend or _ZERO
    return one.subject_kind is SubjectKind.ORGANIZATION, one.spent / whole if whole else Decimal(1)


def _effective(
    limit: Limit,
    subject: Subject,
    balance: Balance | None,
    count: RateCount | None,
    setting: Setting,
) -> EffectiveLimit:
    allowed = limit.monthly_spend
    spent, held = (balance.settled, balance.held) if balance else (_ZERO, _ZERO)
    return EffectiveLimit(
        subject_kind=SubjectKind(limit.subject_kind),
        subject_id=limit.subject_id,
        subject_name=subject.name,
        monthly_spend=allowed,
        requests_per_second=limit.requests_per_second,
        tokens_per_minute=limit.tokens_per_minute,
        tokens_per_month=limit.tokens_per_month,
        mode=LimitMode(limit.mode),
        alert_thresholds=tuple(limit.alert_thresholds),
        currency=setting.currency,
        spent=spent,
        held=held,
        excess=balance.excess if balance else _ZERO,
        remaining=None if allowed is None else max(allowed - spent - held, _ZERO),
        refused_at=balance.refused_at if balance else None,
        resets_at=setting.month.ends_at,
        refused_calls=balance.shadow_calls if balance else 0,
        refused_amount=balance.shadow_spend if balance else _ZERO,
        rate_refused_calls=count.refused if count else 0,
        rate_shadowed_calls=count.watched if count else 0,
    )
