"""The catalogue over HTTP: Mistral's public models with what they do, cost, and how long they live.

What a *key* may call is told by the key's own list, not here.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from tenants.access.models import TokenScope
from tenants.access.pagination import Page, make_cursor, read_cursor
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, Out, PageQuery, Reply, endpoint, page_of
from tenants.common import scope
from tenants.common.money import CURRENCIES
from tenants.organizations.models import Organization
from tenants.registry import catalog
from tenants.registry.catalog import CatalogModel
from tenants.spend import pricebook
from tenants.spend.pricing import Meter


class CatalogQuery(PageQuery):
    """Which models, in which currency."""

    currency = fields.OneOf(
        choices=CURRENCIES, required=False, help_text="Without it, the organization's, or EUR."
    )
    include_retired = serializers.BooleanField(default=False)


class UnitPriceOut(Out):
    """What `per` units of a meter cost."""

    meter = serializers.ChoiceField(choices=[meter.value for meter in Meter])
    amount = fields.Amount()
    per = serializers.IntegerField()
    currency = serializers.CharField()


class CatalogModelOut(Out):
    """A model as Mistral publishes it."""

    id = serializers.CharField()
    display_name = serializers.CharField()
    aliases = serializers.ListField(child=serializers.CharField())
    stage = serializers.CharField()
    family = serializers.CharField()
    category = serializers.CharField()
    endpoints = serializers.ListField(child=serializers.CharField())
    capabilities = serializers.ListField(child=serializers.CharField())
    context_length = serializers.IntegerField(allow_null=True)
    released_on = serializers.DateField(allow_null=True)
    deprecated_on = serializers.DateField(allow_null=True)
    retires_on = serializers.DateField(allow_null=True)
    replacement = serializers.CharField(allow_null=True)
    prices = UnitPriceOut(many=True, help_text="None: the price is not known, which is not free.")


class Catalog(ApiView):
    """``/catalog``."""

    @endpoint(
        "list_catalog",
        TokenScope.MODELS_READ,
        summary="List Mistral's public models",
        query=CatalogQuery,
        gives={200: page_of(CatalogModelOut)},
    )
    def get(self, call: Call) -> Reply:
        """With today's prices; in the catalogue's own order, which is not by age."""
        currency = call.data.get("currency") or _currency(call)
        now = timezone.now()
        today = now.astimezone(UTC).date()
        cursor, limit = call.data.get("cursor"), call.data["limit"]
        models = list(catalog.load().models.values())
        ids = [model.id for model in models]
        start = read_cursor(cursor, lambda place: ids.index(place.decode()) + 1) if cursor else 0
        everything = call.data["include_retired"]
        rest = [one for one in models[start:] if everything or not one.is_retired(today)]
        following = make_cursor(rest[limit - 1].id.encode()) if len(rest) > limit else None
        return Reply(Page(list(_shown(rest[:limit], currency, now)), following))


def _currency(call: Call) -> str:
    if call.principal.organization_id is None:
        return CURRENCIES[0]
    with scope.tenant(call.principal.organization_id):
        return Organization.objects.get().currency


def _shown(
    models: Iterable[CatalogModel], currency: str, now: datetime
) -> Iterator[dict[str, Any]]:
    for model in models:
        meters = pricebook.prices_for(model.id, currency, now).meters
        prices = [
            {"meter": meter.value, "amount": price.amount, "per": price.per}
            for meter, price in meters.items()
        ]
        yield {
            **{name: getattr(model, name) for name in _SHOWN},
            "capabilities": sorted(model.capabilities),
            "prices": [price | {"currency": currency} for price in prices],
        }


_SHOWN = tuple(set(CatalogModelOut().fields) - {"capabilities", "prices"})
