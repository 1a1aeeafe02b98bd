"""What a new model can be made of: all that the workspace's keys see, with prices and hints."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from tenants.keys import expiry
from tenants.keys.models import Availability, KeyStatus, MistralKey, SeenModel
from tenants.organizations.models import Organization, Workspace
from tenants.registry import catalog
from tenants.spend import pricebook
from tenants.spend.pricing import Meter

_MILLION = 1_000_000
_CHAT = "completion_chat"
_LATEST = "-latest"
#: The switches that are worth a hint.
_HINTS = ("function_calling", "vision", "reasoning", "audio", "ocr", "completion_fim")
#: Families in the order in which people look for them.
_FAVOURITES = ("mistral-small", "mistral-medium", "mistral-large", "ministral", "magistral")


@dataclass(frozen=True, slots=True)
class Offer:
    """A model of Mistral's that the workspace's keys may call.

    Attributes:
        name: what the new model would be bound to: the alias that moves with new versions, where
            there is one, else the version.
        version: where that leads now.
        input_price, output_price: of a million tokens, in the organization's currency; None where
            no price is known.
        ends_on: the day on which Mistral takes it away, or said it would.
        is_retired: that day is over. Mistral may answer a while longer, but nothing new is made
            of it.
        replacement: what Mistral names in its place; empty if nothing.
    """

    name: str
    version: str
    title: str
    is_chat: bool
    context_length: int | None
    hints: tuple[str, ...]
    input_price: Decimal | None
    output_price: Decimal | None
    ends_on: date | None
    is_retired: bool
    replacement: str


#: How many keys a model can be chosen from; another is chosen on its own page.
MOST_KEYS = 100


def valid_keys(
    organization: Organization, workspace: Workspace, chosen: UUID | str | None = None
) -> list[MistralKey]:
    """List the keys that a model can be made on, inside the scope: the newest, and the chosen.

    Where none of the newest sees a model, older ones that do come first: they are looked for only
    then, because it takes a look at every key.
    """
    rows = _valid(organization, workspace)
    seen = SeenModel.objects.filter(availability=Availability.AVAILABLE)
    keys = list(rows.order_by("-pk")[:MOST_KEYS])
    if len(keys) == MOST_KEYS and not seen.filter(key__in=keys).exists():
        older = rows.filter(Exists(seen.filter(key=OuterRef("pk")))).order_by("-pk")[:MOST_KEYS]
        keys = [*older, *keys][:MOST_KEYS]
    if chosen and str(chosen) not in {str(key.pk) for key in keys}:
        keys += rows.filter(pk=chosen)
    return sorted(keys, key=lambda key: (key.name, key.pk))


def has_more_keys(organization: Organization, workspace: Workspace) -> bool:
    """Tell, inside the scope, whether a model could be made on more keys than are listed."""
    return _valid(organization, workspace).order_by("-pk")[MOST_KEYS:].exists()


def offers(organization: Organization, keys: Sequence[MistralKey]) -> list[Offer]:
    """List what any of these keys may call, one entry a version, inside the scope."""
    rows = SeenModel.objects.filter(key__in=keys, availability=Availability.AVAILABLE)
    rows = rows.order_by("mistral_id", "-pk").distinct("mistral_id").defer("card")
    seen: dict[str, dict[str, SeenModel]] = {}
    for row in rows:
        seen.setdefault(catalog.canonical(row.name), {})[row.mistral_id] = row
    book = pricebook.of_organization(organization.pk)
    now = timezone.now()
    today = expiry.today(organization.timezone, now)
    made = [
        _offer(version, names, book, organization.currency, now, today)
        for version, names in seen.items()
    ]
    return sorted(made, key=_rank)


def _valid(organization: Organization, workspace: Workspace) -> QuerySet[MistralKey]:
    today = expiry.today(organization.timezone, timezone.now())
    return MistralKey.objects.filter(
        Q(expires_on=None) | Q(expires_on__gte=today), workspace=workspace, status=KeyStatus.VALID
    )


def _offer(  # noqa: PLR0917 - read once for all
    version: str,
    names: dict[str, SeenModel],
    book: pricebook.PriceBook,
    currency: str,
    now: datetime,
    today: date,
) -> Offer:
    name = _preferred(names)
    row, published = names[name], catalog.find(version)
    meters = book.prices_for(version, currency, now).meters
    on = {switch for switch, is_on in row.capabilities.items() if is_on}
    on = on or set(published.capabilities if published else ())

    ends_on = published.retires_on if published else None
    if row.deprecation_at is not None:  # what the key was told counts more than what is published
        ends_on = row.deprecation_at.date()

    def price(meter: Meter) -> Decimal | None:
        found = meters.get(meter)
        return None if found is None else found.amount * _MILLION / found.per

    return Offer(
        name=name,
        version=version,
        title=published.display_name if published else version,
        is_chat=_CHAT in on or (not on and published is None),
        context_length=row.context_length or (published.context_length if published else None),
        hints=tuple(switch for switch in _HINTS if switch in on),
        input_price=price(Meter.INPUT),
        output_price=price(Meter.OUTPUT),
        ends_on=ends_on,
        is_retired=(ends_on is not None and ends_on < today)
        or (published is not None and published.is_retired(today)),
        replacement=row.replacement or (published.replacement if published else None) or "",
    )


def _preferred(names: dict[str, SeenModel]) -> str:
    """Choose the alias that moves with new versions; of several, the shortest."""
    moving = sorted(
        (name for name in names if name.endswith(_LATEST)), key=lambda one: (len(one), one)
    )
    return next(iter(moving), min(names, key=lambda one: (len(one), one)))


def _rank(offer: Offer) -> tuple[bool, bool, int, str]:
    family = next(
        (place for place, start in enumerate(_FAVOURITES) if offer.version.startswith(start)),
        len(_FAVOURITES),
    )
    return not offer.is_chat, offer.ends_on is not None, family, offer.name
