"""Billing details: whom Mistral bills, and what is known of plan and payment there. No cards."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpResponse
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from tenants.access.models import TokenScope
from tenants.billing import services
from tenants.billing.models import BillingProfile, Plan, PlanName, VatStatus
from tenants.billing.profile_rules import ProfileFacts
from tenants.common import scope
from tenants.common.problems import Problem
from tenants.console import countries
from tenants.console.door import Page, Visit, page
from tenants.console.forms import Amount, ChangeForm, Name

VAT_WORDS = {
    VatStatus.UNCHECKED: (gettext_lazy("not checked"), "off"),
    VatStatus.VALID_FORMAT: (gettext_lazy("form and check digit are right"), "wait"),
    VatStatus.REGISTERED: (gettext_lazy("registered with VIES"), "good"),
    VatStatus.NOT_REGISTERED: (gettext_lazy("not registered with VIES"), "bad"),
}


class ProfileForm(ChangeForm):
    """Whom Mistral bills."""

    legal_name = Name(max_length=200, label=gettext_lazy("Legal name"))
    vat_number = forms.CharField(
        max_length=32,
        required=False,
        label=gettext_lazy("VAT number"),
        help_text=gettext_lazy("With the country's prefix, like IT00743110157."),
    )
    line1 = Name(max_length=200, label=gettext_lazy("Street and number"))
    line2 = Name(max_length=200, required=False, label=gettext_lazy("More of the address"))
    postal_code = Name(max_length=16, label=gettext_lazy("Postal code"))
    city = Name(max_length=120, label=gettext_lazy("City"))
    province = Name(
        max_length=64,
        required=False,
        label=gettext_lazy("Province"),
        help_text=gettext_lazy("In Italy two letters, like MI."),
    )
    country = forms.ChoiceField(
        choices=lambda: countries.named(get_language() or ""), label=gettext_lazy("Country")
    )
    sdi_code = forms.CharField(
        max_length=7,
        required=False,
        label=gettext_lazy("SdI code"),
        help_text=gettext_lazy("In Italy this or the PEC address."),
    )
    pec = forms.CharField(
        max_length=254, required=False, label=gettext_lazy("PEC address"), widget=forms.EmailInput
    )


class PlanForm(ChangeForm):
    """What is known of plan and payment at Mistral."""

    plan = forms.ChoiceField(
        required=False,
        choices=[
            ("", gettext_lazy("Not known")),
            (PlanName.EXPERIMENT.value, gettext_lazy("Free mode (Experiment)")),
            (PlanName.SCALE.value, gettext_lazy("Pay-as-you-go (Scale)")),
        ],
        label=gettext_lazy("Plan"),
    )
    payment_method_on_file = forms.BooleanField(
        required=False, label=gettext_lazy("A card is on file at Mistral")
    )
    phone_verified = forms.BooleanField(
        required=False, label=gettext_lazy("Mistral has verified a telephone number")
    )
    recharges = forms.ChoiceField(
        required=False,
        choices=[
            ("", gettext_lazy("Not known")),
            ("yes", gettext_lazy("On")),
            ("no", gettext_lazy("Off")),
        ],
        label=gettext_lazy("Auto-recharge"),
    )
    top_up = Amount(required=False, label=gettext_lazy("Tops up by"))
    threshold = Amount(required=False, label=gettext_lazy("When the balance falls below"))


class Billing(Page):
    """``/organizations/<id>/billing``."""

    @page(TokenScope.BILLING_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Show both."""
        return _shown(visit)

    @page(TokenScope.BILLING_WRITE)
    def post(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """State whom Mistral bills."""
        form = ProfileForm(visit.request.POST, now=_of_profile(_profile(visit)))
        if form.is_valid():
            try:
                services.set_profile(
                    actor=visit.actor,
                    organization=visit.organization,
                    facts=ProfileFacts(**visit.screened(form)),
                )
            except Problem as problem:
                form.refuse(problem)
            else:
                visit.tell(_("The billing details were saved."))
                return visit.go("console-billing", organization_id=organization_id)
        return _shown(visit, form.refused, profile_form=form)


class PlanFacts(Page):
    """``/organizations/<id>/billing/plan``."""

    @page(TokenScope.BILLING_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Lead whoever reloads what was refused back to the form."""
        return visit.go("console-billing", organization_id=organization_id)

    @page(TokenScope.BILLING_WRITE)
    def post(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """State plan and payment; nothing is changed at Mistral."""
        form = PlanForm(visit.request.POST, now=_of_plan(_plan(visit)))
        if form.is_valid():
            said = form.cleaned_data
            recharge = None
            if said["recharges"]:
                recharge = {
                    "enabled": said["recharges"] == "yes",
                    "top_up": said["top_up"],
                    "threshold": said["threshold"],
                }
            try:
                services.set_plan(
                    actor=visit.actor,
                    organization=visit.organization,
                    plan=said["plan"],
                    payment_method_on_file=said["payment_method_on_file"],
                    phone_verified=said["phone_verified"],
                    auto_recharge=recharge,
                )
            except Problem as problem:
                form.refuse(problem)
            else:
                visit.tell(_("Plan and payment were noted."))
                return visit.go("console-billing", organization_id=organization_id)
        return _shown(visit, form.refused, plan_form=form)


def _shown(
    visit: Visit,
    status: int = 200,
    profile_form: ProfileForm | None = None,
    plan_form: PlanForm | None = None,
) -> HttpResponse:
    profile, plan = _profile(visit), _plan(visit)
    return visit.show(
        "billing",
        status,
        profile=profile,
        vat=VAT_WORDS[VatStatus(profile.vat_status)] if profile else None,
        plan=plan,
        profile_form=profile_form or ProfileForm(now=_of_profile(profile)),
        plan_form=plan_form or PlanForm(now=_of_plan(plan)),
        may_write=visit.may(TokenScope.BILLING_WRITE),
    )


def _profile(visit: Visit) -> BillingProfile | None:
    with scope.tenant(visit.organization.pk):
        return BillingProfile.objects.first()


def _plan(visit: Visit) -> Plan | None:
    with scope.tenant(visit.organization.pk):
        return Plan.objects.first()


def _of_profile(profile: BillingProfile | None) -> dict[str, Any]:
    if profile is None:
        return {"country": "IT"}
    return {name: getattr(profile, name) for name in ProfileForm.base_fields}


def _of_plan(plan: Plan | None) -> dict[str, Any]:
    if plan is None:
        return {}
    known = {None: "", True: "yes", False: "no"}
    facts = {name: getattr(plan, name) for name in PlanForm.base_fields}
    return facts | {"recharges": known[plan.recharges]}
