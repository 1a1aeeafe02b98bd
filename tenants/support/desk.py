"""The desk's own pages: the search box, opening and ending sessions, the palette of commands."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from unfold.dataclasses import SearchResult

from tenants.assistance import services, visiting
from tenants.assistance.staff import Staff
from tenants.common import scope
from tenants.common.problems import NotFound, Problem
from tenants.organizations.models import Organization, OrganizationStatus
from tenants.support import looking, pages, words
from tenants.support.door import closed
from tenants.support.forms import LookUpForm, OpenForm
from tenants.support.looking import Found
from tenants.support.pages import Button, Section, link, when
from tenants.support.site import links
from tenants.support.words import told


def index(request: HttpRequest, staff: Staff) -> HttpResponse:
    """Show the search box and one's own open sessions; a POST looks something up.

    What is looked for is posted, so that no address, log or history of a browser keeps it.
    """
    form = LookUpForm(request.POST or None)
    sections = []
    if request.method == "POST" and form.is_valid():
        term = looking.read(form.cleaned_data["term"])
        found = looking.look_up(staff=staff, term=term) if term else []
        sections.append(_results(found))
    for errors in form.errors.values():
        messages.error(request, " ".join(map(str, errors)))
    # What was typed may be a secret: it is never shown again.
    form = LookUpForm()
    box = Section(
        _("Whose is it?"),
        _("The answer is a name only; what an organization has is seen in a session."),
        form=form,
        form_url=reverse("admin:index"),
        form_label=_("Look up"),
    )
    return pages.page(request, staff, _("Look up"), [box, *sections, _open_sessions(staff)])


def open_session(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """Ask why and for how long, and open a session."""
    organization = _in_directory(staff, organization_id)
    form = OpenForm(
        request.POST or None,
        may_elevate=staff.may("session:elevate"),
        may_break=staff.may("session:break"),
    )
    if request.method == "POST" and form.is_valid():
        try:
            services.open_session(staff=staff, organization_id=organization_id, **form.cleaned_data)
        except Problem as refusal:
            form.add_error(None, refusal.detail)
        else:
            return HttpResponseRedirect(reverse("admin:organization", args=[organization_id]))
    section = Section(
        _("Open a session"),
        _("Every page that you open is written into the organization's audit log, with your name."),
        form=form,
        form_url=reverse("admin:session_open", args=[organization_id]),
        form_label=_("Open"),
    )
    return pages.page(request, staff, organization.name, [section])


def end_session(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """End one's own session in an organization."""
    services.close_session(staff=staff, organization_id=organization_id)
    messages.success(request, _("The session has ended."))
    return HttpResponseRedirect(reverse("admin:index"))


def palette(request: HttpRequest, staff: Staff) -> HttpResponse:
    """Answer unfold's palette (Ctrl K): pages to go to; it looks nothing up."""
    words = request.GET.get("s", "").casefold()
    if not words:
        return HttpResponse()
    places = [
        SearchResult(title=title, description="", link=address, icon=icon)
        for title, icon, address in links(staff)
    ] + [
        SearchResult(
            title=session.organization_name,
            description=_("open session"),
            link=reverse("admin:organization", args=[session.organization_id]),
            icon="home_work",
        )
        for session in visiting.open_sessions(staff.person)
    ]
    found = [place for place in places if words in place.title.casefold()]
    context = {
        "results": found,
        "page_obj": {"count": len(found)},
        "execution_time": 0,
        "page_counter": 0,
    }
    answer = TemplateResponse(request, "unfold/helpers/command_results.html", context)
    answer["HX-Trigger"] = "search"
    return answer.render()


def _in_directory(staff: Staff, organization_id: UUID) -> Organization:
    """Read an organization's name, which the directory tells without a session; this is logged.

    Raises:
        NotFound: it is not there, or was erased.
    """
    with scope.platform():
        known = Organization.objects.exclude(status=OrganizationStatus.ERASED)
        found = known.filter(pk=organization_id).only("id", "name").first()
        services.record_platform_event(
            staff=staff,
            verb="directory.asked",
            detail=str(organization_id),
            found=int(found is not None),
        )
    if found is None:
        raise NotFound("not_found", _("There is nothing here."))
    return found


def _results(found: list[Found]) -> Section:
    title = ngettext("%(count)d organization", "%(count)d organizations", len(found))
    return Section(
        title % {"count": len(found)},
        headers=[_("Organization"), _("Slug"), _("Status"), _("Found by")],
        rows=[
            [
                link(reverse("admin:organization", args=[one.organization_id]), one.name),
                one.slug,
                told(words.ORGANIZATIONS, one.status),
                words.matches(one.matched),
            ]
            for one in found
        ],
    )


def _open_sessions(staff: Staff) -> Section:
    sessions = visiting.open_sessions(staff.person)
    return Section(
        _("Your open sessions"),
        headers=[_("Organization"), _("Until"), _("May act")],
        rows=[
            [
                link(
                    reverse("admin:organization", args=[one.organization_id]), one.organization_name
                ),
                when(one.ends_at),
                _("yes") if one.is_elevated else _("no"),
            ]
            for one in sessions
        ],
        buttons=[
            Button(
                _("End %(name)s") % {"name": one.organization_name},
                reverse("admin:session_end", args=[one.organization_id]),
            )
            for one in sessions
        ],
    )


INDEX = closed(index, "GET", "POST")
OPEN_SESSION = closed(open_session, "GET", "POST")
END_SESSION = closed(end_session, "POST")
PALETTE = closed(palette)
