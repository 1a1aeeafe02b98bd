"""Who needs somebody: organizations near their limit, keys near their end, corrections that wait.

It names organizations and how near they are, by definer functions, to staff without a session; so
whoever looks is in the platform's log. What an organization has is seen in a session only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
_DAYS = 30


@dataclass(frozen=True, slots=True)
class _Table:
    """One of the page's tables, as it is shown and as it is saved."""

    name: str
    title: str
    headers: list[str]
    rows: list[list[Any]]


def attention(request: HttpRequest, staff: Staff) -> HttpResponse:
    """Show all three, or one of them as CSV."""
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
    over = _read("SELECT * FROM support_over_80(%s)", [_MOST])
    expiring = _read("SELECT * FROM support_expiring(%s, %s)", [_DAYS, _MOST])
    waiting = _read("SELECT * FROM assistance_waiting_corrections()", [])
    return [
        _Table(
            "over-80",
            _("Organizations over 80 per cent of their limit"),
            [_("Organization"), _("Per cent")],
            [[_organization(row), f"{row[2]} %"] for row in over],
        ),
        _Table(
            "expiring-keys",
            _("Keys that expire within %(days)d days") % {"days": _DAYS},
            [_("Organization"), _("Keys"), _("First on")],
            [[_organization(row), row[2], row[3].isoformat()] for row in expiring],
        ),
        _Table(
            "waiting-corrections",
            _("Corrections that wait for another person"),
            [_("Organization"), _("Asked by"), _("When"), _("Until")],
            [[_organization(row), row[2], when(row[3]), when(row[4])] for row in waiting],
        ),
    ]


def _read(query: str, values: Sequence[int]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def _organization(row: tuple[Any, ...]) -> Any:
    return link(reverse("admin:organization", args=[row[0]]), row[1])


ATTENTION = closed(attention)
