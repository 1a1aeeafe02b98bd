"""Has the models of every organization watched, and says what a change costs.

One organization at a time, one transaction each; what was told once is not told again.
"""

from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.utils import timezone

from tenants.common import scope, turns
from tenants.common.money import plain
from tenants.common.turns import Turn
from tenants.organizations import walking
from tenants.organizations.models import Organization, OrganizationStatus
from tenants.registry import watching
from tenants.spend import pricebook
from tenants.spend.pricing import Meter, UnitPrice

log = structlog.get_logger(__name__)


def watch_models(turn: Turn | None = None) -> int:
    """Announce what moved and what retires, in all organizations; tell how many were news.

    Args:
        turn: look at those only for which it has time; None: at all.
    """
    told = sum(turns.each(walking.organization_ids(turn), watch_models_of, turn))
    log.info("models_watched", announced=told)
    return told


def watch_models_of(organization_id: UUID) -> int:
    """Announce it in one organization."""
    now = timezone.now()
    book = pricebook.of_organization(organization_id)
    with scope.tenant(organization_id):
        organization = Organization.objects.get()
        if organization.status != OrganizationStatus.ACTIVE:
            return 0
        return watching.watch(now, partial(price_effect, book, organization.currency, now))


def price_effect(
    book: pricebook.PriceBook, currency: str, at: Any, before: str, after: str
) -> list[dict[str, Any]]:
    """Put the prices of two models side by side, for every meter that either has.

    A price that is not known is null, which is not zero.
    """
    old = book.prices_for(before, currency, at).meters
    new = book.prices_for(after, currency, at).meters
    return [
        {
            "meter": meter.value,
            "currency": currency,
            "before": _price(old.get(meter)),
            "after": _price(new.get(meter)),
        }
        for meter in Meter
        if meter in old or meter in new
    ]


def _price(price: UnitPrice | None) -> dict[str, Any] | None:
    return None if price is None else {"amount": plain(price.amount), "per": price.per}
