"""A page of the desk, described as sections: facts, a table, a form, buttons that act.

Every sentence comes from Python, so that the catalogue has it; values are escaped by the template.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.template.response import TemplateResponse
from django.utils.formats import date_format, get_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from tenants.assistance.staff import Staff
from tenants.assistance.visiting import Visit
from tenants.common.money import plain
from tenants.common.problems import Problem
from tenants.support.site import site

NOTHING = "—"


@dataclass(frozen=True, slots=True)
class Button:
    """A verb: a form with one button, posted to ``url``; a grave one has to be meant."""

    label: str
    url: str
    is_grave: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page.

    Attributes:
        title: its heading.
        text: a sentence below it.
        facts: pairs of a name and a value.
        headers, rows: a table; ``rows`` is None where there is none, empty where it is empty.
        chart: a drawing of what the table says.
        form, form_url, form_label: a form, where it is posted and what its button says.
        is_get: the form chooses what is shown, and changes nothing.
        keep, keep_url, keep_label: a second form beside it.
        links: other ways to look: what each is called, and its address.
        buttons: verbs.
        more: the address of the next page, or of the whole list.
        save: the address of the same as CSV.
    """

    title: str
    text: str = ""
    facts: Sequence[tuple[str, Any]] = ()
    headers: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] | None = None
    chart: SafeString | None = None
    form: Form | None = None
    form_url: str = ""
    form_label: str = ""
    is_get: bool = False
    keep: Form | None = None
    keep_url: str = ""
    keep_label: str = ""
    links: Sequence[tuple[str, str]] = ()
    buttons: Sequence[Button] = field(default=())
    more: str = ""
    save: str = ""

    @property
    def table(self) -> dict[str, Any] | None:
        """The table, as unfold's component takes it."""
        if self.rows is None:
            return None
        return {"headers": list(self.headers), "rows": [list(row) for row in self.rows]}


def page(
    request: HttpRequest,
    staff: Staff | None,
    title: str,
    sections: Sequence[Section],
    *,
    visit: Visit | None = None,
    status: int = 200,
    more: Mapping[str, Any] | None = None,
) -> HttpResponse:
    """Render a page, now: nothing is read from the database once it is answered."""
    context = {
        **site.frame(request, staff),
        "title": title,
        "sections": sections,
        "visit": visit,
        "token": format_html(
            '<input type="hidden" name="csrfmiddlewaretoken" value="{}">', get_token(request)
        ),
        "words": {
            "more": _("More"),
            "save": _("As CSV"),
            "none": _("Nothing."),
            "end": _("End the session"),
            "sure": _("I am sure"),
        },
        "banner": _banner(visit) if visit else "",
        **(more or {}),
    }
    template = "support/page.html" if staff else "support/sign_in.html"
    return TemplateResponse(request, template, context, status=status).render()


def refusal(request: HttpRequest, staff: Staff | None, problem: Problem) -> HttpResponse:
    """Say on a page why something was refused."""
    section = Section(
        _("Not done"), problem.detail, facts=[(_("Code"), problem.code)] if problem.code else ()
    )
    return page(request, staff, _("Not done"), [section], status=problem.status)


def link(url: str, text: object) -> SafeString:
    """Make a link for a cell."""
    return format_html('<a class="desk-link" href="{}">{}</a>', url, text or NOTHING)


def when(at: datetime | None) -> str:
    """Write an instant in UTC, for people."""
    return f"{date_format(localtime(at), 'Y-m-d H:i:s')} UTC" if at else NOTHING


def amount(value: Decimal | None, currency: str) -> str:
    """Write an amount; an unknown one is no zero."""
    return NOTHING if value is None else f"{figure(value)} {currency}"


def figure(value: Decimal, places: int = 2) -> str:
    """Write a number with so many decimals at least, and with the reader's marks."""
    return marked(f"{Decimal(plain(value, places)):,f}")


def marked(text: str) -> str:
    """Give a number, written with commas and a point, the reader's marks."""
    comma, point = get_format("THOUSAND_SEPARATOR"), get_format("DECIMAL_SEPARATOR")
    return text.translate({ord(","): comma, ord("."): point})


def _banner(visit: Visit) -> str:
    session = visit.session
    kind = _("Session that may act") if session.is_elevated else _("Session for looking only")
    whose = (
        _("broken open: the organization was told")
        if session.is_broken_open
        else _("granted by %(who)s") % {"who": session.granted_by}
    )
    return _("%(kind)s in %(organization)s until %(until)s, %(whose)s. Reason: %(reason)s") % {
        "kind": kind,
        "organization": visit.organization.name,
        "until": when(session.ends_at),
        "whose": whose,
        "reason": session.reason,
    }
