"""Billing facts over HTTP: whom Mistral bills, and what is known of plan and payment there."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.models import TokenScope
from tenants.access.permissions import require_platform
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, Reply, endpoint
from tenants.billing import services
from tenants.billing.models import BillingProfile, FactSource, Plan, PlanName, VatStatus
from tenants.billing.profile_rules import ProfileFacts
from tenants.common import scope
from tenants.organizations.models import Organization


class AddressIn(In):
    """Where the organization has its seat."""

    line1 = fields.Text(max_length=200)
    line2 = fields.Text(max_length=200, required=False, allow_blank=True)
    postal_code = fields.Text(max_length=16)
    city = fields.Text(max_length=120)
    province = fields.Text(max_length=64, required=False, allow_blank=True)
    country = fields.Text(max_length=2, help_text="ISO 3166, like IT.")


class BillingProfileIn(In):
    """Whom Mistral bills. There is no member for cards, and there will be none."""

    legal_name = fields.Text(max_length=200)
    vat_number = fields.Text(
        max_length=32, required=False, allow_blank=True, help_text="With the country's prefix."
    )
    address = AddressIn()
    sdi_code = fields.Text(max_length=7, required=False, allow_blank=True)
    pec = fields.Text(max_length=254, required=False, allow_blank=True)


class AddressOut(Out):
    """Where the organization has its seat."""

    line1 = serializers.CharField()
    line2 = serializers.CharField()
    postal_code = serializers.CharField()
    city = serializers.CharField()
    province = serializers.CharField()
    country = serializers.CharField()


class BillingProfileOut(Out):
    """Whom Mistral bills; before it is stated, empty members and no address."""

    legal_name = serializers.CharField()
    vat_number = serializers.CharField()
    vat_status = serializers.ChoiceField(choices=VatStatus.choices)
    vat_checked_at = serializers.DateTimeField(
        allow_null=True, help_text="When VIES answered; null while it has not."
    )
    address = AddressOut(allow_null=True)
    sdi_code = serializers.CharField()
    pec = serializers.CharField()
    updated_at = serializers.DateTimeField(allow_null=True)


class RechargeIn(In):
    """Top up by an amount when the balance falls below another."""

    enabled = fields.Flag()
    top_up = fields.Amount(required=False, allow_null=True)
    threshold = fields.Amount(required=False, allow_null=True)


class PlanIn(In):
    """What is known of plan and payment at Mistral."""

    plan = fields.OneOf(choices=PlanName.choices, allow_null=True)
    payment_method_on_file = fields.Flag()
    phone_verified = fields.Flag()
    auto_recharge = RechargeIn(allow_null=True)
    source = fields.OneOf(  # type: ignore[assignment]  # a member, not the attribute
        choices=FactSource.choices,
        default=FactSource.DECLARED.value,
        help_text="Only AIsuru's backend may say `observed`.",
    )


class RechargeOut(Out):
    """Top up by an amount when the balance falls below another."""

    enabled = serializers.BooleanField()
    top_up = fields.Amount(allow_null=True)
    threshold = fields.Amount(allow_null=True)


class PlanOut(Out):
    """What is known of plan and payment at Mistral; before anybody says so, nothing."""

    plan = serializers.ChoiceField(choices=PlanName.choices, allow_null=True)
    payment_method_on_file = serializers.BooleanField()
    phone_verified = serializers.BooleanField()
    auto_recharge = serializers.SerializerMethodField()
    currency = serializers.CharField()
    source = serializers.ChoiceField(  # type: ignore[assignment]  # a member, not the attribute
        choices=FactSource.choices, allow_null=True
    )
    updated_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(RechargeOut(allow_null=True))
    def get_auto_recharge(self, shown: dict[str, Any]) -> Any:
        """Tell the recharge; null when it is not known."""
        if shown["recharges"] is None:
            return None
        return RechargeOut(shown | {"enabled": shown["recharges"]}).data


class OneBillingProfile(ApiView):
    """``/organizations/{organization_id}/billing-profile``."""

    @endpoint(
        "get_billing_profile",
        TokenScope.BILLING_READ,
        summary="Read whom Mistral bills",
        gives={200: BillingProfileOut},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """Before it is stated, its members are empty."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            row = BillingProfile.objects.first()
        return Reply(_shown_profile(row))

    @endpoint(
        "set_billing_profile",
        TokenScope.BILLING_WRITE,
        summary="State whom Mistral bills",
        takes=BillingProfileIn,
        gives={200: BillingProfileOut},
        example={
            "legal_name": "Rossi Srl",
            "vat_number": "IT00743110157",
            "address": {
                "line1": "Via Roma 1",
                "postal_code": "20121",
                "city": "Milano",
                "province": "MI",
                "country": "IT",
            },
            "sdi_code": "ABC1234",
        },
    )
    def put(self, call: Call, organization_id: UUID) -> Reply:
        """Form and check digit of the VAT number are checked at once, by its country's rules.

        Whether it is registered is asked of VIES by a worker; a register that does not answer is
        asked again, and says nothing against the number.
        """
        organization = tenancy.find(call.principal, Organization, organization_id)
        facts = dict(call.data)
        stated = ProfileFacts(**facts.pop("address"), **facts)
        row = services.set_profile(actor=call.actor, organization=organization, facts=stated)
        return Reply(_shown_profile(row))


class OnePlan(ApiView):
    """``/organizations/{organization_id}/plan``."""

    @endpoint(
        "get_plan",
        TokenScope.BILLING_READ,
        summary="Read what is known of plan and payment at Mistral",
        gives={200: PlanOut},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """`source` says whether somebody declared it or it was seen at Mistral."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            row = Plan.objects.first()
        return Reply(_shown_plan(row, organization))

    @endpoint(
        "set_plan",
        TokenScope.BILLING_WRITE,
        summary="State plan and payment at Mistral",
        takes=PlanIn,
        gives={200: PlanOut},
        example={
            "plan": "scale",
            "payment_method_on_file": True,
            "phone_verified": True,
            "auto_recharge": {"enabled": True, "top_up": "50.00", "threshold": "10.00"},
        },
    )
    def put(self, call: Call, organization_id: UUID) -> Reply:
        """Facts only: nothing is changed at Mistral. Never send card data."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        facts = dict(call.data)
        source = FactSource(facts.pop("source"))
        if source == FactSource.OBSERVED:
            require_platform(call.principal)
        row = services.set_plan(
            actor=call.actor,
            organization=organization,
            plan=facts.pop("plan") or "",
            source=source,
            **facts,
        )
        return Reply(_shown_plan(row, organization))


_FLAT = tuple(set(BillingProfileOut().fields) - {"address"})


def _shown_profile(row: BillingProfile | None) -> dict[str, Any]:
    address = None if row is None else AddressOut(row).data
    row = row or BillingProfile()
    return {name: getattr(row, name) for name in _FLAT} | {"address": address}


def _shown_plan(row: Plan | None, organization: Organization) -> dict[str, Any]:
    known = row or Plan()
    return {
        **{
            name: getattr(known, name)
            for name in ("payment_method_on_file", "phone_verified", "recharges", "top_up")
        },
        "threshold": known.threshold,
        "plan": known.plan or None,
        "source": known.source if row else None,
        "updated_at": known.updated_at,
        "currency": organization.currency,
    }
