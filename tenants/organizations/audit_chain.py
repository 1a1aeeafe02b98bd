"""Proves that an organization's audit trail is whole: nothing edited, removed, moved or cut off.

The database links every event to the one before when its transaction commits (migration 0007): a
link's hash covers the event and the hash before it. Here the same hashes are computed once more.
What somebody who owns the database could make consistent again, links and head included, is found
by *anchors*: places of the chain that were written down elsewhere (``audit_anchors``).
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from tenants.common import scope
from tenants.organizations.models import AuditHead

_VERSION = "aim.audit.1"
_PAGE = 2_000

_LINKS = """
SELECT l.sequence, l.event_id, l.hash, e.id, e.created_at, e.actor_kind, e.actor_id, e.actor_name,
       e.verb, e.target_kind, e.target_id, e.request_id, e.changed
FROM organizations_auditlink l
LEFT JOIN organizations_auditevent e
       ON e.organization_id = l.organization_id AND e.id = l.event_id
WHERE l.organization_id = %s AND l.sequence > %s ORDER BY l.sequence LIMIT %s
"""
_LOOSE = """
SELECT e.id FROM organizations_auditevent e
WHERE e.organization_id = %s AND NOT EXISTS (
    SELECT 1 FROM organizations_auditlink l
    WHERE l.organization_id = e.organization_id AND l.event_id = e.id
) ORDER BY e.id
"""


class Anchor(NamedTuple):
    """A place of a chain that was written down outside of the database."""

    organization_id: UUID
    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written.

    Attributes:
        kind: ``edited`` (or moved), ``event_missing``, ``link_missing``, ``event_unlinked``,
            ``cut_off``, ``head_missing``, ``head_moved`` or ``anchor_broken``.
        sequence: the place in the chain; None for an event that has none.
        event_id: the event concerned, where one is known.
    """

    kind: str
    sequence: int | None
    event_id: UUID | None = None


class _Linked(NamedTuple):
    """A link and its event; the event's columns are None when it is not there."""

    sequence: int
    linked_id: UUID
    hash: str
    event_id: UUID | None
    created_at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    verb: str
    target_kind: str
    target_id: UUID
    request_id: str
    changed: list[str]


@dataclass(slots=True)
class Verdict:
    """What was found of one organization's chain.

    Attributes:
        events: how many links were read.
        findings: empty when the chain holds.
        anchored: the farthest place that an anchor vouches for; 0 for none.
    """

    events: int
    findings: list[Finding]
    anchored: int


def hash_of(previous: str, organization_id: UUID, linked: Any) -> str:
    """Compute a link's hash: SHA-256, in hexadecimal, of netstrings in UTF-8.

    A netstring is ``<bytes>:<text>,``, so that no two events are the same text. The order: version,
    hash before, organization, place, event, instant (UTC, microseconds), actor's kind, id and name,
    verb, target's kind and id, request, and each changed member.
    """
    instant: datetime = linked.created_at.astimezone(UTC)
    parts = [
        _VERSION,
        previous,
        str(organization_id),
        str(linked.sequence),
        str(linked.event_id),
        instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        linked.actor_kind,
        linked.actor_id,
        linked.actor_name,
        linked.verb,
        linked.target_kind,
        str(linked.target_id),
        linked.request_id,
        *linked.changed,
    ]
    encoded = [part.encode() for part in parts]
    return hashlib.sha256(b"".join(b"%d:%s," % (len(part), part) for part in encoded)).hexdigest()


def verify(organization_id: UUID, anchors: Iterable[Anchor] = ()) -> Verdict:
    """Read one organization's chain from its first link to its head, in one snapshot.

    Args:
        organization_id: whose.
        anchors: places of this chain that were written down elsewhere.
    """
    vouched = {anchor.sequence: anchor.hash for anchor in anchors}
    findings: list[Finding] = []
    expected, previous, events, anchored = 1, "", 0, 0
    with scope.tenant(organization_id, snapshot=True):
        for linked in _links(organization_id):
            if linked.sequence != expected:
                findings.append(Finding("link_missing", expected))
            if linked.event_id is None:
                findings.append(Finding("event_missing", linked.sequence, linked.linked_id))
            # A link that is gone is told once, and not again by the one that followed it.
            elif linked.sequence == expected and (
                hash_of(previous, organization_id, linked) != linked.hash
            ):
                findings.append(Finding("edited", linked.sequence, linked.event_id))
            if (claimed := vouched.pop(linked.sequence, None)) is not None:
                anchored = linked.sequence
                if claimed != linked.hash:
                    findings.append(Finding("anchor_broken", linked.sequence, linked.linked_id))
            expected, previous, events = linked.sequence + 1, linked.hash, events + 1
        findings += _check_head(expected - 1, previous)
        findings += [Finding("event_unlinked", None, event_id) for event_id in _loose()]
    findings += [Finding("cut_off", sequence) for sequence in sorted(vouched)]
    return Verdict(events, findings, anchored)


def head_of() -> AuditHead | None:
    """Read the head of the chain, inside the organization's scope; None before the first event."""
    return AuditHead.objects.first()


def _check_head(sequence: int, last: str) -> list[Finding]:
    head = head_of()
    if head is None:
        return [Finding("head_missing", sequence)]
    if head.sequence > sequence:
        return [Finding("cut_off", head.sequence)]
    if (head.sequence, head.hash) != (sequence, last):
        return [Finding("head_moved", head.sequence)]
    return []


def _links(organization_id: UUID) -> Iterator[_Linked]:
    last = 0
    while True:
        page = _rows(_LINKS, organization_id, last, _PAGE)
        yield from (_Linked(*row) for row in page)
        if len(page) < _PAGE:
            return
        last = page[-1][0]


def _loose() -> list[UUID]:
    return [row[0] for row in _rows(_LOOSE, scope.current())]


def _rows(sql: str, *values: Any) -> Sequence[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
    return rows
