"""Who needs somebody: organizations near their limit, keys near their end, what waits for two.

Staff see nothing of a tenant by default, so nobody is named: organizations are counted by band, and
told by id, because a session is opened by id. Whoever looks is in the platform's log, and so is
whoever follows an id to the form that asks why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from tenants.assistance.services import record_platform_event
from tenants.assistance.staff import Staff
from tenants.assistance.visiting import role_missing
from tenants.common import scope
from tenants.support import lists, pages
from tenants.support.door import closed
from tenants.support.pages import Section, link, when

_MOST = 100
_DAYS = (7, 14, 30)


@dataclass(frozen=True, slots=True)
class _Table:
    """One of the page's tables, as it is shown and as it is saved."""

    name: str
    title: str
    headers: list[str]
    rows: list[list[Any]]


def attention(request: HttpRequest, staff: Staff) -> HttpResponse:
    """Show all of it, or one table as CSV."""
    if not staff.may("platform:read"):
        raise role_missing()
    tables = _tables()
    wanted = next((one for one in tables if one.name == request.GET.get("csv")), None)
    if wanted and not staff.may("list:export"):
        raise role_missing()
    with scope.platform():
        record_platform_event(
            staff=staff,
            verb="attention.exported" if wanted else "attention.viewed",
            detail=wanted.name if wanted else "",
            found=sum(len(one.rows) for one in tables),
        )
    if wanted:
        return lists.written(wanted.headers, wanted.rows, wanted.name)
    sections = [
        Section(
            one.title,
            headers=one.headers,
            rows=one.rows,
            save=f"{request.path}?csv={one.name}" if staff.may("list:export") else "",
        )
        for one in tables
    ]
    return pages.page(request, staff, _("Who needs attention"), sections)


def _tables() -> list[_Table]:
    near = _read("SELECT * FROM support_near_limit(%s)", [_MOST])
    ending = _read("SELECT * FROM support_near_end(%s, %s)", [list(_DAYS), _MOST])
    waiting = _read("SELECT * FROM assistance_waiting()", [])
    limits = {band: _("%(band)d %% and over") % {"band": band} for band, _many, _ids in near}
    ends = {days: _("within %(days)d days") % {"days": days} for days in _DAYS}
    whats = {"correction": _("a correction"), "second factor": _("a reset of second factors")}
    return [
        _Table(
            "over-80",
            _("Organizations over 80 per cent of their limit"),
            [_("Band"), _("Organizations")],
            [[limits[band], many] for band, many, _ids in near],
        ),
        _Table(
            "over-80-ids",
            _("Near their limit, by id: of each band %(most)d at most") % {"most": _MOST},
            [_("Organization"), _("Band")],
            [[_organization(one), limits[band]] for band, _many, ids in near for one in ids],
        ),
        _Table(
            "expiring-keys",
            _("Keys that expire within %(days)d days") % {"days": max(_DAYS)},
            [_("The first of them"), _("Organizations"), _("Keys")],
            [[ends[days], many, keys] for days, many, keys, _ids in ending],
        ),
        _Table(
            "expiring-keys-ids",
            _("With keys near their end, by id: of each band %(most)d at most") % {"most": _MOST},
            [_("Organization"), _("The first of them")],
            [[_organization(one), ends[days]] for days, _many, _keys, ids in ending for one in ids],
        ),
        _Table(
            "waiting",
            _("What waits for another person of the staff"),
            [_("Organization"), _("What"), _("Asked by"), _("When"), _("From"), _("Until")],
            [
                [_organization(one), whats[what], who, *map(when, instants)]
                for one, what, who, *instants in waiting
            ],
        ),
    ]


def _read(query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def _organization(organization_id: UUID) -> Any:
    return link(reverse("admin:organization", args=[organization_id]), organization_id)


ATTENTION = closed(attention)
