"""Quotes over HTTP: what a model's last 30 days would have cost on another one."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.models import TokenScope
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, Reply, endpoint
from tenants.common import scope
from tenants.common.money import plain
from tenants.organizations.models import Organization
from tenants.registry.models import RegisteredModel
from tenants.spend.quote import Priced, Quote, quote


class QuoteIn(In):
    """The other model."""

    model = fields.Text(max_length=200, help_text="A Mistral model: snapshot, alias or `ft:…`.")


class PricedOut(Out):
    """The same usage at other prices."""

    amount = fields.Amount(help_text="Of everything that has a price.")
    difference = serializers.CharField(help_text="Beside what it did cost; negative is cheaper.")
    meters = serializers.DictField(child=serializers.CharField())
    unpriced = serializers.DictField(
        child=serializers.IntegerField(), help_text="Meters without a price, and how much of them."
    )


class QuoteOut(Out):
    """What the last 30 full days cost, and would have cost."""

    model_id = serializers.UUIDField()
    mistral_model = serializers.CharField(help_text="The snapshot whose prices are used.")
    currency = serializers.CharField()
    since = serializers.DateField()
    until = serializers.DateField()
    actual = fields.Amount()
    requests = serializers.IntegerField()
    quantities = serializers.DictField(child=serializers.IntegerField())
    left_out = serializers.IntegerField(help_text="Calls whose own price is unknown.")
    at_todays_prices = serializers.SerializerMethodField()
    at_then_valid_prices = serializers.SerializerMethodField()

    @extend_schema_field(PricedOut)
    def get_at_todays_prices(self, shown: Any) -> dict[str, Any]:
        """Say what to expect from now on."""
        return _priced(shown["quote"], shown["quote"].todays)

    @extend_schema_field(PricedOut)
    def get_at_then_valid_prices(self, shown: Any) -> dict[str, Any]:
        """Say what it would really have cost."""
        return _priced(shown["quote"], shown["quote"].then)


class ModelQuote(ApiView):
    """``/models/{model_id}/quote``."""

    @endpoint(
        "quote_model",
        TokenScope.MODELS_READ,
        TokenScope.SPEND_READ,
        summary="Say what a model's last 30 days would have cost on another",
        takes=QuoteIn,
        gives={200: QuoteOut},
        example={"model": "mistral-medium-latest"},
    )
    def post(self, call: Call, model_id: UUID) -> Reply:
        """By today's prices and by those of each day; nothing is changed."""
        model = tenancy.find(call.principal, RegisteredModel, model_id)
        with scope.tenant(model.organization_id):
            organization = Organization.objects.get()
        found = quote(organization=organization, model=model, mistral_model=call.data["model"])
        shown = {
            name: getattr(found, name)
            for name in ("mistral_model", "currency", "since", "until", "actual", "requests")
        }
        quantities = {meter.value: count for meter, count in found.quantities.items()}
        return Reply(
            {
                "model_id": model.pk,
                "quote": found,
                "quantities": quantities,
                "left_out": found.left_out,
                **shown,
            }
        )


def _priced(found: Quote, priced: Priced) -> dict[str, Any]:
    return {
        "amount": plain(priced.amount),
        "difference": plain(priced.amount - found.actual),
        "meters": {meter.value: plain(amount) for meter, amount in priced.meters.items()},
        "unpriced": {meter.value: count for meter, count in priced.missing.items()},
    }
