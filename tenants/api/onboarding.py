"""Onboarding over HTTP: what is done, what is next, and a person's word where we see nothing."""

from uuid import UUID

from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.models import TokenScope
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, Reply, endpoint
from tenants.onboarding import services
from tenants.onboarding.services import StepStatus
from tenants.onboarding.steps import CheckedBy
from tenants.organizations.models import Organization


class OnboardingStepIn(In):
    """A person's word."""

    done = fields.Flag(default=True, help_text="`false` takes it back.")


class OnboardingStepOut(Out):
    """A step of the set-up."""

    key = serializers.CharField()
    status = serializers.ChoiceField(choices=[one.value for one in StepStatus])
    checked_by = serializers.ChoiceField(choices=[one.value for one in CheckedBy])
    detail = serializers.CharField()
    link = serializers.CharField(help_text="At Mistral, or a path of our own console.")


class OnboardingOut(Out):
    """How far an organization is."""

    steps = OnboardingStepOut(many=True)
    percent = serializers.IntegerField()
    next = serializers.CharField(allow_null=True, help_text="The key of the first step to do.")


class Onboarding(ApiView):
    """``/organizations/{organization_id}/onboarding``."""

    @endpoint(
        "get_onboarding",
        TokenScope.BILLING_READ,
        summary="Read how far the set-up is",
        gives={200: OnboardingOut},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """Derived from facts; a step that waits for another is `blocked`."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        return Reply(services.progress(organization))


class ConfirmStep(ApiView):
    """``/organizations/{organization_id}/onboarding/{key}``."""

    @endpoint(
        "confirm_step",
        TokenScope.BILLING_WRITE,
        summary="Confirm a step that only a person can",
        takes=OnboardingStepIn,
        gives={200: OnboardingOut},
        refuses=(409,),
        example={"done": True},
    )
    def post(self, call: Call, organization_id: UUID, key: str) -> Reply:
        """Steps that the system checks cannot be confirmed."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        services.confirm(
            actor=call.actor, organization=organization, key=key, done=call.data["done"]
        )
        return Reply(services.progress(organization))
