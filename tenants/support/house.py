"""What an organization has, list by list: keys, models, calls, deliveries and the audit log."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Prefetch, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from tenants.access.pagination import Page, make_cursor, page, read_cursor
from tenants.assistance.visiting import Visit
from tenants.common.models import Row
from tenants.keys.models import MistralKey
from tenants.organizations.models import AuditEvent
from tenants.registry.models import RegisteredModel
from tenants.spend.calls import Outcome
from tenants.spend.models import UsageEvent
from tenants.support import tables, words
from tenants.support.lists import Choices, Filter, Listing, listed
from tenants.support.pages import Button

#: What went wrong, whoever's fault it was.
SPOILT = "spoilt"


def key_rows() -> QuerySet[MistralKey]:
    """Keys that can be shown: no sealed bytes, no fingerprint.

    Workspaces are read apart: joined, PostgreSQL would read all keys of all workspaces and sort
    them, as it cannot know how many rows are behind the wall.
    """
    return MistralKey.objects.prefetch_related("workspace").only(*tables.KEY_COLUMNS)


def model_rows() -> QuerySet[RegisteredModel]:
    """Models that were not deleted, with all that their status depends on; read apart, as keys."""
    keys = MistralKey.objects.defer("sealed", "fingerprint")
    rows = RegisteredModel.objects.filter(retired_at=None)
    return rows.prefetch_related("organization", "workspace", Prefetch("key", keys))


def stop_buttons(visit: Visit, rows: Sequence[RegisteredModel]) -> list[Button]:
    """Verbs on models: unblock, replace the token, stop all tokens."""
    ids = visit.organization.pk
    verbs = [
        ("model:unblock", _("Unblock %(name)s"), "admin:model_unblock", False),
        ("token:rotate", _("Replace the token of %(name)s in a day"), "admin:model_rotate", True),
        ("model:stop", _("Stop the tokens of %(name)s"), "admin:model_stop", True),
    ]
    return [
        Button(said % {"name": row.name}, reverse(name, args=[ids, row.pk]), is_grave=is_grave)
        for row in rows
        for capability, said, name, is_grave in verbs
        if visit.may(capability) and (name != "admin:model_unblock" or tables.is_blocked(row))
    ]


def _by_id[M: Row](_visit: Visit, rows: QuerySet[M], limit: int, cursor: str | None) -> Page[M]:
    return page(rows, limit=limit, cursor=cursor)


def _by_instant(
    visit: Visit, rows: QuerySet[UsageEvent], limit: int, cursor: str | None
) -> Page[UsageEvent]:
    """Read calls by their instant and id: the ledger's own order."""
    if cursor is not None:
        at, last = read_cursor(cursor, _place)
        rows = rows.filter(pk__lt=(visit.organization.pk, at, last))
    found = list(rows[: limit + 1])
    more = len(found) > limit
    shown = found[:limit]
    return Page(shown, make_cursor(_written(shown[-1])) if more else None)


def _written(event: UsageEvent) -> bytes:
    return event.occurred_at.isoformat().encode() + b" " + event.id.bytes


def _place(place: bytes) -> tuple[datetime, UUID]:
    at, _space, last = place.partition(b" ")
    return datetime.fromisoformat(at.decode()), UUID(bytes=last)


def _statuses() -> Choices:
    return words.menu(words.KEYS)


def _outcomes() -> Choices:
    return [(SPOILT, _("all that went wrong")), *words.menu(words.OUTCOMES)]


def _narrow_outcome(rows: QuerySet[UsageEvent], choice: str) -> QuerySet[UsageEvent]:
    if choice == SPOILT:
        return rows.exclude(outcome=Outcome.COMPLETED.value)
    return rows.filter(outcome=choice)


def _narrow_noun(rows: QuerySet[AuditEvent], choice: str) -> QuerySet[AuditEvent]:
    return rows.filter(verb__startswith=f"{choice}.")


KEYS = listed(
    Listing(
        "keys",
        lambda: _("Keys"),
        lambda _visit: key_rows(),
        _by_id,
        tables.key_headers,
        tables.keys,
        tables.key_buttons,
        [
            Filter(
                "status",
                lambda: _("Status"),
                _statuses,
                lambda rows, choice: rows.filter(status=choice),
            )
        ],
    )
)
MODELS = listed(
    Listing(
        "models",
        lambda: _("Models"),
        lambda _visit: model_rows(),
        _by_id,
        tables.model_headers,
        tables.models,
        stop_buttons,
        [
            Filter(
                "key_status",
                lambda: _("Status of the key"),
                _statuses,
                lambda rows, choice: rows.filter(key__status=choice),
            )
        ],
    )
)
CALLS = listed(
    Listing(
        "calls",
        lambda: _("Calls"),
        lambda visit: UsageEvent.objects.filter(organization=visit.organization),
        _by_instant,
        tables.call_headers,
        tables.calls,
        filters=[
            Filter("outcome", lambda: _("Outcome"), _outcomes, _narrow_outcome),
        ],
    )
)
AUDIT = listed(
    Listing(
        "audit",
        lambda: _("Audit log"),
        lambda _visit: AuditEvent.objects.all(),
        _by_id,
        tables.event_headers,
        tables.events,
        filters=[
            Filter(
                "actor",
                lambda: _("Who"),
                lambda: words.menu(words.ACTORS),
                lambda rows, choice: rows.filter(actor_kind=choice),
            ),
            Filter(
                "verb",
                lambda: _("What"),
                words.verbs,
                lambda rows, choice: rows.filter(verb=choice),
            ),
            Filter("noun", lambda: _("To what"), words.nouns, _narrow_noun),
        ],
    )
)
