"""A workspace's spend policy, and how long an organization keeps its calls, over HTTP."""

from typing import Any
from uuid import UUID

from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.models import TokenScope
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, Reply, endpoint
from tenants.organizations.models import Organization, Workspace
from tenants.spend import learning, policies, retention, services
from tenants.spend.calls import UnpricedPolicy
from tenants.spend.policies import Policy

_CHOICES = [policy.value for policy in UnpricedPolicy]
_HELP = (
    "What happens under a limit to a call whose price is not known: `refuse` it (402"
    " `price_unknown`), or `allow` it, flagged as unpriced and counted as nothing."
)


_MONTHS_HELP = (
    "Whole months beside the present one, at least a year's worth; null for ever. What a day, a"
    " model or a category cost is kept whatever this says."
)
_OUTPUT_HELP = (
    "How many tokens of answer are held for a request without `max_tokens` whose model has no"
    " default of its own; null for what was learned, else 4096."
)


class LearnedOut(Out):
    """How long the answers of a model usually are in this organization."""

    mistral_model = serializers.CharField()
    tokens = serializers.IntegerField(help_text="99th percentile of the last thirty days.")
    calls = serializers.IntegerField()
    learned_at = serializers.DateTimeField()


class SpendPolicyIn(In):
    """What holds for a workspace's calls; what is not sent takes its default."""

    unpriced = fields.OneOf(choices=_CHOICES, default=UnpricedPolicy.REFUSE.value, help_text=_HELP)
    default_output_tokens = fields.Whole(
        min_value=1, max_value=1_048_576, default=None, allow_null=True, help_text=_OUTPUT_HELP
    )


class SpendPolicyOut(Out):
    """What holds for a workspace's calls, and what was learned of its models."""

    workspace_id = serializers.UUIDField()
    unpriced = serializers.ChoiceField(choices=_CHOICES, help_text=_HELP)
    default_output_tokens = serializers.IntegerField(allow_null=True, help_text=_OUTPUT_HELP)
    learned = LearnedOut(many=True)


class SpendPolicy(ApiView):
    """``/workspaces/{workspace_id}/spend-policy``."""

    @endpoint(
        "get_spend_policy",
        TokenScope.LIMITS_READ,
        summary="Read what holds for a workspace's calls",
        gives={200: SpendPolicyOut},
    )
    def get(self, call: Call, workspace_id: UUID) -> Reply:
        """Without a policy of its own a workspace refuses."""
        workspace = tenancy.find(call.principal, Workspace, workspace_id)
        return Reply(_shown(workspace, policies.read(workspace.organization_id, workspace.pk)))

    @endpoint(
        "set_spend_policy",
        TokenScope.LIMITS_WRITE,
        summary="Set what holds for a workspace's calls",
        takes=SpendPolicyIn,
        gives={200: SpendPolicyOut},
        refuses=(409,),
        example={"unpriced": "allow", "default_output_tokens": 1500},
    )
    def put(self, call: Call, workspace_id: UUID) -> Reply:
        """Calls obey it within seconds."""
        workspace = tenancy.find(call.principal, Workspace, workspace_id)
        chosen = Policy(UnpricedPolicy(call.data["unpriced"]), call.data["default_output_tokens"])
        services.set_policy(actor=call.actor, workspace=workspace, policy=chosen)
        return Reply(_shown(workspace, chosen))


class RetentionIn(In):
    """For how long single calls are kept."""

    months = fields.Whole(
        min_value=retention.LEAST_MONTHS,
        max_value=retention.MOST_MONTHS,
        allow_null=True,
        help_text=_MONTHS_HELP,
    )


class RetentionOut(Out):
    """For how long single calls are kept; sums by day always are."""

    organization_id = serializers.UUIDField()
    months = serializers.IntegerField(allow_null=True, help_text=_MONTHS_HELP)
    kept_from = serializers.DateField(
        allow_null=True, help_text="Calls of earlier months are removed; null: none are."
    )


class CallRetention(ApiView):
    """``/organizations/{organization_id}/retention``."""

    @endpoint(
        "get_retention",
        TokenScope.ORGANIZATIONS_READ,
        summary="Read for how long single calls are kept",
        gives={200: RetentionOut},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """Without a choice they are kept for ever."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        return Reply(_kept(organization, retention.months_of(organization.pk)))

    @endpoint(
        "set_retention",
        TokenScope.ORGANIZATIONS_WRITE,
        summary="Choose for how long single calls are kept",
        takes=RetentionIn,
        gives={200: RetentionOut},
        example={"months": 24},
    )
    def put(self, call: Call, organization_id: UUID) -> Reply:
        """Older calls are removed within a day, and do not come back; sums by day stay."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        months = call.data["months"]
        services.set_retention(actor=call.actor, organization=organization, months=months)
        return Reply(_kept(organization, months))


def _kept(organization: Organization, months: int | None) -> dict[str, Any]:
    return {
        "organization_id": organization.pk,
        "months": months,
        "kept_from": None if months is None else retention.kept_from(organization, months),
    }


def _shown(workspace: Workspace, policy: Policy) -> dict[str, Any]:
    return {
        "workspace_id": workspace.pk,
        "unpriced": policy.unpriced,
        "default_output_tokens": policy.default_output_tokens,
        "learned": learning.learned(workspace.organization_id),
    }
