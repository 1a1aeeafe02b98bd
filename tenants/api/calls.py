"""Metered calls over HTTP, one by one: what any figure of a report leads to."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tenants.access.models import TokenScope
from tenants.access.pagination import Page, make_cursor, read_cursor
from tenants.api import fields, subjects
from tenants.api.endpoint import ApiView, Call, Out, PageQuery, Reply, endpoint, page_of
from tenants.api.spend import SOURCES, QuantitiesOut
from tenants.api.subjects import SubjectQuery
from tenants.spend import drilldown, reports
from tenants.spend.calls import Category, Outcome, Source
from tenants.spend.drilldown import Choice
from tenants.spend.models import UsageEvent

#: The gateway answers a call's own id as `x-request-id`; a correction names the call it mends.
_METERED = frozenset({Source.GATEWAY.value, Source.CORRECTION.value})
_CHOICES = ("day", "category", "mistral_model", "key_id", "source", "message_id")


class CallsQuery(SubjectQuery, PageQuery):
    """Which calls: named like the members of a report's groups."""

    message_id = serializers.CharField(
        max_length=200, required=False, help_text="Only those of one AIsuru message."
    )
    month = serializers.CharField(
        max_length=7, required=False, help_text="`YYYY-MM`; all months without it."
    )
    day = fields.Day(required=False)
    category = fields.OneOf(choices=[one.value for one in Category], required=False)
    mistral_model = serializers.CharField(max_length=200, required=False)
    key_id = fields.Id(required=False)
    source = fields.OneOf(  # type: ignore[assignment]  # a member, not the attribute
        choices=SOURCES, required=False
    )


class CallOut(Out):
    """A metered call: no prompt, no answer."""

    id = serializers.UUIDField()
    occurred_at = serializers.DateTimeField()
    workspace_id = serializers.UUIDField()
    model_id = serializers.UUIDField(allow_null=True)
    key_id = serializers.UUIDField(allow_null=True)
    message_id = serializers.CharField()
    request_id = serializers.SerializerMethodField(
        help_text="The gateway's `x-request-id`; empty for a call that did not pass it."
    )
    correlation_id = serializers.CharField(
        help_text="Mistral's own id of its answer, for its support; empty when it told none."
    )
    endpoint = serializers.CharField()
    category = serializers.ChoiceField(choices=[one.value for one in Category])
    requested_model = serializers.CharField()
    answered_model = serializers.CharField()
    outcome = serializers.ChoiceField(choices=[one.value for one in Outcome])
    http_status = serializers.IntegerField(allow_null=True)
    duration_ms = serializers.IntegerField(allow_null=True)
    quantities = serializers.SerializerMethodField()
    cost = fields.Amount(allow_null=True, help_text="Null when the price is unknown.")
    currency = serializers.CharField()
    estimate = serializers.CharField(help_text="Why this is an estimate; empty when it is exact.")
    corrects = serializers.UUIDField(allow_null=True, help_text="The event that this one mends.")
    source = serializers.ChoiceField(  # type: ignore[assignment]  # a member, not the attribute
        choices=SOURCES
    )

    def get_request_id(self, event: UsageEvent) -> str:
        """Name the request as its caller saw it named."""
        if event.request_id or event.source not in _METERED:
            return event.request_id
        return str(event.corrects or event.id)

    @extend_schema_field(QuantitiesOut)
    def get_quantities(self, event: UsageEvent) -> Any:
        """Gather what was used; annotated pages are pages too, as in the report."""
        used = QuantitiesOut(event).data
        return used | {"pages": event.pages + event.annotated_pages}


class MessageCallsOut(Out):
    """The calls of one AIsuru message that are on this page."""

    message_id = serializers.CharField(allow_null=True)
    calls = CallOut(many=True)
    cost = fields.Amount(help_text="The sum of those with a price.")
    currency = serializers.CharField()


class Calls(ApiView):
    """``/calls``."""

    @endpoint(
        "list_calls",
        TokenScope.SPEND_READ,
        summary="List metered calls",
        query=CallsQuery,
        gives={200: page_of(MessageCallsOut)},
    )
    def get(self, call: Call) -> Reply:
        """Newest first, those of one AIsuru message together; a page has `limit` calls."""
        cursor = call.data.get("cursor")
        whose = subjects.find(call)
        text = call.data.get("month")
        month = reports.month_of(text, whose.organization) if text else None
        found = drilldown.calls(
            **whose.parts,
            choice=Choice(month=month, **{name: call.data.get(name) for name in _CHOICES}),
            before=read_cursor(cursor, drilldown.read_place) if cursor else None,
            limit=call.data["limit"],
        )
        following = make_cursor(drilldown.place_bytes(*found.next)) if found.next else None
        return Reply(Page(_by_message(found.results, whose.organization.currency), following))


def _by_message(events: Sequence[UsageEvent], currency: str) -> list[dict[str, Any]]:
    """Bring the calls of one message together; a call without one stays by itself."""
    groups: dict[str | UUID, list[UsageEvent]] = {}
    for event in events:
        groups.setdefault(event.message_id or event.id, []).append(event)
    return [
        {
            "message_id": calls[0].message_id or None,
            "calls": calls,
            "cost": sum((event.cost or Decimal(0) for event in calls), Decimal(0)),
            "currency": currency,
        }
        for calls in groups.values()
    ]
