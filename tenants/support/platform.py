"""The platform's pages: no row of any tenant is behind them, so no session is needed."""

from collections.abc import Mapping

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.access.pagination import page
from tenants.assistance import parking, workers
from tenants.assistance.models import PlatformEvent, StaffMember
from tenants.assistance.services import give_role, record_platform_event
from tenants.assistance.staff import Staff, StaffRole
from tenants.assistance.visiting import role_missing
from tenants.common import scope
from tenants.common.problems import NotFound, Problem
from tenants.organizations import rotation
from tenants.people.models import Person
from tenants.support import figures, pages
from tenants.support.door import closed
from tenants.support.forms import RoleForm
from tenants.support.pages import NOTHING, Section, when
from tenants.support.words import platform_deed

_MANY = 50


def platform(request: HttpRequest, staff: Staff) -> HttpResponse:
    """Show what waits, for how long, and how much there is."""
    _require(staff, "platform:read")
    found, queues, now = figures.figures(), figures.queues(), timezone.now()
    words = _figure_words()
    late = figures.late(found)
    health = Section(
        _("What is due"),
        _("Work waits for too long: see whether a worker and beat are running.")
        if late
        else _("No work waits longer than five minutes."),
        headers=[_("What"), _("How many"), _("Oldest since"), _("Late")],
        rows=[
            [
                words.get(one.name, one.name),
                _estimated(one.amount) if one.is_estimate else one.amount,
                when(one.oldest_at),
                _("yes") if one.is_late(now) else "",
            ]
            for one in found
        ],
    )
    waiting = Section(
        _("Queues"),
        "" if queues is not None else _("The broker does not answer."),
        headers=[_("Queue"), _("Tasks"), _("Oldest (seconds)")],
        rows=None
        if queues is None
        else [[one.name, one.length, one.oldest_seconds or NOTHING] for one in queues],
    )
    sections = [_workers(), _parked(), health, _answers(), waiting]
    return pages.page(request, staff, _("Platform"), sections)


def _estimated(amount: int) -> str:
    """Say about how many; PostgreSQL knows none until it has looked at a table once."""
    return f"≈ {amount}" if amount else _("not known yet")


def _workers() -> Section:
    """Show which workers there are, by what they say of themselves."""
    found = workers.workers()
    silent = [one for one in found if workers.is_silent(one)]
    if not found:
        told = _("No worker has said anything in the last day.")
    elif len(silent) == len(found):
        told = _("Every worker is silent: see whether one and beat are running.")
    else:
        told = ""
    return Section(
        _("Workers"),
        told,
        headers=[_("Worker"), _("Last task"), _("State")],
        rows=[
            [one.name, when(one.seen_at), _("silent") if one in silent else _("working")]
            for one in found
        ],
    )


def _parked() -> Section:
    """Show which messages were taken out of the queue, because no worker can do them."""
    words = {
        "repeated": _("ended its worker each time"),
        "unknown": _("no such task"),
        "malformed": _("cannot be read"),
    }
    return Section(
        _("Parked tasks"),
        _("Taken out of the queue within the last day."),
        headers=[_("Task"), _("For"), _("Why"), _("When")],
        rows=[
            [one.task or NOTHING, one.arguments or NOTHING, words[one.reason], when(one.seen_at)]
            for one in parking.parked()
        ],
    )


def _answers() -> Section:
    """Show how Mistral answered the newest calls of all organizations, by class."""
    found = figures.answers()
    total = sum(one.amount for one in found)
    words = _class_words()
    return Section(
        _("How Mistral answers"),
        _("Calls of the last hour, %(most)d of them at most: %(total)d.")
        % {"most": figures.MOST_ANSWERS, "total": total},
        headers=[_("Answer"), _("Calls"), _("Share"), _("Last")],
        rows=[
            [
                words.get(one.name, one.name),
                one.amount,
                f"{pages.marked(f'{100 * one.amount / total:.2f}')} %",
                when(one.last_at),
            ]
            for one in found
        ],
    )


def keyring(request: HttpRequest, staff: Staff) -> HttpResponse:
    """Show which master keys are known and how much each wraps: by id, never a key."""
    _require(staff, "platform:read")
    in_use = rotation.master_keys_in_use()
    known = [key_id for key_id, _key in settings.ENCRYPTION_KEYRING]
    missing = sorted(in_use.keys() - set(known))
    rows = [
        [
            key_id,
            _("writes") if key_id == known[0] else _("reads") if key_id in known else _("missing"),
            in_use[key_id],
        ]
        for key_id in [*known, *missing]
    ]
    section = Section(
        _("Keyring"),
        _("A master key is missing: what it wraps cannot be opened.") if missing else "",
        headers=[_("Master key"), _("State"), _("Wraps")],
        rows=rows,
    )
    return pages.page(request, staff, _("Keyring"), [section])


def platform_log(request: HttpRequest, staff: Staff) -> HttpResponse:
    """Show what staff did outside of organizations."""
    _require(staff, "log:read")
    with scope.platform():
        listed = page(PlatformEvent.objects.all(), limit=_MANY, cursor=request.GET.get("cursor"))
    section = Section(
        _("What staff did"),
        headers=[_("When"), _("Who"), _("What"), _("Detail"), _("Found")],
        rows=[
            [
                when(one.created_at),
                one.person_name,
                platform_deed(one.verb),
                one.detail,
                one.found,
            ]
            for one in listed.rows
        ],
        more=f"{request.path}?cursor={listed.next}" if listed.next else "",
    )
    return pages.page(request, staff, _("What staff did"), [section])


def team(request: HttpRequest, staff: Staff) -> HttpResponse:
    """Show the staff, and give somebody a role; nobody gives themselves one."""
    _require(staff, "staff:manage")
    form = RoleForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            _give(staff, form.cleaned_data["email"], StaffRole(form.cleaned_data["role"]))
        except Problem as refusal:
            form.add_error(None, refusal.detail)
        else:
            messages.success(request, _("The role is given."))
            return HttpResponseRedirect(reverse("admin:staff"))
    rows = StaffMember.objects.select_related("person", "group").order_by("pk")[:200]
    sections = [
        Section(
            _("Staff"),
            headers=[_("E-mail"), _("Name"), _("Group")],
            rows=[[one.person.email, one.person.name, one.group.name] for one in rows],
        ),
        Section(
            _("Give a role"),
            form=form,
            form_url=reverse("admin:staff"),
            form_label=_("Give"),
        ),
    ]
    return pages.page(request, staff, _("Staff"), sections)


def _give(staff: Staff, email: str, role: StaffRole) -> None:
    try:
        person = Person.objects.get_by_natural_key(email)
    except Person.DoesNotExist:
        raise NotFound("not_found", _("There is nothing here.")) from None
    if person.pk == staff.person.pk:
        raise role_missing()
    give_role(person=person, role=role)
    with scope.platform():
        record_platform_event(
            staff=staff, verb="role.given", detail=f"{person.email}: {role.value}", found=1
        )


def _require(staff: Staff, capability: str) -> None:
    if not staff.may(capability):
        raise role_missing()


def _figure_words() -> Mapping[str, str]:
    return {
        "organizations_active": _("Organizations"),
        "organizations_suspended": _("Organizations, suspended"),
        "organizations_erased": _("Organizations, erased"),
        "people": _("People who sign in"),
        "keys": _("Keys"),
        "models": _("Models"),
        "calls": _("Calls in the ledger"),
        "keys_due": _("Keys that wait for a check"),
        "keys_expiring": _("Keys that expire within 14 days"),
        "limits_over_80": _("Organizations over 80 per cent of their limit"),
        "holds": _("Calls that are going on"),
        "announcements": _("Announcements to be told"),
        "invitations_unmailed": _("Invitations to be mailed"),
        "support_sessions": _("Open support sessions"),
    }


def _class_words() -> Mapping[str, str]:
    return {
        "answered": _("answered"),
        "caller": _("caller: went away"),
        "gateway": _("gateway: not sent, or nobody knows"),
        "key": _("provider: key refused (401, 403)"),
        "payment": _("provider: payment (402)"),
        "quota": _("provider: quota (429)"),
        "capacity": _("provider: no capacity (503)"),
        "outage": _("provider: outage (5xx)"),
        "unreachable": _("provider: no answer"),
        "request": _("provider: request refused (4xx)"),
    }


PLATFORM = closed(platform)
KEYRING = closed(keyring)
LOG = closed(platform_log)
TEAM = closed(team, "GET", "POST")
