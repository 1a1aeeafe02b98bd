"""Spend over HTTP: a month's cost in groups, as JSON or CSV, and the metered calls one by one."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer

from tenants.access.models import TokenScope
from tenants.access.pagination import Page, make_cursor, read_cursor
from tenants.api import fields, subjects
from tenants.api.endpoint import ApiView, Call, Out, PageQuery, Reply, endpoint, page_of
from tenants.api.subjects import SubjectQuery
from tenants.common.months import Month
from tenants.common.problems import Invalid
from tenants.organizations.models import Organization
from tenants.spend import reports
from tenants.spend.calls import Category, Outcome, Source
from tenants.spend.models import UsageEvent
from tenants.spend.reports import GROUPINGS, SpendReport

_CSV = "text/csv"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT_BYTES = 8
#: The gateway answers a call's own id as `x-request-id`; a correction names the call it mends.
_METERED = frozenset({Source.GATEWAY.value, Source.CORRECTION.value})


class SpendQuery(SubjectQuery):
    """Which month, in which groups."""

    month = serializers.CharField(
        max_length=7, required=False, help_text="`YYYY-MM`; the present month without it."
    )
    group_by = serializers.CharField(
        max_length=64,
        required=False,
        allow_blank=True,
        help_text=f"Any of `{'`, `'.join(GROUPINGS)}`, joined by commas.",
    )


class CallsQuery(SubjectQuery, PageQuery):
    """Which calls."""

    message_id = serializers.CharField(
        max_length=200, required=False, help_text="Only those of one AIsuru message."
    )


class QuantitiesOut(Out):
    """What was used."""

    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField()
    pages = serializers.IntegerField()
    audio_seconds = serializers.IntegerField()
    characters = serializers.IntegerField()
    requests = serializers.IntegerField()


class SpendGroupOut(Out):
    """A part of the spend; it has the members that it is grouped by."""

    category = serializers.ChoiceField(choices=[one.value for one in Category], required=False)
    day = serializers.DateField(required=False)
    model_id = serializers.UUIDField(allow_null=True, required=False)
    mistral_model = serializers.CharField(required=False)
    workspace_id = serializers.UUIDField(required=False)
    key_id = serializers.UUIDField(allow_null=True, required=False)
    source = serializers.ChoiceField(  # type: ignore[assignment]  # a member, not the attribute
        choices=[one.value for one in Source], required=False
    )
    amount = fields.Amount()
    quantities = QuantitiesOut()
    unpriced = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Leave out what it is not grouped by: null would say that the calls have none."""
        shown = super().to_representation(instance)
        return {name: value for name, value in shown.items() if name in instance}


class SpendOut(Out):
    """What a month has cost."""

    month = serializers.CharField()
    timezone = serializers.CharField()
    currency = serializers.CharField()
    total = fields.Amount()
    held = fields.Amount(help_text="Worst cases of the calls going on now; not spent yet.")
    groups = SpendGroupOut(many=True)
    estimated = fields.Amount(help_text="The part of `total` that is an estimate.")
    unpriced = serializers.IntegerField(help_text="Calls whose price is unknown, not in `total`.")
    empty_message = serializers.CharField()


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
        choices=[one.value for one in Source]
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


class CsvRenderer(BaseRenderer):
    """A spend report as CSV (RFC 4180)."""

    media_type = _CSV
    format = "csv"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Write rows that are text already."""
        written = io.StringIO()
        csv.writer(written).writerows(data)
        return written.getvalue().encode()


class Spend(ApiView):
    """``/spend``."""

    renderer_classes = (JSONRenderer, CsvRenderer)

    @endpoint(
        "get_spend",
        TokenScope.SPEND_READ,
        summary="Read what a month has cost",
        query=SpendQuery,
        gives={200: SpendOut},
        refuses=(406,),
        media_types=("application/json", _CSV),
    )
    def get(self, call: Call) -> Reply:
        """Of an organization, a workspace or a model, in groups; `Accept: text/csv` gives CSV.

        Without `group_by`, in groups of the bill's categories. The CSV has a row `group` for each
        and one row `total`, whose figures stand in columns of their own (`total`, `held`,
        `estimated`, `total_unpriced`), so that no column counts anything twice when it is summed.
        """
        whose = subjects.find(call)
        report = reports.spend_report(
            **whose.parts,
            month=_month(call.data.get("month"), whose.organization),
            group_by=_groupings(call.data.get("group_by", "category")),
        )
        if call.request.accepted_media_type == _CSV:
            return Reply(reports.rows_for_csv(report), is_shaped=True)
        return Reply(_flat(report))


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
        found = reports.calls(
            **whose.parts,
            message_id=call.data.get("message_id", ""),
            before=read_cursor(cursor, _place) if cursor else None,
            limit=call.data["limit"],
        )
        following = make_cursor(_bytes(*found.next)) if found.next else None
        return Reply(Page(_by_message(found.results, whose.organization.currency), following))


def _month(text: str | None, organization: Organization) -> Month:
    if text is None:
        return Month.of(timezone.now(), organization.timezone)
    try:
        return Month.parse(text, organization.timezone)
    except ValueError:
        detail = _("Write a month as YYYY-MM.")
        raise Invalid.field("/month", "month_invalid", detail) from None


def _groupings(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not set(names) <= set(GROUPINGS):
        detail = _("Spend can be grouped by: %(names)s.") % {"names": ", ".join(GROUPINGS)}
        raise Invalid.field("/group_by", "group_by_unknown", detail)
    return names


def _flat(report: SpendReport) -> dict[str, Any]:
    return {
        "month": str(report.month),
        "timezone": report.month.zone,
        "currency": report.currency,
        "total": report.total,
        "held": report.held,
        "groups": [
            {
                **group.names,
                "amount": group.amount,
                "quantities": group.quantities,
                "unpriced": group.unpriced,
            }
            for group in report.groups
        ],
        "estimated": report.estimated,
        "unpriced": report.unpriced,
        "empty_message": report.empty_message,
    }


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


def _bytes(occurred_at: datetime, event_id: UUID) -> bytes:
    since = occurred_at - _EPOCH
    return (since // timedelta(microseconds=1)).to_bytes(_INSTANT_BYTES) + event_id.bytes


def _place(place: bytes) -> tuple[datetime, UUID]:
    instant, event_id = place[:_INSTANT_BYTES], place[_INSTANT_BYTES:]
    return _EPOCH + timedelta(microseconds=int.from_bytes(instant)), UUID(bytes=event_id)
