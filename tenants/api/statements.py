"""Frozen monthly statements over HTTP: which there are, and each as JSON, CSV or PDF."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from tenants.access import tenancy
from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.access.pagination import page
from tenants.accounting import statements
from tenants.accounting.models import Statement
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, Out, PageQuery, Reply, endpoint, page_of
from tenants.common import scope
from tenants.organizations.models import Organization

_JSON, _CSV, _PDF = "application/json", "text/csv", "application/pdf"


class StatementOut(Out):
    """A closed month; its forms are under ``…/statements/{month}.json``, ``.csv`` and ``.pdf``."""

    id = serializers.UUIDField()
    month = serializers.SerializerMethodField()
    timezone = serializers.CharField()
    currency = serializers.CharField()
    total = fields.Amount(help_text="What the month's calls cost.")
    adjustments_total = fields.Amount(
        help_text="What changed in earlier months since they were stated."
    )
    stated_total = serializers.SerializerMethodField()
    closed_at = serializers.DateTimeField()
    json_sha256 = serializers.CharField()
    csv_sha256 = serializers.CharField()
    pdf_sha256 = serializers.CharField()

    def get_month(self, statement: Statement) -> str:
        """Write it as ``YYYY-MM``."""
        return f"{statement.period:%Y-%m}"

    def get_stated_total(self, statement: Statement) -> str:
        """Add the two up."""
        total: str = fields.Amount().to_representation(
            statement.total + statement.adjustments_total
        )
        return total


class StatementDocumentOut(Out):
    """A statement as it was frozen; docs/reports.md describes its members."""

    version = serializers.IntegerField()
    month = serializers.CharField()
    currency = serializers.CharField()
    total = fields.Amount()
    adjustments_total = fields.Amount()
    stated_total = fields.Amount()
    lines = serializers.ListField(child=serializers.DictField())
    days = serializers.ListField(child=serializers.DictField())
    adjustments = serializers.ListField(child=serializers.DictField())


class _Stored(BaseRenderer):
    """Sends bytes as they are kept: a digest of other bytes would be of no use."""

    charset = None
    render_style = "binary"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Choose the form that was asked for."""
        kept: bytes = data[self.format]
        return kept


class StoredJson(_Stored):
    """The canonical JSON."""

    media_type, format = _JSON, "json"


class StoredCsv(_Stored):
    """The CSV."""

    media_type, format = _CSV, "csv"


class StoredPdf(_Stored):
    """The paper."""

    media_type, format = _PDF, "pdf"


class Statements(ApiView):
    """``/organizations/{organization_id}/statements``."""

    @endpoint(
        "list_statements",
        TokenScope.SPEND_READ,
        summary="List closed months",
        query=PageQuery,
        gives={200: page_of(StatementOut)},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """A month is closed three days after its end; the newest come first."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            rows = Statement.objects.defer("json", "csv", "pdf")
            return Reply(page(rows, **call.page))


class OneStatement(ApiView):
    """``/organizations/{organization_id}/statements/{month}``, with or without a form."""

    renderer_classes = (StoredJson, StoredCsv, StoredPdf)

    @endpoint(
        "get_statement",
        TokenScope.SPEND_READ,
        summary="Fetch the statement of a closed month",
        gives={200: StatementDocumentOut},
        refuses=(406,),
        media_types=(_JSON, _CSV, _PDF),
    )
    def get(self, call: Call, organization_id: UUID, month: str, format: str = "") -> Reply:  # noqa: A002 - REST framework's name
        """As JSON, CSV or PDF: by the ending of the address, else by `Accept`.

        The bytes are those that were kept when the month was closed; `ETag` is their SHA-256.
        """
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            statement = statements.of_month(month)
        if statement is None:
            raise not_found()
        self._statement = statement
        kept = {name: bytes(getattr(statement, name)) for name in ("json", "csv", "pdf")}
        return Reply(kept, is_shaped=True)

    def finalize_response(  # type: ignore[override]  # as in ApiView
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Name the file and its digest."""
        finished = super().finalize_response(request, response, *args, **kwargs)
        statement: Statement | None = getattr(self, "_statement", None)
        renderer = getattr(request, "accepted_renderer", None)
        if statement is not None and renderer is not None:
            name = f"statement-{statement.period:%Y-%m}.{renderer.format}"
            finished["Content-Disposition"] = f'attachment; filename="{name}"'
            finished["ETag"] = f'"{getattr(statement, f"{renderer.format}_sha256")}"'
        return finished
