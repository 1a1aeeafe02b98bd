"""An organization's own prices over HTTP: reported ones, and models that cost what a base does."""

from uuid import UUID

from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.models import TokenScope
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, Reply, endpoint
from tenants.common import scope
from tenants.organizations.models import Organization
from tenants.spend import own_prices
from tenants.spend.own_prices import Origin
from tenants.spend.pricing import Meter

_LONGEST = 200


class OwnPriceOut(Out):
    """What `per` units of a meter cost this organization now."""

    meter = serializers.ChoiceField(choices=[meter.value for meter in Meter])
    amount = fields.Amount()
    per = serializers.IntegerField()
    currency = serializers.CharField()
    origin = serializers.ChoiceField(
        choices=[origin.value for origin in Origin],
        help_text=(
            "`reported` for this organization, `by_base`: what the base costs, `published`, or"
            " `converted` from what is published in dollars."
        ),
    )
    source = serializers.CharField(  # type: ignore[assignment]  # a member, not the attribute
        help_text="Where it was read; `by base …` names the base."
    )
    effective_from = serializers.DateTimeField(help_text="Since when that price holds.")


class PricedModelOut(Out):
    """A model with prices of this organization's own."""

    model = serializers.CharField()
    base = serializers.CharField(
        allow_null=True, help_text="The model whose prices stand in for those it has not."
    )
    prices = OwnPriceOut(many=True, help_text="None: the price is not known, which is not free.")


class PricesOut(Out):
    """An organization's own prices."""

    organization_id = serializers.UUIDField()
    models = PricedModelOut(many=True)


class PriceByBaseIn(In):
    """Whether a fine-tuned model costs what its base does."""

    model = fields.Text(max_length=_LONGEST, help_text="`ft:…`, as Mistral lists it.")
    by_base = fields.Flag(
        help_text="From now on; calls that were made keep what they cost. `false` ends it."
    )
    base = fields.Text(
        max_length=_LONGEST,
        required=False,
        allow_null=True,
        help_text="Its base, where the name does not tell it.",
    )


class OrganizationPrices(ApiView):
    """``/organizations/{organization_id}/prices``."""

    @endpoint(
        "get_prices",
        TokenScope.SPEND_READ,
        summary="Read the organization's own prices",
        gives={200: PricesOut},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """Reported prices go before published ones, and both before a base's."""
        return Reply(_shown(tenancy.find(call.principal, Organization, organization_id)))

    @endpoint(
        "set_price_by_base",
        TokenScope.SPEND_WRITE,
        summary="Have a fine-tuned model cost what its base does",
        takes=PriceByBaseIn,
        gives={200: PricesOut},
        example={"model": "ft:mistral-small-2603:acme:20260101:abcd", "by_base": True},
    )
    def put(self, call: Call, organization_id: UUID) -> Reply:
        """Without this and without a reported price, a fine-tuned model is unpriced."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        own_prices.price_by_base(
            actor=call.actor,
            organization=organization,
            mistral_model=call.data["model"],
            base=call.data.get("base") or "",
            is_on=call.data["by_base"],
        )
        return Reply(_shown(organization))


def _shown(organization: Organization) -> dict[str, object]:
    with scope.tenant(organization.pk):
        return {"organization_id": organization.pk, "models": own_prices.listed(organization)}
