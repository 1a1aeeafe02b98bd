"""What a model's last days would have cost on another one: the same usage at other prices.

Two answers, because two questions hide in one: by **today's** prices (what to expect from now on),
and by those that were valid **then** (what it would really have cost). Whatever has no price is
named and left out, never counted as nothing. Tokens are not translated: another model also writes
other answers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.common import scope
from tenants.common.money import rounded
from tenants.common.problems import Invalid
from tenants.organizations.models import Organization
from tenants.registry import catalog
from tenants.registry.models import RegisteredModel
from tenants.spend import pricebook
from tenants.spend.models import SpendLine
from tenants.spend.pricing import Meter, Prices

DAYS = 30
_ZERO = Decimal(0)
_NANO = Decimal("0.000000001")
_COUNTS = (
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "pages",
    "annotated_pages",
    "audio_seconds",
    "characters",
    "requests",
    "events",
)


@dataclass(slots=True)
class Priced:
    """The days at one set of prices.

    Attributes:
        amount: of everything that has a price. ``meters``: what it is made of.
        missing: meters that were used and have no price, with how much of them.
    """

    amount: Decimal = _ZERO
    meters: dict[Meter, Decimal] = field(default_factory=dict)
    missing: dict[Meter, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quote:
    """What a model's last full days cost, and would have cost on another.

    Attributes:
        since, until: the first and the last of the days, local.
        actual: what they did cost, of the calls that are compared.
        left_out: calls whose own price is unknown: there is nothing to compare them with.
        todays, then: at the other model's prices of today, and of each day.
    """

    mistral_model: str
    currency: str
    since: date
    until: date
    actual: Decimal
    requests: int
    quantities: Mapping[Meter, int]
    left_out: int
    todays: Priced
    then: Priced


def quote(
    *,
    organization: Organization,
    model: RegisteredModel,
    mistral_model: str,
    now: datetime | None = None,
) -> Quote:
    """Price a model's last 30 full local days by another Mistral model's prices.

    Batches and priority cost another share of the list: what each day really cost of its own list
    price is applied to the other list as well.

    Raises:
        Invalid: ``model_unknown``, with ``near_matches``.
    """
    snapshot = _known(mistral_model)
    now = now or timezone.now()
    until = now.astimezone(ZoneInfo(organization.timezone)).date() - timedelta(days=1)
    since = until - timedelta(days=DAYS - 1)
    with scope.tenant(organization.pk, snapshot=True):
        rows = list(_lines(organization, model, since, until))
    todays, then = Priced(), Priced()
    book = pricebook.of_organization(organization.pk)
    current = book.prices_for(snapshot, organization.currency, now)
    used: dict[Meter, int] = {}
    actual, requests = _ZERO, 0
    for row in rows:
        if row["is_unpriced"]:
            continue
        noon = datetime.combine(row["day"], time(12), ZoneInfo(organization.timezone))
        own = book.prices_for(row["mistral_model"], organization.currency, noon)
        counts = _counts(row)
        factor = _factor(counts, own, row)
        _add(todays, counts, current, factor)
        _add(then, counts, book.prices_for(snapshot, organization.currency, noon), factor)
        actual += row["amount"] or _ZERO
        requests += int(row["sum_requests"] or 0)
        for meter, count in counts.items():
            used[meter] = used.get(meter, 0) + count
    return Quote(
        mistral_model=snapshot,
        currency=organization.currency,
        since=since,
        until=until,
        actual=actual,
        requests=requests,
        quantities={meter: count for meter, count in used.items() if count},
        left_out=sum(int(row["sum_events"]) for row in rows if row["is_unpriced"]),
        todays=_rounded(todays),
        then=_rounded(then),
    )


def _known(mistral_model: str) -> str:
    snapshot = catalog.canonical(mistral_model)
    if catalog.find(snapshot) is None and catalog.base_of(snapshot) is None:
        detail = _("This is no model of Mistral's that is known here. Check its name.")
        near = catalog.near_matches(mistral_model, catalog.load().names)
        raise Invalid.field("/model", "model_unknown", detail, near_matches=near)
    return snapshot


def _lines(
    organization: Organization, model: RegisteredModel, since: date, until: date
) -> Iterable[Mapping[str, Any]]:
    lines = SpendLine.objects.filter(
        organization=organization,
        model_id=model.pk,
        period__gte=since.replace(day=1),
        period__lte=until,
        day__gte=since,
        day__lte=until,
    )
    sums: dict[str, Any] = {f"sum_{name}": Sum(name) for name in _COUNTS}
    names = ("day", "mistral_model", "is_unpriced")
    found: Iterable[Mapping[str, Any]] = (
        lines.order_by().values(*names).annotate(**sums, amount=Sum("cost")).order_by(*names)
    )
    return found


def _counts(row: Mapping[str, Any]) -> dict[Meter, int]:
    sums = {name: int(row[f"sum_{name}"] or 0) for name in _COUNTS}
    return {
        Meter.INPUT: sums["prompt_tokens"] - sums["cached_tokens"],
        Meter.CACHED_INPUT: sums["cached_tokens"],
        Meter.OUTPUT: sums["completion_tokens"],
        Meter.PAGE: sums["pages"],
        Meter.ANNOTATED_PAGE: sums["annotated_pages"],
        Meter.AUDIO_SECOND: sums["audio_seconds"],
        Meter.CHARACTER: sums["characters"],
    }


def _factor(counts: Mapping[Meter, int], own: Prices, row: Mapping[str, Any]) -> Decimal:
    listed = Priced()
    _add(listed, counts, own, Decimal(1))
    cost: Decimal = row["amount"] or _ZERO
    # Each event's cost was rounded to the nano-unit.
    if not listed.amount or abs(cost - listed.amount) <= abs(int(row["sum_events"])) * _NANO:
        return Decimal(1)
    return cost / listed.amount


def _add(to: Priced, counts: Mapping[Meter, int], prices: Prices, factor: Decimal) -> None:
    for meter, count in counts.items():
        if not count:
            continue
        known = prices.meters.get(meter)
        if known is None and meter is Meter.CACHED_INPUT:  # costs what other input costs
            known = prices.meters.get(Meter.INPUT)
        if known is None:
            to.missing[meter] = to.missing.get(meter, 0) + count
            continue
        part = known.amount * count / known.per * factor
        to.meters[meter] = to.meters.get(meter, _ZERO) + part
        to.amount += part


def _rounded(priced: Priced) -> Priced:
    meters = {meter: rounded(part) for meter, part in priced.meters.items()}
    return Priced(sum(meters.values(), _ZERO), meters, priced.missing)
