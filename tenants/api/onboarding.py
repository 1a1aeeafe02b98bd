"""Onboarding over HTTP: what is done, what is next, and a person's word where we see nothing."""

from uuid import UUID

from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.models import TokenScope
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, Reply, endpoint
from tenants.onboarding import services
from tenants.onboarding.services import StepStatus, Word
from tenants.onboarding.steps import CheckedBy
from tenants.organizations.models import Organization


class OnboardingStepIn(In):
    """A person's word."""

    done = fields.Flag(default=True, help_text="`false` takes it back.")
    skipped = fields.Flag(
        default=False, help_text="Leave it out for now; a fact that is seen later still counts."
    )


class OnboardingStepOut(Out):
    """A step of the set-up."""

    key = serializers.CharField()
    status = serializers.ChoiceField(choices=[one.value for one in StepStatus])
    checked_by = serializers.ChoiceField(choices=[one.value for one in CheckedBy])
    detail = serializers.CharField()
    link = serializers.CharField(help_text="At Mistral, or a path of our own console.")
    at_mistral = serializers.CharField(
        help_text="The page at Mistral where it is done, there or there too; empty without one."
    )
    is_optional = serializers.BooleanField(help_text="It may be left out.")
    said_by = serializers.CharField(help_text="Whose word it is; empty where facts decide.")
    said_at = serializers.DateTimeField(allow_null=True)


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
        """Derived from facts; one that waits for another is `blocked`, one left out `skipped`."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        return Reply(services.progress(organization))


class ConfirmStep(ApiView):
    """``/organizations/{organization_id}/onboarding/{key}``."""

    @endpoint(
        "confirm_step",
        TokenScope.BILLING_WRITE,
        summary="Confirm a step that only a person can, or leave one out",
        takes=OnboardingStepIn,
        gives={200: OnboardingOut},
        refuses=(409,),
        example={"done": True},
    )
    def post(self, call: Call, organization_id: UUID, key: str) -> Reply:
        """What the system checks cannot be confirmed, what all rests on not be left out."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        word = Word.DONE if call.data["done"] else Word.NEITHER
        services.say(
            actor=call.actor,
            organization=organization,
            key=key,
            word=Word.SKIPPED if call.data["skipped"] else word,
        )
        return Reply(services.progress(organization))
