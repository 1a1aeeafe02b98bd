"""Rate limits over HTTP: what limits calls by Mistral's model, and how a workspace's calls wait."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.models import TokenScope
from tenants.access.pagination import make_cursor, read_cursor
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, PageQuery, Reply, endpoint, page_of
from tenants.common import scope
from tenants.organizations.models import Organization, Workspace
from tenants.registry import quotas, services
from tenants.registry.models import ForeignParameters, NewEndpoints, OnDisconnect
from tenants.registry.quotas import DEFAULT_POLICY, Policy
from tenants.spend import ratereport
from tenants.spend.calls import LimitMode, SubjectKind


class ConfiguredRateOut(Out):
    """Rates that are set on a subject whose calls draw on this quota."""

    subject_kind = serializers.ChoiceField(choices=[kind.value for kind in SubjectKind])
    subject_id = serializers.UUIDField()
    subject_name = serializers.CharField()
    requests_per_second = serializers.FloatField(
        source="rates.requests_per_second", allow_null=True
    )
    tokens_per_minute = serializers.IntegerField(source="rates.tokens_per_minute", allow_null=True)
    tokens_per_month = serializers.IntegerField(source="rates.tokens_per_month", allow_null=True)
    mode = serializers.ChoiceField(choices=[mode.value for mode in LimitMode])


class LearnedWindowOut(Out):
    """What Mistral told of one window of its own."""

    window = serializers.CharField(help_text="Mistral's own name of it, as in `req-minute`.")
    by_size = serializers.BooleanField(help_text="One of the older limits on request size.")
    meter = serializers.CharField(
        allow_null=True, help_text="`requests`, `tokens` or Mistral's word; null if not known."
    )
    seconds = serializers.IntegerField(allow_null=True)
    limit = serializers.IntegerField(allow_null=True)
    remaining = serializers.IntegerField(allow_null=True, help_text="At `observed_at`.")


class UsedRatesOut(Out):
    """What was used of a quota."""

    requests_last_minute = serializers.IntegerField(help_text="At `observed_at`.")
    tokens_last_minute = serializers.IntegerField(help_text="At `observed_at`.")
    tokens_this_month = serializers.IntegerField(help_text="By the ledger, in the budget month.")


class BucketOut(Out):
    """A quota of Mistral's: one of its workspaces and one of its models."""

    mistral_model = serializers.CharField()
    mistral_workspace = serializers.CharField(
        allow_null=True, help_text="Its name at Mistral; null if its keys do not tell."
    )
    key_ids = serializers.ListField(child=serializers.UUIDField())
    model_ids = serializers.ListField(child=serializers.UUIDField())
    configured = ConfiguredRateOut(many=True)
    learned = LearnedWindowOut(many=True)
    used = UsedRatesOut(source="*")
    is_in_plan = serializers.BooleanField(
        help_text="False: the plan gives the model no quota; Mistral told a limit of 0."
    )
    closed_until = serializers.DateTimeField(
        allow_null=True, help_text="Mistral has refused a call: none goes out before this instant."
    )
    calls_of_message = serializers.FloatField(
        allow_null=True, help_text="How many calls one chat message makes, lately."
    )
    messages_per_minute = serializers.FloatField(
        allow_null=True, help_text="How many chat messages Mistral's limits carry; null if unknown."
    )
    observed_at = serializers.DateTimeField(allow_null=True)


class RateLimitsResetIn(In):
    """What of Mistral's refusals is to be forgotten."""

    mistral_model = fields.Text(
        max_length=200,
        required=False,
        help_text="Of this model of Mistral's only, by its name in `rate-limits`; else of all.",
    )


class TrafficPolicyIn(In):
    """How calls are treated that Mistral does not take at once."""

    failover = fields.Flag(
        default=DEFAULT_POLICY.failover,
        help_text="Use another valid key, if it belongs to another workspace at Mistral.",
    )
    capacity_retries = fields.Whole(
        min_value=0,
        max_value=3,
        default=DEFAULT_POLICY.capacity_retries,
        help_text="How often a call is sent again when Mistral's servers are full.",
    )
    longest_wait = fields.Whole(
        min_value=0,
        max_value=120,
        default=DEFAULT_POLICY.longest_wait,
        help_text="Seconds that a call may wait for its turn; never more than half its time-out.",
    )
    on_disconnect = fields.OneOf(
        choices=OnDisconnect.values,
        default=DEFAULT_POLICY.on_disconnect.value,
        help_text="When a caller leaves a stream: `drain` reads on to what it cost, for a bounded"
        " time; `abort` breaks it off at once, and its cost is an estimate.",
    )
    parameters = fields.OneOf(
        choices=ForeignParameters.values,
        default=DEFAULT_POLICY.parameters.value,
        help_text="What other providers' parameters become, unless `X-Aim-Parameters` says so.",
    )
    new_endpoints = fields.OneOf(
        choices=NewEndpoints.values,
        default=DEFAULT_POLICY.new_endpoints.value,
        help_text="What becomes of endpoints of Mistral's that this service does not know:"
        " `refuse`, or `pass` JSON questions that name the model; they have no known price.",
    )


class TrafficPolicyOut(Out):
    """How a workspace's calls are treated that Mistral does not take at once."""

    workspace_id = serializers.UUIDField()
    failover = serializers.BooleanField()
    capacity_retries = serializers.IntegerField()
    longest_wait = serializers.IntegerField()
    on_disconnect = serializers.ChoiceField(choices=OnDisconnect.values)
    parameters = serializers.ChoiceField(choices=ForeignParameters.values)
    new_endpoints = serializers.ChoiceField(choices=NewEndpoints.values)


class RateLimits(ApiView):
    """``/organizations/{organization_id}/rate-limits``."""

    @endpoint(
        "list_rate_limits",
        TokenScope.LIMITS_READ,
        summary="List rate limits by Mistral model: configured, learned and used",
        query=PageQuery,
        gives={200: page_of(BucketOut)},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """In the order of Mistral's models. What was learned is seconds old."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        limit, cursor = call.page["limit"], call.page["cursor"]
        after = None if cursor is None else read_cursor(cursor, _place)
        found = ratereport.report(organization=organization, after=after, most=limit + 1)
        shown = found[:limit]
        more = len(found) > limit
        last = f"{shown[-1].mistral_model}\n{shown[-1].quota_code}".encode() if more else b""
        return Reply({"rows": shown, "next": make_cursor(last) if more else None})


class RateLimitsReset(ApiView):
    """``/organizations/{organization_id}/rate-limits/reset``."""

    @endpoint(
        "reset_rate_limits",
        TokenScope.LIMITS_WRITE,
        summary="Forget what Mistral's refusals taught",
        takes=RateLimitsResetIn,
        gives={204: None},
        example={"mistral_model": "mistral-small-2603"},
    )
    def post(self, call: Call, organization_id: UUID) -> Reply:
        """Calls go out again within about a second.

        Forgotten are pauses, models outside the plan and limits that were guessed. What Mistral's
        headers tell stays, and what is configured; what Mistral refuses again is learned again.

        A name that `rate-limits` does not list is refused: 422 with `model_unknown` and
        `near_matches`.
        """
        organization = tenancy.find(call.principal, Organization, organization_id)
        services.reset_rate_limits(
            actor=call.actor,
            organization=organization,
            mistral_model=call.data.get("mistral_model"),
        )
        return Reply(status=204)


class OneTrafficPolicy(ApiView):
    """``/workspaces/{workspace_id}/traffic-policy``."""

    @endpoint(
        "get_traffic_policy",
        TokenScope.LIMITS_READ,
        summary="Read how a workspace's calls wait, retry and fail over",
        gives={200: TrafficPolicyOut},
    )
    def get(self, call: Call, workspace_id: UUID) -> Reply:
        """Where nothing was set, the defaults hold: no failover, one retry, 30 seconds."""
        workspace = tenancy.find(call.principal, Workspace, workspace_id)
        with scope.tenant(workspace.organization_id):
            found = quotas.policy(workspace.organization_id, workspace.pk)
        return Reply(_shown(workspace, found))

    @endpoint(
        "set_traffic_policy",
        TokenScope.LIMITS_WRITE,
        summary="Set how a workspace's calls wait, retry and fail over",
        takes=TrafficPolicyIn,
        gives={200: TrafficPolicyOut},
        refuses=(409,),
        example={"failover": True, "capacity_retries": 1, "longest_wait": 30},
    )
    def put(self, call: Call, workspace_id: UUID) -> Reply:
        """The gateway follows within a second; members that are not sent take their defaults."""
        workspace = tenancy.find(call.principal, Workspace, workspace_id)
        with scope.tenant(workspace.organization_id):
            organization = Organization.objects.get()
        wanted = Policy(**call.data)
        services.set_traffic_policy(
            actor=call.actor, organization=organization, workspace=workspace, policy=wanted
        )
        return Reply(_shown(workspace, wanted))


def _shown(workspace: Workspace, policy: Policy) -> dict[str, Any]:
    return {"workspace_id": workspace.pk, **asdict(policy)}


def _place(place: bytes) -> tuple[str, str]:
    model, separator, code = place.decode().partition("\n")
    if not separator:
        raise ValueError("no place of this list")
    return model, code
