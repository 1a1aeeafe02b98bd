"""The audit log: who did what, newest first, in sentences; by who, what, to what and when."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpResponse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.access.models import TokenScope
from tenants.access.pagination import page as page_of
from tenants.assistance.staff import unmarked
from tenants.common import scope
from tenants.console import fields, targets
from tenants.console.door import Page, Visit, page
from tenants.console.forms import Day, HouseForm
from tenants.console.targets import Target
from tenants.organizations import audit_reading, deeds
from tenants.organizations.models import AuditEvent, Member

ROWS = 50
_MOST_PEOPLE = 500
_DAY = timedelta(days=1)
#: Days back from today, today with them.
_PERIODS: Mapping[str, tuple[Promise, int]] = {
    "today": (gettext_lazy("today"), 1),
    "week": (gettext_lazy("the last 7 days"), 7),
    "month": (gettext_lazy("the last 30 days"), 30),
    "quarter": (gettext_lazy("the last 90 days"), 90),
}
#: Who acts that is no person: what its name is told with.
_ACTORS: Mapping[str, Promise] = {
    "command": gettext_lazy("An operator (%(name)s)"),
    "organization": gettext_lazy("The token %(name)s"),
    "platform": gettext_lazy("The platform's token %(name)s"),
    "staff": gettext_lazy("%(name)s (support staff)"),
    "worker": gettext_lazy("The system"),
}


class TrailForm(HouseForm):
    """What is looked for; all conditions hold together."""

    actor = forms.ChoiceField(required=False, label=gettext_lazy("Who"))
    action = forms.ChoiceField(required=False, label=gettext_lazy("What"))
    period = forms.ChoiceField(required=False, label=gettext_lazy("When"))
    since = Day(required=False, label=gettext_lazy("From"))
    until = Day(required=False, label=gettext_lazy("Until"))
    target = forms.UUIDField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: object, actors: list[tuple[str, str]], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        # Who and what an address names is found, be it in the list or not.
        known = [*_actions()]
        flat = {value for _group, choices in known for value, _label in choices}
        asked, action = (str(self.data.get(name, "")) for name in ("actor", "action"))
        if asked and asked not in dict(actors):
            actors = [*actors, (asked, asked)]
        if action and action not in flat:
            known.append((_("Other"), [(action, action)]))
        self._choose("actor", [("", _("anybody")), *actors])
        self._choose("action", [("", _("anything")), *known])
        whenever = [(name, label) for name, (label, _days) in _PERIODS.items()]
        self._choose("period", [("", _("at any time")), *whenever])

    def _choose(self, name: str, choices: list[tuple[object, object]]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]

    def conditions(self, zone: ZoneInfo, today: date) -> dict[str, object]:
        """Write what is asked for as ``audit_reading.matching`` takes it."""
        said = self.cleaned_data if self.is_valid() else {}
        since, until = said.get("since"), said.get("until")
        if period := said.get("period"):
            first = today - _DAY * (_PERIODS[period][1] - 1)
            since = max(since, first) if since else first
        noun, _dot, done = (said.get("action") or "").partition(".")
        found = {
            "actor": said.get("actor") or None,
            "action": said.get("action") if done else None,
            "actions": [] if done or not noun else list(deeds.verbs_of(noun)),
            "target": said.get("target"),
            "since": datetime.combine(since, time(), zone).astimezone(UTC) if since else None,
            "until": datetime.combine(until + _DAY, time(), zone).astimezone(UTC)
            if until
            else None,
        }
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it is read: a sentence, and what it has changed."""

    row: AuditEvent
    sentence: SafeString
    changed: str


class Trail(Page):
    """``/organizations/<id>/audit``."""

    @page(TokenScope.AUDIT_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """List what was done, as far as it is asked for."""
        zone = ZoneInfo(visit.organization.timezone)
        today = timezone.now().astimezone(zone).date()
        with scope.tenant(visit.organization.pk):
            form = TrailForm(visit.request.GET, actors=_people())
            asked = form.conditions(zone, today)
            events = audit_reading.matching(**asked)  # type: ignore[arg-type]  # by name
            found = page_of(events, limit=ROWS, cursor=visit.request.GET.get("cursor"))
            named = targets.of(found.rows, visit.principal.scopes)
        return visit.show(
            "trail",
            entries=list(_told(found.rows, named)),
            next=found.next,
            form=form,
            target=asked.get("target"),
            is_narrowed=bool(asked) or bool(form.errors),
        )


def _told(events: Iterable[AuditEvent], named: Mapping[UUID, Target]) -> Iterator[Entry]:
    for event in events:
        yield Entry(event, _sentence(event, named.get(event.target_id)), fields.said(event))


def _sentence(event: AuditEvent, target: Target | None) -> SafeString:
    """Write an entry as a sentence; codes that have no words yet are shown as they are."""
    pattern = str(deeds.SENTENCES.get(event.verb) or f"%(who)s {event.verb} %(name)s")
    before, after = _ACTORS.get(event.actor_kind, "%(name)s"), target or Target("…", "")
    who = str(before) % {"name": unmarked(event)}
    name = format_html("<strong>{}</strong>", after.name)
    if after.address:
        name = format_html('<a href="{}">{}</a>', after.address, after.name)
    # Our own pattern is format_html's once its two places are named as that names them.
    return format_html(
        pattern.replace("{", "{{").replace("}", "}}") % {"who": "{who}", "name": "{name}"},
        who=who,
        name=name,
    )


def _actions() -> Iterator[tuple[object, list[tuple[str, object]]]]:
    """List what can be looked for, by what it is about: all of it, and each verb."""
    for noun, word in deeds.nouns():
        verbs = [(verb, deeds.said(verb)) for verb in deeds.verbs_of(noun)]
        everything = _("%(noun)s: everything") % {"noun": word}
        yield word, [(noun, everything), *verbs]


def _people() -> list[tuple[str, str]]:
    """List members by name, to choose from: their ids are those of who acted."""
    rows = Member.objects.order_by("person__name", "person__email").values_list(
        "person_id", "person__name", "person__email"
    )
    return [(str(pk), name or email) for pk, name, email in rows[:_MOST_PEOPLE]]
