"""The audit log: who did what, newest first; by who, what, to what and when."""

from datetime import UTC, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpResponse
from django.utils.translation import gettext_lazy

from tenants.access.models import TokenScope
from tenants.access.pagination import page as page_of
from tenants.common import scope
from tenants.console.door import Page, Visit, page
from tenants.console.forms import Day, HouseForm
from tenants.organizations import audit_reading
from tenants.organizations.models import Member

ROWS = 50
_MOST_PEOPLE = 500
_DAY = timedelta(days=1)


class TrailForm(HouseForm):
    """What is looked for; all conditions hold together."""

    actor = forms.ChoiceField(required=False, label=gettext_lazy("Who"))
    action = forms.RegexField(
        r"^[a-z_.]+$",
        max_length=64,
        required=False,
        label=gettext_lazy("What"),
        widget=forms.TextInput(attrs={"placeholder": "key.registered", "spellcheck": "false"}),
    )
    target = forms.UUIDField(required=False, label=gettext_lazy("To what (id)"))
    since = Day(required=False, label=gettext_lazy("From"))
    until = Day(required=False, label=gettext_lazy("Until"))

    def __init__(self, *args: object, actors: list[tuple[str, str]], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        asked = str(self.data.get("actor", ""))
        if asked and asked not in dict(actors):
            actors = [*actors, (asked, asked)]
        self.fields["actor"].choices = [("", gettext_lazy("anybody")), *actors]  # type: ignore[attr-defined]


class Trail(Page):
    """``/organizations/<id>/audit``."""

    @page(TokenScope.AUDIT_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """List what was done, as far as it is asked for."""
        zone = ZoneInfo(visit.organization.timezone)
        with scope.tenant(visit.organization.pk):
            form = TrailForm(visit.request.GET, actors=_people())
            said = form.cleaned_data if form.is_valid() else {}
            since, until = said.get("since"), said.get("until")
            events = audit_reading.matching(
                actor=said.get("actor") or None,
                action=said.get("action") or None,
                target=said.get("target"),
                since=datetime.combine(since, time(), zone).astimezone(UTC) if since else None,
                until=datetime.combine(until + _DAY, time(), zone).astimezone(UTC)
                if until
                else None,
            )
            found = page_of(events, limit=ROWS, cursor=visit.request.GET.get("cursor"))
        return visit.show(
            "trail",
            events=found.rows,
            next=found.next,
            form=form,
            is_narrowed=any(said.values()) or bool(form.errors),
        )


def _people() -> list[tuple[str, str]]:
    """List members by name, to choose from: their ids are those of who acted."""
    rows = Member.objects.order_by("person__name", "person__email").values_list(
        "person_id", "person__name", "person__email"
    )
    return [(str(pk), name or email) for pk, name, email in rows[:_MOST_PEOPLE]]
