"""The metered calls one by one, chosen like the groups of a report: every amount leads to them.

A call's day and month are those that the roll-ups gave it: of the zone that its organization had
then. Nothing here knows a prompt or an answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Q, Sum

from tenants.common import scope
from tenants.common.months import Month
from tenants.organizations.models import FormerTimeZone, Organization, Workspace
from tenants.registry.models import RegisteredModel
from tenants.spend.calls import Outcome, instant_of
from tenants.spend.models import Rollup, SpendLine, UsageEvent

MOST = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT_BYTES = 8
_EVER = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))
#: Zones differ by at most 26 hours: room around a month or day for zones that were changed.
_ROOM = timedelta(days=2)
#: An id is of the millisecond, an event of the microsecond.
_SKEW = timedelta(seconds=1)
_SAYS_WHEN = 7


def find_call(organization_id: UUID, call_id: UUID) -> UsageEvent | None:
    """Find the event of one call, inside the organization's scope; corrections are others."""
    rows = UsageEvent.objects.filter(organization=organization_id)
    if call_id.version == _SAYS_WHEN:
        # The id says when it was made: a day of the ledger is read, not all of it.
        at = instant_of(call_id)
        rows = rows.filter(occurred_at__range=(at - _SKEW, at + _SKEW))
    return rows.filter(id=call_id).first()


@dataclass(frozen=True, slots=True)
class Choice:
    """Which calls; what is None is not asked for.

    ``mistral_model`` is the snapshot that answered, else what was asked for, as in reports.
    """

    month: Month | None = None
    day: date | None = None
    category: str | None = None
    mistral_model: str | None = None
    key_id: UUID | None = None
    source: str | None = None
    message_id: str | None = None
    is_unpriced: bool | None = None
    went_wrong: bool | None = None


EVERYTHING = Choice()


@dataclass(frozen=True, slots=True)
class CallsPage:
    """Some calls, newest first, and where the next page begins (None at the end)."""

    results: tuple[UsageEvent, ...]
    next: tuple[datetime, UUID] | None


def calls(
    *,
    organization: Organization,
    workspace: Workspace | None = None,
    model: RegisteredModel | None = None,
    choice: Choice = EVERYTHING,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> CallsPage:
    """List metered calls and their corrections, newest first.

    Args:
        organization: the tenant.
        workspace: only its calls.
        model: only its calls.
        choice: which of them.
        before: ``next`` of the page before.
        limit: rows a page, at most 200.
    """
    most = max(1, min(limit, MOST))
    with scope.tenant(organization.pk):
        events = UsageEvent.objects.filter(_chosen(choice, organization), organization=organization)
        if workspace is not None:
            events = events.filter(workspace_id=workspace.pk)
        if model is not None:
            events = events.filter(model_id=model.pk)
        if before is not None:
            events = events.filter(pk__lt=(organization.pk, *before))
        since = _since(organization, workspace, model, choice, before, most + 1)
        if since is not None:
            events = events.filter(occurred_at__gte=since)
        found = list(events.order_by("-occurred_at", "-id")[: most + 1])
    results = tuple(found[:most])
    last = results[-1] if len(found) > most else None
    return CallsPage(results, (last.occurred_at, last.id) if last else None)


def count_wrong(
    organization: Organization, workspace: Workspace | None, *, since: datetime, most: int
) -> int:
    """Count the newest calls that went wrong, up to so many, inside the organization's scope."""
    rows = UsageEvent.objects.filter(organization=organization, occurred_at__gte=since)
    rows = rows.filter(workspace_id=workspace.pk) if workspace else rows
    return rows.exclude(outcome=Outcome.COMPLETED.value).order_by()[:most].count()


def _since(  # noqa: PLR0917 - what calls() was asked
    organization: Organization,
    workspace: Workspace | None,
    model: RegisteredModel | None,
    choice: Choice,
    before: tuple[datetime, UUID] | None,
    wanted: int,
) -> datetime | None:
    """Tell from the roll-ups how far back the newest calls that match reach, inside the scope.

    Without this, a search for what is rare or not there at all would read a whole month of calls.
    None where the roll-ups cannot tell: then nothing is left out.
    """
    month = choice.month
    lines: dict[str, Any] = {
        "workspace_id": workspace and workspace.pk,
        "model_id": model and model.pk,
        "day": choice.day,
        "category": choice.category,
        "mistral_model": choice.mistral_model,
        "key_id": choice.key_id,
        "source": choice.source,
    }
    lines = {name: value for name, value in lines.items() if value is not None}
    # Roll-ups do not know how calls ended, have no messages, and count as priced what was later.
    is_unknown = choice.message_id is not None or choice.went_wrong
    if month is None or not lines or is_unknown or choice.is_unpriced is not None:
        return None
    zone = ZoneInfo(organization.timezone)
    room = _ROOM if FormerTimeZone.objects.exists() else timedelta()
    until = before and before[0].astimezone(zone).date() + _ROOM
    # What is not rolled up yet can only bring the answer nearer; without it one reads too much.
    counted = _counted(Rollup, organization, month, lines, until) or _counted(
        SpendLine, organization, month, lines, until
    )
    # A day that may lie beyond the cursor in part counts for nothing.
    whole = before and before[0].astimezone(zone).date() - room
    known = 0
    for row in counted:
        known += int(row["number"]) if whole is None or row["day"] < whole else 0
        if known >= wanted:
            if row["day"] == month.first_day:
                return None
            return datetime.combine(row["day"], time(), zone) - room
    return None if counted else month.ends_at + _ROOM


def _counted(
    kind: type[Rollup | SpendLine],
    organization: Organization,
    month: Month,
    chosen: Mapping[str, Any],
    until: date | None,
) -> list[Any]:
    """Count the events of a month's days, newest first."""
    days = kind.objects.filter(organization=organization, period=month.first_day, **chosen)
    if until is not None:
        days = days.filter(day__lte=until)
    return list(days.order_by().values("day").annotate(number=Sum("events")).order_by("-day"))


def place_bytes(occurred_at: datetime, event_id: UUID) -> bytes:
    """Write where a page begins, for a cursor."""
    since = occurred_at - _EPOCH
    return (since // timedelta(microseconds=1)).to_bytes(_INSTANT_BYTES) + event_id.bytes


def read_place(place: bytes) -> tuple[datetime, UUID]:
    """Read where a page begins.

    Raises:
        ValueError: the bytes are none of ours.
    """
    instant, event_id = place[:_INSTANT_BYTES], place[_INSTANT_BYTES:]
    return _EPOCH + timedelta(microseconds=int.from_bytes(instant)), UUID(bytes=event_id)


def _chosen(choice: Choice, organization: Organization) -> Q:
    chosen = Q()
    named = {
        "category": choice.category,
        "key_id": choice.key_id,
        "source": choice.source,
        "message_id": choice.message_id,
    }
    chosen &= Q(**{name: value for name, value in named.items() if value is not None})
    if choice.is_unpriced is not None:
        chosen &= Q(cost__isnull=choice.is_unpriced)
    if choice.went_wrong:
        chosen &= ~Q(outcome=Outcome.COMPLETED.value)
    if choice.mistral_model is not None:
        chosen &= Q(answered_model=choice.mistral_model) | Q(
            answered_model="", requested_model=choice.mistral_model
        )
    month = choice.month
    if choice.day is not None:
        month = month or Month(choice.day.year, choice.day.month, organization.timezone)
        chosen &= _on(choice.day, month, organization)
    if month is not None:
        chosen &= Q(
            period=month.first_day,
            occurred_at__gte=month.starts_at - _ROOM,
            occurred_at__lt=month.ends_at + _ROOM,
        )
    return chosen


def _on(day: date, month: Month, organization: Organization) -> Q:
    """Say when a day of a budget month was, in whatever zone the organization had then.

    The first and the last day of a month take what another zone would have put outside of it.
    """
    chosen = Q(pk__in=[])
    starts, (_always, for_ever) = _EVER[0], _EVER
    spans = [
        *FormerTimeZone.objects.order_by("until").values_list("timezone", "until"),
        (organization.timezone, for_ever),
    ]
    for zone, ends in spans:
        first, last = _bounds(day, zone)
        if day == month.first_day:
            first = _EVER[0]
        if day + timedelta(days=1) == month.next().first_day:
            last = for_ever
        first, last = max(first, starts), min(last, ends)
        if first < last:
            chosen |= Q(occurred_at__gte=first, occurred_at__lt=last)
        starts = ends
    return chosen


def _bounds(day: date, zone: str) -> tuple[datetime, datetime]:
    def midnight(of: date) -> datetime:
        return datetime.combine(of, time.min, ZoneInfo(zone)).astimezone(UTC)

    return midnight(day), midnight(day + timedelta(days=1))
