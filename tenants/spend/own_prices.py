"""What one organization pays by prices of its own: reported by Mistral, or by a base model's.

A fine-tuned model has no published price. It costs what is reported for it; else, if somebody of
the organization says so, what its base costs; else it is unpriced.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.common import scope
from tenants.common.problems import Invalid
from tenants.organizations import audit
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization
from tenants.registry import catalog
from tenants.spend import pricebook
from tenants.spend.models import BasePricing, OrganizationPrice, Price
from tenants.spend.pricing import Meter


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """What Mistral asks one organization: ``amount`` of ``currency`` buys ``per`` units."""

    mistral_model: str
    meter: Meter
    currency: str
    amount: Decimal
    per: int


def report_prices(
    *,
    actor: Actor,
    organization: Organization,
    prices: Sequence[OwnPrice],
    at: datetime,
    source: str,
    checksum: str,
) -> int:
    """Keep the prices that Mistral reports for an organization; they go before the published ones.

    Only what differs from what held until now is added, and holds from ``at``: what a call has cost
    is never rewritten. An alias is kept under its snapshot. Returns how many prices are new.
    """
    rows = []
    with scope.tenant(organization.pk):
        # One report at a time, so that two at once do not both find a price new.
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        latest = {
            (row.mistral_model, row.meter, row.currency): row
            for row in OrganizationPrice.objects.order_by("effective_from", "id")
        }
        for price in prices:
            model = catalog.canonical(price.mistral_model)
            before = latest.get((model, price.meter, price.currency))
            if before is not None and price.amount * before.per == before.amount * price.per:
                continue
            rows.append(
                OrganizationPrice(
                    organization=organization,
                    mistral_model=model,
                    meter=price.meter,
                    currency=price.currency,
                    amount=price.amount,
                    per=price.per,
                    effective_from=at,
                    source=source,
                    checksum=checksum,
                )
            )
        OrganizationPrice.objects.bulk_create(rows)
        if rows:
            audit.record(
                actor=actor,
                organization_id=organization.pk,
                verb="prices.reported",
                target=organization,
            )
    pricebook.forget()
    return len(rows)


def price_by_base(
    *,
    actor: Actor,
    organization: Organization,
    mistral_model: str,
    base: str = "",
    is_on: bool = True,
) -> None:
    """Have a fine-tuned model cost what its base does from now on, or not any more.

    What is reported for the model itself goes before, meter by meter. What a call has cost is never
    rewritten. The same again changes nothing.

    Args:
        actor: who says so.
        organization: the tenant.
        mistral_model: ``ft:…``.
        base: its base; empty reads it from the name.
        is_on: whether it costs what the base does.

    Raises:
        Invalid: ``model_not_fine_tuned``; ``base_unpriced``, with the base.
    """
    named = catalog.base_of(mistral_model)
    if named is None:
        detail = _("Only a fine-tuned model (ft:…) can cost what its base does.")
        raise Invalid.field("/model", "model_not_fine_tuned", detail)
    chosen = (catalog.canonical(base) if base else named) if is_on else ""
    now = timezone.now()
    with scope.tenant(organization.pk):
        # One at a time, so that two at once do not both find it new.
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        book = pricebook.of_organization(organization.pk)
        if is_on and not book.prices_for(chosen, organization.currency, now).meters:
            detail = _("No price is known of %(base)s. Name the base as Mistral's list does.")
            raise Invalid.field("/base", "base_unpriced", detail % {"base": chosen}, base=chosen)
        last = BasePricing.objects.filter(mistral_model=mistral_model).order_by(
            "-effective_from", "-id"
        )
        known = last.first()
        if (known.base if known else "") == chosen:
            return
        row = BasePricing.objects.create(
            organization=organization,
            mistral_model=mistral_model,
            base=chosen,
            effective_from=now,
        )
        audit.record(
            actor=actor,
            organization_id=organization.pk,
            verb="prices.by_base_set" if is_on else "prices.by_base_ended",
            target=row,
            changed=["base"],
        )
    pricebook.forget()


class Origin(StrEnum):
    """Where a price comes from."""

    REPORTED = "reported"
    BY_BASE = "by_base"
    PUBLISHED = "published"
    CONVERTED = "converted"


@dataclass(frozen=True, slots=True)
class ShownPrice:
    """A price as it holds now, and where it comes from."""

    meter: Meter
    currency: str
    amount: Decimal
    per: int
    origin: Origin
    source: str
    effective_from: datetime


@dataclass(frozen=True, slots=True)
class PricedModel:
    """A model that has prices of the organization's own; ``base`` where its base's stand in."""

    model: str
    base: str | None
    prices: tuple[ShownPrice, ...]


def listed(organization: Organization) -> tuple[PricedModel, ...]:
    """List what the organization has prices of its own for, as they hold now, inside its scope."""
    now = timezone.now()
    book = pricebook.of_organization(organization.pk)
    models = set(OrganizationPrice.objects.values_list("mistral_model", flat=True))
    models |= set(BasePricing.objects.values_list("mistral_model", flat=True))
    found = {model: book.prices_for(model, organization.currency, now) for model in sorted(models)}
    ids = {price.id for one in found.values() for price in one.meters.values()}
    rows: dict[int, Price | OrganizationPrice] = {**Price.objects.in_bulk(ids)}
    rows |= OrganizationPrice.objects.in_bulk(ids)
    return tuple(
        PricedModel(
            model,
            one.by_base or None,
            tuple(_shown(model, one.by_base, rows[price.id]) for price in one.meters.values()),
        )
        for model, one in found.items()
    )


def _shown(model: str, base: str, row: Price | OrganizationPrice) -> ShownPrice:
    if row.mistral_model != model:
        origin, source = Origin.BY_BASE, f"by base {base}: {row.source}"
    elif isinstance(row, OrganizationPrice):
        origin, source = Origin.REPORTED, row.source
    else:
        origin = Origin.CONVERTED if row.is_converted else Origin.PUBLISHED
        source = row.source
    return ShownPrice(
        Meter(row.meter), row.currency, row.amount, row.per, origin, source, row.effective_from
    )
