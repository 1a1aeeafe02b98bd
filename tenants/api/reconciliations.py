"""Reconciliations over HTTP: compare a month with somebody else's figures, and post on a word."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext as _
from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.access.pagination import page
from tenants.accounting import reconciliations, wording
from tenants.accounting.comparing import Reason
from tenants.accounting.models import FigureSource, Reconciliation, ReconciliationStatus
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, PageQuery, Reply, endpoint, page_of
from tenants.common import scope
from tenants.common.problems import Invalid
from tenants.organizations.models import Organization
from tenants.spend.calls import Category
from tenants.spend.reports import month_of

_MOST_FIGURES = 500
_LARGEST_COUNT = 2**48


class FigureIn(In):
    """One figure: an amount (`manual`), or tokens (`aisuru`)."""

    category = fields.OneOf(choices=[one.value for one in Category], default="completion")
    model = fields.Text(max_length=200, required=False, allow_blank=True)
    workspace_id = fields.Id(required=False, allow_null=True)
    amount = fields.Amount(required=False)
    prompt_tokens = fields.Whole(min_value=0, max_value=_LARGEST_COUNT, required=False)
    completion_tokens = fields.Whole(min_value=0, max_value=_LARGEST_COUNT, required=False)


class ReconciliationIn(In):
    """What to compare with."""

    month = fields.Text(max_length=7)
    source = fields.OneOf(  # type: ignore[assignment]  # a member, not the attribute
        choices=FigureSource.choices
    )
    figures = fields.Several(child=FigureIn(), max_length=_MOST_FIGURES, default=list)


class ConfirmIn(In):
    """What to post."""

    lines = fields.Several(
        child=fields.Whole(min_value=0),
        max_length=10_000,
        required=False,
        help_text="Numbers of lines; all without it.",
    )


class ReasonOut(Out):
    """A part of a difference, and what it comes from."""

    code = serializers.ChoiceField(choices=[one.value for one in Reason])
    amount = serializers.CharField()
    detail = serializers.SerializerMethodField()

    def get_detail(self, row: Any) -> str:
        """Say it in the reader's language."""
        return wording.of_reason(row["code"])


class ReconciliationLineOut(Out):
    """One category, model and workspace on both sides."""

    line = serializers.IntegerField()
    category = serializers.CharField()
    mistral_model = serializers.CharField()
    workspace_id = serializers.UUIDField(allow_null=True)
    ours = serializers.CharField()
    theirs = serializers.CharField(allow_null=True, help_text="Null when they tell no cost.")
    difference = serializers.CharField(allow_null=True, help_text="Theirs minus ours.")
    estimated = serializers.CharField()
    unpriced = serializers.IntegerField()
    quantities = serializers.DictField(help_text="By meter, `ours` and `theirs`.")
    reasons = ReasonOut(many=True)


class ReconciliationOut(Out):
    """A comparison of a month."""

    id = serializers.UUIDField()
    month = serializers.SerializerMethodField()
    timezone = serializers.CharField()
    currency = serializers.CharField()
    source = serializers.ChoiceField(  # type: ignore[assignment]  # a member, not the attribute
        choices=FigureSource.choices
    )
    status = serializers.ChoiceField(choices=ReconciliationStatus.choices)
    requested_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    compared_at = serializers.DateTimeField(allow_null=True)
    totals = serializers.DictField(
        help_text=(
            "`our_month` is the local month of reports, `timezone_edge` what Mistral's UTC month"
            " has beyond it; `ours`, `theirs`, `difference` and `reasons` are of the same month."
        )
    )
    confirmed_at = serializers.DateTimeField(allow_null=True)
    confirmed_by = serializers.CharField()
    posted = serializers.ListField(child=serializers.UUIDField())
    failure = serializers.SerializerMethodField()

    def get_month(self, row: Reconciliation) -> str:
        """Write it as ``YYYY-MM``."""
        return f"{row.period:%Y-%m}"

    def get_failure(self, row: Reconciliation) -> dict[str, str] | None:
        """Say it in the reader's language."""
        if not row.failure:
            return None
        return {"code": row.failure, "detail": wording.of_failure(row.failure)}


class ReconciliationDetailOut(ReconciliationOut):
    """A comparison of a month, line by line."""

    lines = ReconciliationLineOut(many=True)


class Reconciliations(ApiView):
    """``/organizations/{organization_id}/reconciliations``."""

    @endpoint(
        "list_reconciliations",
        TokenScope.SPEND_READ,
        summary="List reconciliations",
        query=PageQuery,
        gives={200: page_of(ReconciliationOut)},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """Without their lines."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            return Reply(page(Reconciliation.objects.defer("lines", "figures"), **call.page))

    @endpoint(
        "create_reconciliation",
        TokenScope.SPEND_WRITE,
        summary="Compare a month with somebody else's figures",
        takes=ReconciliationIn,
        gives={201: ReconciliationDetailOut, 202: ReconciliationDetailOut},
        refuses=(409, 503),
        example={
            "month": "2026-10",
            "source": "manual",
            "figures": [
                {"category": "completion", "model": "mistral-small-2603", "amount": "12.34"}
            ],
        },
    )
    def post(self, call: Call, organization_id: UUID) -> Reply:
        """Figures that come along are compared at once (201), others are fetched (202).

        `mistral_admin_api` is always fetched, `aisuru` when no figures come along.
        """
        organization = tenancy.find(call.principal, Organization, organization_id)
        source = FigureSource(call.data["source"])
        row = reconciliations.request_reconciliation(
            actor=call.actor,
            organization=organization,
            month=month_of(call.data["month"], organization),
            source=source,
            figures=[_checked(figure, source) for figure in call.data["figures"]],
        )
        status = 202 if row.status == ReconciliationStatus.PENDING else 201
        ids = {"organization_id": organization.pk, "reconciliation_id": row.pk}
        return Reply(row, status, reverse("reconciliation", kwargs=ids))


class OneReconciliation(ApiView):
    """``/organizations/{organization_id}/reconciliations/{reconciliation_id}``."""

    @endpoint(
        "get_reconciliation",
        TokenScope.SPEND_READ,
        summary="Read a reconciliation",
        gives={200: ReconciliationDetailOut},
    )
    def get(self, call: Call, organization_id: UUID, reconciliation_id: UUID) -> Reply:
        """Line by line, each difference with its reasons."""
        return Reply(_find(call, organization_id, reconciliation_id))


class ConfirmReconciliation(ApiView):
    """``/organizations/{organization_id}/reconciliations/{reconciliation_id}/confirm``."""

    @endpoint(
        "confirm_reconciliation",
        TokenScope.SPEND_WRITE,
        summary="Post a reconciliation's differences as corrections",
        takes=ConfirmIn,
        gives={200: ReconciliationDetailOut},
        refuses=(409,),
        example={"lines": [0]},
    )
    def post(self, call: Call, organization_id: UUID, reconciliation_id: UUID) -> Reply:
        """Each is an event of its own, listed by `/calls?message_id=reconciliation:{id}`; once."""
        row = reconciliations.confirm_reconciliation(
            actor=call.actor,
            reconciliation=_find(call, organization_id, reconciliation_id),
            lines=call.data.get("lines"),
        )
        return Reply(row)


def _find(call: Call, organization_id: UUID, reconciliation_id: UUID) -> Reconciliation:
    organization = tenancy.find(call.principal, Organization, organization_id)
    with scope.tenant(organization.pk):
        row = Reconciliation.objects.filter(pk=reconciliation_id).first()
    if row is None:
        raise not_found()
    return row


def _checked(figure: dict[str, Any], source: FigureSource) -> dict[str, Any]:
    """Refuse a figure that lacks what its source is about."""
    if source is FigureSource.MANUAL and figure.get("amount") is None:
        detail = _("Say the amount of every figure, as Mistral's console shows it.")
        raise Invalid.field("/figures", "amount_required", detail)
    return figure
