"""Lists of one organization, inside an open session: by keyset, filtered by menus, taken as CSV.

A filter is a choice from a menu, so nothing that somebody types is searched for or kept. Whoever
may, keeps a choice under a name (``SavedFilter``). Nothing is counted that can be large.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from uuid import UUID

from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import strip_tags
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from tenants.access.pagination import Page
from tenants.assistance import services
from tenants.assistance.models import SavedFilter
from tenants.assistance.staff import Staff
from tenants.assistance.visiting import Visit, role_missing, visit
from tenants.common import tables
from tenants.common.problems import Invalid
from tenants.organizations import audit
from tenants.support import pages
from tenants.support.door import closed
from tenants.support.forms import FilterForm, SaveFilterForm
from tenants.support.pages import Button, Section

MANY = 50
#: Of a CSV; who needs more has the organization export itself.
MOST = 5_000

type Choices = Sequence[tuple[str, str]]
#: Choices, each under its group's word.
type Groups = Sequence[tuple[str, Choices]]


@dataclass(frozen=True, slots=True)
class Filter:
    """A menu above a list.

    Attributes:
        name: in the address.
        label, choices: in the reader's language.
        narrow: takes the rows and the choice.
    """

    name: str
    label: Callable[[], str]
    choices: Callable[[], Choices | Groups]
    narrow: Callable[[Any, str], Any]


@dataclass(frozen=True, slots=True)
class Listing[M: Model]:
    """A list: what it shows of which rows.

    Attributes:
        page: its word in the audit log and in saved filters.
        rows: all of them, unordered.
        read: one page of them, by a cursor.
        headers, cells: what is shown; buttons: verbs below it.
    """

    page: str
    title: Callable[[], str]
    rows: Callable[[Visit], QuerySet[M]]
    read: Callable[[Visit, QuerySet[M], int, str | None], Page[M]]
    headers: Callable[[], list[str]]
    cells: Callable[[Visit, Sequence[M]], list[list[Any]]]
    buttons: Callable[[Visit, Sequence[M]], list[Button]] = field(default=lambda _v, _r: [])
    filters: Sequence[Filter] = ()


#: Every list, by the name of its page.
KNOWN: dict[str, Listing[Any]] = {}


def listed(listing: Listing[Any]) -> Callable[..., HttpResponse]:
    """Make the view of a list."""
    KNOWN[listing.page] = listing

    def view(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
        choice = chosen(listing, request.GET)
        if request.GET.get("format") == "csv":
            return _table(staff, listing, organization_id, choice)
        saved = list(SavedFilter.objects.filter(person=staff.person, page=listing.page))
        with visit(staff=staff, organization_id=organization_id, page=listing.page) as found:
            rows = _narrowed(listing, found, choice)
            shown = listing.read(found, rows, MANY, request.GET.get("cursor"))
            sections = [
                *_menus(listing, found, choice, saved),
                Section(
                    listing.title(),
                    headers=listing.headers(),
                    rows=listing.cells(found, shown.rows),
                    buttons=listing.buttons(found, shown.rows),
                    more=_link(request, choice, cursor=shown.next) if shown.next else "",
                    save=_link(request, choice, format="csv") if staff.may("list:export") else "",
                ),
            ]
            return pages.page(request, staff, listing.title(), sections, visit=found)

    return closed(view)


def chosen(listing: Listing[Any], asked: Any) -> dict[str, str]:
    """Read the filters of an address; what is no choice of the menu is refused.

    Raises:
        Invalid: ``filter_unknown``.
    """
    choice = {one.name: asked.get(one.name, "") for one in listing.filters if asked.get(one.name)}
    for one in listing.filters:
        if one.name in choice and choice[one.name] not in _values(one.choices()):
            detail = _("This is no choice of the menu.")
            raise Invalid.field(f"/{one.name}", "filter_unknown", detail)
    return choice


def _values(choices: Choices | Groups) -> set[str]:
    """Give what can be chosen, with or without groups."""
    found: set[str] = set()
    for value, said in choices:
        found |= {value} if isinstance(said, str) else {inner for inner, _word in said}
    return found


def save_filter(
    request: HttpRequest, staff: Staff, organization_id: UUID, page: str
) -> HttpResponse:
    """Keep the filters of a list under a name, for oneself."""
    listing = _known(page)
    form = SaveFilterForm(request.POST)
    if not form.is_valid():
        raise Invalid.field("/name", "filter_unnamed", _("Give the filters a name."))
    choice = chosen(listing, request.POST)
    services.save_filter(staff=staff, page=page, name=form.cleaned_data["name"], choice=choice)
    address = reverse(f"admin:{page}", args=[organization_id])
    return HttpResponseRedirect(f"{address}?{urlencode(choice)}")


def forget_filter(
    _request: HttpRequest, staff: Staff, organization_id: UUID, page: str, filter_id: UUID
) -> HttpResponse:
    """Forget filters that one has kept."""
    listing = _known(page)
    services.forget_filter(staff=staff, filter_id=filter_id)
    return HttpResponseRedirect(reverse(f"admin:{listing.page}", args=[organization_id]))


def written(headers: Sequence[str], rows: Sequence[Sequence[Any]], name: str) -> HttpResponse:
    """Write a table as CSV, to be saved; no cell is a formula."""
    return HttpResponse(
        tables.write([headers, *([_cell(cell) for cell in row] for row in rows)]),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def _table(
    staff: Staff, listing: Listing[Any], organization_id: UUID, choice: dict[str, str]
) -> HttpResponse:
    if not staff.may("list:export"):
        raise role_missing()
    with visit(staff=staff, organization_id=organization_id, page=listing.page) as found:
        audit.record(
            actor=staff.actor,
            organization_id=organization_id,
            verb=f"support.{listing.page}_exported",
            target=found.session,
        )
        rows = listing.read(found, _narrowed(listing, found, choice), MOST, None).rows
        return written(
            listing.headers(),
            listing.cells(found, rows),
            f"{found.organization.slug}-{listing.page}",
        )


def _cell(value: Any) -> str:
    return unescape(strip_tags(value)) if isinstance(value, SafeString) else str(value)


def _narrowed(listing: Listing[Any], found: Visit, choice: dict[str, str]) -> QuerySet[Any]:
    rows = listing.rows(found)
    for one in listing.filters:
        if one.name in choice:
            rows = one.narrow(rows, choice[one.name])
    return rows


def _menus(
    listing: Listing[Any], found: Visit, choice: dict[str, str], saved: Sequence[SavedFilter]
) -> list[Section]:
    if not listing.filters:
        return []
    address = reverse(f"admin:{listing.page}", args=[found.organization.pk])
    ids = [found.organization.pk, listing.page]
    menus = [(one.name, one.label(), one.choices()) for one in listing.filters]
    return [
        Section(
            _("Filters"),
            links=[(one.name, f"{address}?{urlencode(one.choice)}") for one in saved],
            form=FilterForm(menus=menus, initial=choice),
            form_url=address,
            form_label=_("Show"),
            is_get=True,
            keep=SaveFilterForm(hidden=choice) if choice else None,
            keep_url=reverse("admin:filter_save", args=ids),
            keep_label=_("Keep these filters"),
            buttons=[
                Button(
                    _("Forget %(name)s") % {"name": one.name},
                    reverse("admin:filter_forget", args=[*ids, one.pk]),
                )
                for one in saved
            ],
        )
    ]


def _known(page: str) -> Listing[Any]:
    if page not in KNOWN:
        raise Invalid.field("/page", "filter_unknown", _("There is no such list."))
    return KNOWN[page]


def _link(request: HttpRequest, choice: dict[str, str], **more: str | None) -> str:
    return f"{request.path}?{urlencode(choice | {name: str(more[name]) for name in more})}"


SAVE_FILTER = closed(save_filter, "POST")
FORGET_FILTER = closed(forget_filter, "POST")
