"""Statements of closed months: which there are, each to read and print, and as kept files."""

from typing import Any
from uuid import UUID

import orjson
from django.http import HttpResponse

from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.access.pagination import page as page_of
from tenants.accounting import statements, wording
from tenants.accounting.models import Statement
from tenants.common import scope
from tenants.common.months import Month
from tenants.console.door import Page, Visit, page
from tenants.console.templatetags.console import amount, count

ROWS = 24
_MEDIA = {"json": "application/json", "csv": "text/csv; charset=utf-8", "pdf": "application/pdf"}
FORMS = tuple(_MEDIA)


class Statements(Page):
    """``/organizations/<id>/statements``."""

    @page(TokenScope.SPEND_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """List closed months, the newest first."""
        zone = visit.organization.timezone
        with scope.tenant(visit.organization.pk):
            rows = Statement.objects.defer("json", "csv", "pdf")
            found = page_of(rows, limit=ROWS, cursor=visit.request.GET.get("cursor"))
        shown = [(Month(one.period.year, one.period.month, zone), one) for one in found.rows]
        return visit.show("statements/list", statements=shown, next=found.next, forms=FORMS)


class OneStatement(Page):
    """``/organizations/<id>/statements/<month>``."""

    @page(TokenScope.SPEND_READ)
    def get(self, visit: Visit, organization_id: UUID, month: str) -> HttpResponse:
        """Show what was frozen, to read and to print."""
        statement = _find(visit, month)
        document = orjson.loads(bytes(statement.json))
        return visit.show(
            "statements/one",
            statement=statement,
            document=document,
            month=Month(statement.period.year, statement.period.month, statement.timezone),
            lines=_lines(document["lines"], statement.currency),
            adjustments=_lines(document["adjustments"], statement.currency),
            forms=FORMS,
        )


class StatementFile(Page):
    """``/organizations/<id>/statements/<month>.<form>``."""

    @page(TokenScope.SPEND_READ)
    def get(self, visit: Visit, organization_id: UUID, month: str, form: str) -> HttpResponse:
        """Give the bytes as they were kept: their digest is the one that is shown."""
        statement = _find(visit, month)
        kept = HttpResponse(bytes(getattr(statement, form)), content_type=_MEDIA[form])
        name = f"statement-{statement.period:%Y-%m}.{form}"
        kept["Content-Disposition"] = f'attachment; filename="{name}"'
        kept["ETag"] = f'"{getattr(statement, f"{form}_sha256")}"'
        return kept


def _find(visit: Visit, month: str) -> Statement:
    with scope.tenant(visit.organization.pk):
        statement = statements.of_month(month)
    if statement is None:
        raise not_found()
    return statement


def _lines(lines: list[dict[str, Any]], currency: str) -> list[tuple[str, ...]]:
    """Write what the cells of a table say: there may be hundreds of lines."""
    called = {name: str(word) for name, word in wording.CATEGORIES.items()}
    return [
        (
            line.get("month", ""),
            called.get(line["category"], line["category"]),
            line["mistral_model"] or "\N{EN DASH}",
            line["workspace"] or "\N{EN DASH}",
            count(line["quantities"]["requests"]),
            count(line["quantities"]["prompt_tokens"] + line["quantities"]["completion_tokens"]),
            amount(line["amount"], currency),
        )
        for line in lines
    ]
