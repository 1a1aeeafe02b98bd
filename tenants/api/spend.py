"""Spend over HTTP: a month's cost in groups, as JSON or CSV, and the months there are."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer

from tenants.access.models import TokenScope
from tenants.access.pagination import part
from tenants.api import fields, subjects
from tenants.api.endpoint import ApiView, Call, Out, PageQuery, Reply, endpoint, page_of
from tenants.api.subjects import SubjectQuery
from tenants.common import tables
from tenants.common.problems import Invalid
from tenants.spend import reports
from tenants.spend.calls import Category, LimitMode, Source
from tenants.spend.groups import GROUPINGS
from tenants.spend.reports import SpendReport

_CSV = "text/csv"
SOURCES = [one.value for one in Source]


class MonthsQuery(SubjectQuery, PageQuery):
    """Whose months."""


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


class QuantitiesOut(Out):
    """What was used."""

    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField()
    pages = serializers.IntegerField()
    audio_seconds = serializers.IntegerField()
    characters = serializers.IntegerField()
    requests = serializers.IntegerField()
    connector_calls = serializers.IntegerField()
    training_tokens = serializers.IntegerField()
    storage_months = serializers.IntegerField()


class SpendGroupOut(Out):
    """A part of the spend; it has the members that it is grouped by."""

    category = serializers.ChoiceField(choices=[one.value for one in Category], required=False)
    day = serializers.DateField(required=False)
    model_id = serializers.UUIDField(allow_null=True, required=False)
    mistral_model = serializers.CharField(required=False)
    workspace_id = serializers.UUIDField(required=False)
    key_id = serializers.UUIDField(allow_null=True, required=False)
    source = serializers.ChoiceField(  # type: ignore[assignment]  # a member, not the attribute
        choices=SOURCES, required=False
    )
    amount = fields.Amount()
    quantities = QuantitiesOut()
    estimated = fields.Amount()
    unpriced = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Leave out what it is not grouped by: null would say that the calls have none."""
        shown = super().to_representation(instance)
        return {name: value for name, value in shown.items() if name in instance}


class StandingOut(Out):
    """Where the limit of just this organization, workspace or model stands."""

    monthly_spend = fields.Amount()
    mode = serializers.ChoiceField(choices=[one.value for one in LimitMode])
    spent = fields.Amount()
    held = fields.Amount()
    remaining = fields.Amount()
    resets_at = serializers.DateTimeField()


class ForecastOut(Out):
    """What the month will have cost, if it goes on like the last days."""

    amount = fields.Amount()
    method = serializers.CharField(
        help_text="Spent so far, plus the mean of the last full days times the days left."
    )
    per_day = fields.Amount(help_text="That mean.")
    days = serializers.IntegerField(help_text="How many full days it is of, at most 14.")
    since = serializers.DateField(help_text="The first of them.")
    limit_reached_on = serializers.DateField(
        allow_null=True, help_text="At that rate; null when it is not in this month."
    )


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
    limit = StandingOut(allow_null=True, help_text="Null for past months, and without one.")
    forecast = ForecastOut(
        allow_null=True, help_text="Of the present month; null with less than 3 full days."
    )
    empty_message = serializers.CharField()


class MonthSpendOut(Out):
    """A month that can be chosen."""

    month = serializers.CharField()
    total = fields.Amount()
    currency = serializers.CharField()
    estimated = fields.Amount()
    unpriced = serializers.IntegerField()
    empty_message = serializers.CharField()


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
        """Write rows of cells."""
        return tables.write(data)


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
            month=reports.month_of(call.data.get("month"), whose.organization),
            group_by=_groupings(call.data.get("group_by", "category")),
        )
        if call.request.accepted_media_type == _CSV:
            return Reply(reports.rows_for_csv(report), is_shaped=True)
        return Reply(_flat(report))


class Months(ApiView):
    """``/spend/months``."""

    @endpoint(
        "list_spend_months",
        TokenScope.SPEND_READ,
        summary="List the months that spend can be read of",
        query=MonthsQuery,
        gives={200: page_of(MonthSpendOut)},
    )
    def get(self, call: Call) -> Reply:
        """From the month in which it was made to the present one, each with what it has cost."""
        whose = subjects.find(call)
        listed = [
            {
                "month": str(one.month),
                "total": one.total,
                "currency": whose.organization.currency,
                "estimated": one.estimated,
                "unpriced": one.unpriced,
                "empty_message": reports.empty_message(one.month) if one.is_empty else "",
            }
            for one in reports.months(**whose.parts)
        ]
        return Reply(part(listed, **call.page))


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
                "estimated": group.estimated,
                "unpriced": group.unpriced,
            }
            for group in report.groups
        ],
        "estimated": report.estimated,
        "unpriced": report.unpriced,
        "limit": report.limit,
        "forecast": report.forecast,
        "empty_message": report.empty_message,
    }
