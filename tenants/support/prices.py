"""The price book, read-only: what holds, what each import changed, what the next would change."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.assistance.staff import Staff
from tenants.assistance.visiting import role_missing
from tenants.spend import pricelist
from tenants.spend.models import Price
from tenants.spend.services import import_price_list
from tenants.support import pages
from tenants.support.door import closed
from tenants.support.pages import NOTHING, Section, figure, link, marked, when

_MANY = 50
_IMPORTS = 20
_LONGEST_ID = 10


def prices(request: HttpRequest, staff: Staff) -> HttpResponse:
    """Show the book, newest first; ``?import=`` shows what one import changed."""
    if not staff.may("platform:read"):
        raise role_missing()
    if checksum := request.GET.get("import"):
        return pages.page(request, staff, _("Price book"), [_difference(checksum)])
    sections = [_next(), _imports(request), _book(request)]
    return pages.page(request, staff, _("Price book"), sections)


def _book(request: HttpRequest) -> Section:
    rows = Price.objects.order_by("-pk")
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < _LONGEST_ID:
        rows = rows.filter(pk__lt=int(before))
    found = list(rows[: _MANY + 1])
    more = f"{request.path}?before={found[_MANY - 1].pk}" if len(found) > _MANY else ""
    return Section(
        _("Price book"),
        _("It is changed by import_prices only; a price that held once stays as it was."),
        headers=[_("Mistral model"), _("Meter"), _("Price"), _("Holds from"), _("Source")],
        rows=[
            [row.mistral_model, row.meter, _price(row), when(row.effective_from), row.source]
            for row in found[:_MANY]
        ],
        more=more,
    )


def _imports(request: HttpRequest) -> Section:
    rows = (
        Price.objects.values("checksum")
        .annotate(at=Min("created_at"), many=Count("pk"))
        .order_by("-at")[:_IMPORTS]
    )
    return Section(
        _("Imports"),
        headers=[_("When"), _("Prices"), _("List (SHA-256)")],
        rows=[
            [
                when(row["at"]),
                row["many"],
                link(f"{request.path}?import={row['checksum']}", row["checksum"][:12]),
            ]
            for row in rows
        ],
    )


def _difference(checksum: str) -> Section:
    """Compare each price of an import with the one that held before."""
    found = list(Price.objects.filter(checksum=checksum).order_by("mistral_model", "meter", "pk"))
    models = {row.mistral_model for row in found}
    history: dict[tuple[str, str, str], list[Price]] = {}
    for row in Price.objects.filter(mistral_model__in=models).order_by("effective_from", "pk"):
        history.setdefault((row.mistral_model, row.meter, row.currency), []).append(row)
    rows = []
    for row in found:
        line = history[row.mistral_model, row.meter, row.currency]
        place = line.index(row)
        rows.append(_line(line[place - 1] if place else None, row))
    return Section(
        _("What this import changed"),
        _("SHA-256 of the list: %(checksum)s") % {"checksum": checksum},
        headers=_headers(),
        rows=rows,
    )


def _next() -> Section:
    """Compare the list that this version brought along with the book, and load nothing."""
    listed = pricelist.read()
    planned = import_price_list(listed=listed, at=timezone.now(), is_dry_run=True)
    return Section(
        _("What loading the list of this version would change"),
        _("List of %(day)s: %(changed)d changed or new, %(same)d as in the book.")
        % {
            "day": f"{listed.as_of:%Y-%m-%d}",
            "changed": len(planned.changes),
            "same": planned.unchanged,
        },
        headers=_headers(),
        rows=[
            [
                one.listed.mistral_model,
                one.listed.meter,
                NOTHING if one.before is None else figure(one.before),
                f"{figure(one.listed.amount)} {one.listed.currency} / {one.listed.per}",
                NOTHING,
            ]
            for one in planned.changes[:_MANY]
        ]
        if planned.changes
        else None,
    )


def _headers() -> Sequence[str]:
    return [_("Mistral model"), _("Meter"), _("Before"), _("After"), _("Difference")]


def _line(before: Price | None, row: Price) -> list[Any]:
    change = NOTHING
    if before is not None and before.amount:
        ratio = (row.amount * before.per) / (before.amount * row.per) - Decimal(1)
        change = f"{marked(f'{ratio * 100:+,.1f}')} %"
    former = _price(before) if before else NOTHING
    return [row.mistral_model, row.meter, former, _price(row), change]


def _price(row: Price) -> str:
    return f"{figure(row.amount)} {row.currency} / {row.per}"


PRICES = closed(prices)
