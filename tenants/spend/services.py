"""Verbs on limits, policies and prices; each is one transaction, limits with an audit row."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.common import scope
from tenants.common.money import plain
from tenants.common.months import Month
from tenants.common.problems import Invalid, NotFound
from tenants.organizations import audit, workspaces
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization, Workspace
from tenants.spend import alerts, limits, pricebook
from tenants.spend.calls import LimitMode, SubjectKind
from tenants.spend.limits import Subject
from tenants.spend.models import Limit, Price, Retention, WorkspacePolicy
from tenants.spend.policies import Policy
from tenants.spend.pricelist import ListedPrice, PriceList
from tenants.spend.rates import Rates, of

_HIGHEST_THRESHOLD = 100
_MOST_THRESHOLDS = 10


def set_limit(
    *,
    actor: Actor,
    organization: Organization,
    subject: Subject,
    monthly_spend: Decimal | None,
    alert_thresholds: Sequence[int] = limits.DEFAULT_THRESHOLDS,
    mode: LimitMode = LimitMode.ENFORCE,
    rates: Rates | None = None,
) -> Limit:
    """Set what a subject may cost in a month; it counts what this month has cost and holds already.

    The next call of any process obeys it. A limit below what is spent refuses every further call
    that costs anything. No other limit may be set above the organization's; lowering that later is
    always possible and changes no other, since every limit that matches must pass.

    Args:
        actor: who sets it.
        organization: the tenant.
        subject: the organization itself, or one of its workspaces, models or keys.
        monthly_spend: in the organization's currency, to the nano-unit; None is no limit.
        alert_thresholds: percentages at which to tell, from 1 to 100.
        mode: ``shadow`` only counts what it would refuse.
        rates: how often it may call, and how many tokens it may use; None leaves them as they are.

    Raises:
        NotFound: the subject is another organization's.
        Invalid: ``above_organization_limit``, or thresholds that are no percentages.
        Conflict: ``workspace_archived``.
    """
    kind = limits.kind_of(subject)
    if limits.owner_of(subject) != organization.pk:
        raise NotFound("not_found", _("There is nothing here."))
    thresholds = _thresholds(alert_thresholds)
    month = Month.of(timezone.now(), organization.timezone)
    with scope.tenant(organization.pk):
        # One limit of an organization at a time: its own and its workspaces' are compared.
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        if isinstance(subject, Workspace):
            workspaces.active(subject.pk)
        if kind is not SubjectKind.ORGANIZATION:
            _refuse_above_organization(organization, monthly_spend)
        limit = limits.limit_of(organization, subject)
        changed = _changes(limit, monthly_spend, thresholds, mode, rates or of(limit))
        if changed or limit._state.adding:  # noqa: SLF001 - Django's own word for "not saved yet"
            limit.save()
            limits.apply(limit, month.first_day, organization.currency)
            alerts.arm_again(limit, month.first_day)
            audit.record(
                actor=actor,
                organization_id=organization.pk,
                verb="limit.set",
                target=limit,
                changed=changed,
            )
    return limit


def set_policy(*, actor: Actor, workspace: Workspace, policy: Policy) -> None:
    """Choose what holds for a workspace's calls; they obey it within seconds.

    Raises:
        Conflict: ``workspace_archived``.
    """
    with scope.tenant(workspace.organization_id):
        workspaces.active(workspace.pk)
        found, is_new = WorkspacePolicy.objects.get_or_create(
            organization_id=workspace.organization_id,
            workspace=workspace,
            defaults=asdict(policy),
        )
        changed = [name for name, value in asdict(policy).items() if getattr(found, name) != value]
        if not changed and not is_new:
            return
        for name in changed:
            setattr(found, name, getattr(policy, name))
        found.save(update_fields=changed)
        audit.record(
            actor=actor,
            organization_id=workspace.organization_id,
            verb="spend_policy.set",
            target=workspace,
            changed=changed,
        )


def set_retention(*, actor: Actor, organization: Organization, months: int | None) -> None:
    """Choose for how many whole months single calls are kept; None for ever. Sums always are."""
    with scope.tenant(organization.pk):
        kept, is_new = Retention.objects.get_or_create(
            organization=organization, defaults={"months": months}
        )
        if kept.months == months and not is_new:
            return
        kept.months = months
        kept.save(update_fields=["months"])
        audit.record(
            actor=actor,
            organization_id=organization.pk,
            verb="spend_retention.set",
            target=organization,
            changed=["months"],
        )


@dataclass(frozen=True, slots=True)
class PriceChange:
    """A price that is new or different; ``before`` is None for a new one."""

    listed: ListedPrice
    before: Decimal | None


@dataclass(frozen=True, slots=True)
class PriceImport:
    """What an import did, or would do."""

    changes: tuple[PriceChange, ...]
    unchanged: int


def import_price_list(*, listed: PriceList, at: datetime, is_dry_run: bool = False) -> PriceImport:
    """Add what a list has and the book has not; the same list twice changes nothing.

    A price of a meter that had none holds from the list's own date, a changed one from ``at``: what
    a call has cost is never rewritten. A price that left the list keeps its last figure.
    """
    with transaction.atomic(durable=True):
        latest = {
            (row.mistral_model, row.meter, row.currency): row
            for row in _every_price().order_by("effective_from", "id")
        }
        changes: list[PriceChange] = []
        rows: list[Price] = []
        for price in listed.prices:
            before = latest.get((price.mistral_model, price.meter, price.currency))
            if before is not None and _is_same(price, before):
                continue
            changes.append(PriceChange(price, before.amount if before else None))
            rows.append(_row(price, listed, at if before else min(at, listed.as_of)))
        if not is_dry_run:
            # Two imports at once add the same rows: the second adds none.
            Price.objects.bulk_create(rows, ignore_conflicts=True)
    pricebook.forget()
    return PriceImport(tuple(changes), len(listed.prices) - len(changes))


def _every_price() -> QuerySet[Price]:
    return Price.objects.all()


def _is_same(price: ListedPrice, row: Price) -> bool:
    # 0.15 for 1000 units is the same price as 150 for a million.
    return (
        price.amount * row.per == row.amount * price.per
        and price.free == row.free
        and price.is_converted == row.is_converted
    )


def _row(price: ListedPrice, listed: PriceList, effective_from: datetime) -> Price:
    return Price(
        mistral_model=price.mistral_model,
        meter=price.meter,
        currency=price.currency,
        amount=price.amount,
        per=price.per,
        free=price.free,
        is_converted=price.is_converted,
        effective_from=effective_from,
        source=price.source,
        checksum=listed.checksum,
    )


def _refuse_above_organization(organization: Organization, asked: Decimal | None) -> None:
    ceiling = limits.limit_of(organization, organization)
    if asked is None or ceiling.monthly_spend is None or ceiling.mode != LimitMode.ENFORCE:
        return
    if asked > ceiling.monthly_spend:
        raise Invalid.field(
            "/monthly_spend",
            "above_organization_limit",
            _("The organization may spend %(limit)s %(currency)s a month. Choose no more.")
            % {"limit": plain(ceiling.monthly_spend), "currency": organization.currency},
        )


def _thresholds(asked: Sequence[int]) -> list[int]:
    chosen = sorted(set(asked))
    if len(chosen) > _MOST_THRESHOLDS or any(not 1 <= one <= _HIGHEST_THRESHOLD for one in chosen):
        raise Invalid.field(
            "/alert_thresholds",
            "not_percentages",
            _("Give at most ten percentages, each from 1 to 100."),
        )
    return chosen


def _changes(
    limit: Limit,
    monthly_spend: Decimal | None,
    thresholds: list[int],
    mode: LimitMode,
    rates: Rates,
) -> list[str]:
    wanted = {
        **asdict(rates),
        "monthly_spend": monthly_spend,
        "alert_thresholds": thresholds,
        "mode": mode.value,
    }
    changed = [name for name, value in wanted.items() if getattr(limit, name) != value]
    for name, value in wanted.items():
        setattr(limit, name, value)
    return sorted(changed)
