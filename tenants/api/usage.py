"""Usage over HTTP: calls that AIsuru made without the gateway, taken in batches."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from tenants.access import tenancy
from tenants.access.errors import field_errors
from tenants.access.models import TokenScope
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, Reply, endpoint
from tenants.common import scope
from tenants.common.problems import FieldError, NotFound
from tenants.organizations.models import Organization, Workspace
from tenants.spend import reporting
from tenants.spend.reporting import ReportedCall

MOST_EVENTS = 1000


class UsageEventIn(In):
    """A call that was made without the gateway."""

    event_id = fields.Text(max_length=64, help_text="Your own name for it; counts once, for ever.")
    workspace_id = fields.Id()
    key_id = fields.Id(required=False, allow_null=True)
    model_id = fields.Id(required=False, allow_null=True)
    model = fields.Text(max_length=200, help_text="The Mistral model that answered.")
    endpoint = fields.Text(max_length=64, help_text="As in `/v1/chat/completions`.")
    occurred_at = fields.Instant(help_text="When the call was made.")
    usage = serializers.DictField(
        help_text="Mistral's usage object; `pages_processed`, `annotated_pages`, `characters`,"
        " `training_tokens` and `storage_months` may stand beside its own members."
    )
    message_id = fields.Text(max_length=200, required=False, allow_blank=True)


@extend_schema_field(UsageEventIn(many=True))
class _Events(serializers.ListField):
    """What is checked one by one, later: a wrong one does not spoil the others."""

    child = serializers.JSONField(allow_null=True)


class UsageIn(In):
    """A batch of calls."""

    events = _Events(min_length=1, max_length=MOST_EVENTS)


class EventErrorOut(Out):
    """What is wrong with one member of an event."""

    pointer = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class RejectedEventOut(Out):
    """An event that was not taken, and why."""

    event_id = serializers.CharField(allow_null=True)
    errors = EventErrorOut(many=True)  # type: ignore[assignment]  # a member, not the attribute


class ReportedOut(Out):
    """What became of a batch."""

    accepted = serializers.IntegerField()
    duplicate = serializers.IntegerField(help_text="Events that were known before.")
    rejected = RejectedEventOut(many=True)


@dataclass(frozen=True)
class _Rejected:
    event_id: str | None
    errors: tuple[FieldError, ...]


class Usage(ApiView):
    """``/usage``."""

    @endpoint(
        "report_usage",
        TokenScope.USAGE_WRITE,
        summary="Report calls that were made without the gateway",
        takes=UsageIn,
        gives={202: ReportedOut},
        example={
            "events": [
                {
                    "event_id": "5f1c7c1e",
                    "workspace_id": "0190b6a1-7f2e-7c3a-9d55-0a1b2c3d4e5f",
                    "model": "mistral-small-2603",
                    "endpoint": "/v1/chat/completions",
                    "occurred_at": "2026-11-26T09:30:00Z",
                    "usage": {"prompt_tokens": 812, "completion_tokens": 64, "total_tokens": 876},
                }
            ]
        },
    )
    def post(self, call: Call) -> Reply:
        """Up to 1,000 events, priced and counted like calls of the gateway.

        `event_id` makes each count once for ever; the whole batch may be sent again. An event that
        cannot be taken is listed with its errors, the others are taken. What was reported is spent:
        it counts against every limit and may exceed it, and is then shown as `excess`.
        """
        rejected: list[_Rejected] = []
        batches: dict[UUID, list[ReportedCall]] = {}
        whose: dict[UUID, UUID | None] = {}
        for event, facts, errors in _checked(call.data["events"]):
            if facts is not None:
                workspace_id = facts["workspace_id"]
                if workspace_id not in whose:
                    whose[workspace_id] = _organization_of(call, workspace_id)
                organization_id = whose[workspace_id]
                if organization_id is not None:
                    batches.setdefault(organization_id, []).append(ReportedCall(**facts))
                    continue
            rejected.append(_Rejected(event, errors or _nowhere()))
        accepted = duplicate = 0
        for organization_id, calls in batches.items():
            with scope.tenant(organization_id):
                organization = Organization.objects.get()
            done = reporting.report_usage(actor=call.actor, organization=organization, calls=calls)
            accepted, duplicate = accepted + done.accepted, duplicate + done.duplicate
            rejected += [_Rejected(*one) for one in done.rejected]
        return Reply({"accepted": accepted, "duplicate": duplicate, "rejected": rejected}, 202)


def _checked(
    events: list[Any],
) -> Iterator[tuple[str | None, dict[str, Any] | None, tuple[FieldError, ...]]]:
    """Check events one by one: one that is wrong does not spoil the others."""
    for event in events:
        if not isinstance(event, Mapping):
            yield None, None, (FieldError("", "not_an_object", _("Must be an object.")),)
            continue
        named = event.get("event_id")
        name = named[:64] if isinstance(named, str) else None
        shape = UsageEventIn(data=event)
        try:
            shape.is_valid(raise_exception=True)
        except ValidationError as error:
            yield name, None, field_errors(error)
        else:
            yield name, dict(shape.validated_data), ()


def _nowhere() -> tuple[FieldError, ...]:
    return (FieldError("/workspace_id", "not_found", _("There is nothing here.")),)


def _organization_of(call: Call, workspace_id: UUID) -> UUID | None:
    try:
        return tenancy.find(call.principal, Workspace, workspace_id).organization_id
    except NotFound:
        return None
