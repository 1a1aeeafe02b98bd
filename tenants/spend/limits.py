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
from django.utils import timezone

from tenants.common import scope
from tenants.common.months import Month
from tenants.keys.models import MistralKey
from tenants.organizations.models import Organization, Workspace
from tenants.registry.models import RegisteredModel
from tenants.spend.calls import LimitMode, SubjectKind
from tenants.spend.models import Balance, Limit

type Subject = Organization | Workspace | RegisteredModel | MistralKey

DEFAULT_THRESHOLDS = (50, 80, 100)
_ZERO = Decimal(0)
_KINDS: Mapping[type[Subject], SubjectKind] = {
    Organization: SubjectKind.ORGANIZATION,
    Workspace: SubjectKind.WORKSPACE,
    RegisteredModel: SubjectKind.MODEL,
    MistralKey: SubjectKind.KEY,
}


@dataclass(frozen=True, slots=True)
class EffectiveLimit:
    """A limit that applies, and where this month stands; amounts are in ``currency``.

    Attributes:
        subject_kind, subject_id, subject_name: on what the limit is set.
        monthly_spend: the limit.
        mode: enforced, or only watched.
        alert_thresholds: percentages at which to tell.
        spent: settled this month. ``held``: worst cases of the calls going on now.
        excess: the part of ``spent`` that Mistral billed beyond what was held.
        remaining: what may still be held; never below zero.
        resets_at: when the next month begins in the organization's zone.
        refused_at: when it last refused a call this month, to the minute; None if it did not.
        refused_calls, refused_amount: what a shadow limit would have refused this month.
    """

    subject_kind: SubjectKind
    subject_id: UUID
    subject_name: str
    monthly_spend: Decimal
    mode: LimitMode
    alert_thresholds: tuple[int, ...]
    currency: str
    spent: Decimal
    held: Decimal
    excess: Decimal
    remaining: Decimal
    resets_at: datetime
    refused_at: datetime | None
    refused_calls: int
    refused_amount: Decimal


def kind_of(subject: Subject) -> SubjectKind:
    """Tell what a subject is."""
    return _KINDS[type(subject)]


def owner_of(subject: Subject) -> UUID:
    """Tell whose a subject is."""
    return subject.pk if isinstance(subject, Organization) else subject.organization_id


def limit_of(organization: Organization, subject: Subject) -> Limit:
    """Find a subject's limit inside an open scope; without one, an unsaved row with no figure."""
    key = {"subject_kind": kind_of(subject).value, "subject_id": subject.pk}
    found = Limit.objects.filter(organization=organization, **key).first()
    return found or Limit(
        organization=organization, alert_thresholds=list(DEFAULT_THRESHOLDS), **key
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
            organization=organization, subject_id__in=chosen, monthly_spend__isnull=False
        )
        balances = {
            balance.subject_id: balance
            for balance in Balance.objects.filter(
                organization=organization, subject_id__in=chosen, period=month.first_day
            )
        }
        found = {
            limit.subject_id: _effective(
                limit, chosen[limit.subject_id], balances.get(limit.subject_id), month, organization
            )
            for limit in limits
        }
    return [found[subject_id] for subject_id in chosen if subject_id in found]


def _effective(
    limit: Limit,
    subject: Subject,
    balance: Balance | None,
    month: Month,
    organization: Organization,
) -> EffectiveLimit:
    allowed = limit.monthly_spend or _ZERO
    spent, held = (balance.settled, balance.held) if balance else (_ZERO, _ZERO)
    return EffectiveLimit(
        subject_kind=SubjectKind(limit.subject_kind),
        subject_id=limit.subject_id,
        subject_name=subject.name,
        monthly_spend=allowed,
        mode=LimitMode(limit.mode),
        alert_thresholds=tuple(limit.alert_thresholds),
        currency=organization.currency,
        spent=spent,
        held=held,
        excess=balance.excess if balance else _ZERO,
        remaining=max(allowed - spent - held, _ZERO),
        resets_at=month.ends_at,
        refused_at=balance.refused_at if balance else None,
        refused_calls=balance.shadow_calls if balance else 0,
        refused_amount=balance.shadow_spend if balance else _ZERO,
    )
