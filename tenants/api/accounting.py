"""The Admin API key and syncs over HTTP; the key goes in and never comes out."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.models import TokenScope
from tenants.accounting import confirming, services, wording
from tenants.accounting.difference import DifferenceCode
from tenants.accounting.models import AdminKey, AdminKeyStatus, SyncRun, SyncStatus
from tenants.accounting.proposing import ProposalKind
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, Reply, endpoint
from tenants.api.intake import SecretIn, secret_of
from tenants.common import scope
from tenants.keys.intake import Purpose
from tenants.organizations.models import Organization

_CODES = [code.value for code in DifferenceCode]


class AdminKeyOut(Out):
    """What is known of the Admin API key; null where there is none."""

    is_set = serializers.BooleanField()
    last4 = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(
        choices=AdminKeyStatus.choices,
        allow_null=True,
        help_text="`pending` until a sync has used it.",
    )
    header = serializers.CharField(
        allow_null=True, help_text="How Mistral takes it: `x-api-key` or `bearer`."
    )
    checked_at = serializers.DateTimeField(allow_null=True)
    created_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True)


class SyncIn(In):
    """How to sync."""

    dry_run = fields.Flag(
        default=True,
        help_text=(
            "Only look and tell. With `false`, workspaces and keys are tied to Mistral's, and"
            " unknown expiry dates are entered; nothing is deleted in any case."
        ),
    )


class ConfirmSyncIn(In):
    """What to take over."""

    sync_id = fields.Id(help_text="The run that was seen; it must be the newest, and over.")
    only = fields.Several(
        child=fields.Text(max_length=300),
        required=False,
        allow_null=True,
        help_text="Ids of proposals; without it, all of them.",
    )


class DifferenceOut(Out):
    """Where Mistral and this service differ."""

    code = serializers.ChoiceField(choices=_CODES)
    kind = serializers.CharField()
    name = serializers.CharField()
    detail = serializers.SerializerMethodField(help_text="What it means, for people.")
    ours_id = serializers.UUIDField(allow_null=True)
    mistral_id = serializers.CharField(allow_null=True)
    ours = serializers.CharField(allow_null=True)
    theirs = serializers.CharField(allow_null=True)

    def get_detail(self, row: Any) -> str:
        """Say it in the reader's language."""
        return wording.of_difference(row)


class ProposalOut(Out):
    """What a person may take over from Mistral."""

    id = serializers.CharField()
    kind = serializers.ChoiceField(choices=[kind.value for kind in ProposalKind])
    name = serializers.CharField()
    before = serializers.CharField(
        allow_null=True, help_text="What holds here now; null: nothing does."
    )
    after = serializers.CharField(
        help_text="Of a price: amount / units, in the organization's currency."
    )


class ConfirmationOut(Out):
    """What somebody took over."""

    by = serializers.CharField()
    at = serializers.DateTimeField()
    taken = serializers.ListField(child=serializers.CharField())
    left = serializers.DictField(
        child=serializers.CharField(), help_text="By proposal: the code of what refused it."
    )


class StepOut(Out):
    """What one question brought."""

    step = serializers.CharField()
    seen = serializers.IntegerField()
    skipped = serializers.IntegerField(help_text="Rows of a shape that is not known here.")
    missing = serializers.IntegerField(help_text="Seen earlier, and not any more.")


class FailureOut(Out):
    """Why it failed, or waits."""

    code = serializers.CharField()
    detail = serializers.CharField()


class SyncOut(Out):
    """A run of the sync."""

    id = serializers.UUIDField()
    dry_run = serializers.BooleanField(source="is_dry")
    status = serializers.ChoiceField(choices=SyncStatus.choices)
    requested_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    next_attempt_at = serializers.DateTimeField(source="due_at", allow_null=True)
    step = serializers.CharField(help_text="What is asked next; empty when it is over.")
    steps = serializers.SerializerMethodField()
    omitted = serializers.DictField(
        child=serializers.CharField(), help_text="Questions that Mistral refused, and why."
    )
    failure = serializers.SerializerMethodField()
    differences = DifferenceOut(many=True)
    applied = serializers.DictField(child=serializers.IntegerField())
    proposals = ProposalOut(
        many=True, help_text="For somebody to confirm: a run takes over none of them by itself."
    )
    confirmation = serializers.SerializerMethodField()

    @extend_schema_field(ConfirmationOut(allow_null=True))
    def get_confirmation(self, run: SyncRun) -> dict[str, Any] | None:
        """Say who took over what."""
        if run.confirmed_at is None:
            return None
        return {
            "by": run.confirmed_by,
            "at": run.confirmed_at,
            "taken": run.taken,
            "left": run.left,
        }

    @extend_schema_field(StepOut(many=True))
    def get_steps(self, run: SyncRun) -> list[dict[str, Any]]:
        """List what was asked so far, in order."""
        return [
            {
                "step": step,
                "seen": counts["seen"],
                "skipped": counts["skipped"],
                "missing": counts.get("missing", 0),
            }
            for step, counts in run.counts.items()
        ]

    @extend_schema_field(FailureOut(allow_null=True))
    def get_failure(self, run: SyncRun) -> dict[str, str] | None:
        """Say it in the reader's language."""
        if not run.failure:
            return None
        return {"code": run.failure, "detail": wording.of_failure(run.failure)}


class SyncStateOut(Out):
    """The newest run; null where there was none."""

    run = SyncOut(allow_null=True)


class OrganizationAdminKey(ApiView):
    """``/organizations/{organization_id}/admin-key``."""

    @endpoint(
        "get_admin_key",
        TokenScope.KEYS_READ,
        summary="Read what is known of the Admin API key",
        gives={200: AdminKeyOut},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """The key itself is never told; without one, `is_set` is false."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            return Reply(_key(AdminKey.objects.first()))

    @endpoint(
        "set_admin_key",
        TokenScope.KEYS_WRITE,
        summary="Enter the Admin API key",
        takes=SecretIn,
        gives={200: AdminKeyOut},
        refuses=(409, 503),
        example={"key": "HQSxfB7IaJRKNHRv0e5OAYJNO1h2Ug6Y"},
        strictly="intake",
    )
    def put(self, call: Call, organization_id: UUID) -> Reply:
        """It is sealed, and takes the place of the one before. The next sync tries it."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        facts = secret_of(call.data, Purpose.ADMIN_KEY, organization.pk)
        key = services.set_admin_key(actor=call.actor, organization=organization, **facts)
        return Reply(_key(key))

    @endpoint(
        "remove_admin_key",
        TokenScope.KEYS_WRITE,
        summary="Remove the Admin API key",
        gives={204: None},
    )
    def delete(self, call: Call, organization_id: UUID) -> Reply:
        """It is shredded here; delete it at Mistral too. What was seen with it stays."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        services.remove_admin_key(actor=call.actor, organization=organization)
        return Reply(status=204)


class OrganizationSync(ApiView):
    """``/organizations/{organization_id}/sync``."""

    @endpoint(
        "get_sync",
        TokenScope.ORGANIZATIONS_READ,
        summary="Read the newest sync and the differences that it found",
        gives={200: SyncStateOut},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """Its steps, and what Mistral and this service say differently."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            return Reply({"run": SyncRun.objects.first()})

    @endpoint(
        "start_sync",
        TokenScope.ORGANIZATIONS_WRITE,
        TokenScope.KEYS_USE,
        summary="Look at what the Admin API tells",
        takes=SyncIn,
        gives={202: SyncOut},
        refuses=(409,),
        example={"dry_run": True},
    )
    def post(self, call: Call, organization_id: UUID) -> Reply:
        """A worker asks, slowly; read the state under the same address."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        run = services.request_sync(
            actor=call.actor, organization=organization, is_dry=call.data["dry_run"]
        )
        address = reverse("sync", kwargs={"organization_id": organization.pk})
        return Reply(run, 202, address)


class ConfirmSync(ApiView):
    """``/organizations/{organization_id}/sync/confirm``."""

    @endpoint(
        "confirm_sync",
        TokenScope.ORGANIZATIONS_WRITE,
        TokenScope.SPEND_WRITE,
        TokenScope.WORKSPACES_WRITE,
        summary="Take over what a sync proposed",
        takes=ConfirmSyncIn,
        gives={200: SyncOut},
        refuses=(409,),
        example={"sync_id": "0199d0a2-7c1e-7b1a-8a55-3a1f0e6d2b11"},
    )
    def post(self, call: Call, organization_id: UUID) -> Reply:
        """Prices hold from now on; workspaces have their keys checked by what is declared."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        run = confirming.confirm_sync(
            actor=call.actor,
            organization=organization,
            sync_id=call.data["sync_id"],
            only=call.data.get("only"),
        )
        return Reply(run)


def _key(key: AdminKey | None) -> dict[str, Any]:
    if key is None:
        none = ("last4", "status", "header", "checked_at", "created_by", "created_at")
        return {"is_set": False, **dict.fromkeys(none)}
    return {
        "is_set": True,
        "last4": key.last4,
        "status": key.status,
        "header": key.header or None,
        "checked_at": key.checked_at,
        "created_by": key.created_by,
        "created_at": key.secret_at,
    }
