"""Mails what is due to members, one letter each: claims, sends with no transaction open, commits.

A worker that dies loses nothing: its lease ends and another one sends. A letter that was sent
before the worker could say so is sent again, with the same ``Message-ID``.
"""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.db import connection
from django.db.models.functions import Now

from tenants.common import scope
from tenants.notices import letters, muting
from tenants.notices.kinds import MUTABLE
from tenants.notices.models import Notice, NoticeStatus
from tenants.notices.timing import Timing, spread, timing
from tenants.organizations.models import Organization
from tenants.people import mail
from tenants.people.mail import Letter

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A letter, and to whom; no letter where there is nothing to say any more."""

    notice: Notice
    letter: Letter | None
    to: str = ""


def mail_due() -> int:
    """Send what is due, until nothing is or the stretch is over; tell how many letters."""
    times = timing()
    ends = time.monotonic() + times.stretch
    made = 0
    while time.monotonic() < ends:
        claim = uuid4()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT organization_id, notice_id FROM notices_take_letters(%s, %s, %s)",
                [claim, times.letters, times.lease],
            )
            taken: list[tuple[UUID, UUID]] = cursor.fetchall()
        if not taken:
            break
        for organization_id, notice_id in taken:
            made += _send(organization_id, notice_id, claim, times)
    return made


def _send(organization_id: UUID, notice_id: UUID, claim: UUID, times: Timing) -> bool:
    with scope.tenant(organization_id):
        rows = Notice.objects.filter(pk=notice_id, claim=claim)
        row = rows.select_related("announcement", "member__person").first()
        if row is None:
            return False
        ready = _written(row)
    is_sent = ready.letter is not None and mail.send(
        ready.letter, to=ready.to, purpose=row.announcement.kind, message_id=row.pk.hex
    )
    with scope.tenant(organization_id):
        mine = Notice.objects.filter(pk=notice_id, claim=claim)
        mine.update(
            **_after(row, times, is_sent=is_sent, is_over=ready.letter is None),
            attempts=row.attempts + 1,
            claim=None,
            held_until=None,
        )
    return is_sent


def _after(row: Notice, times: Timing, *, is_sent: bool, is_over: bool) -> dict[str, Any]:
    if is_sent:
        return {"status": NoticeStatus.SENT, "sent_at": Now(), "due_at": None}
    if is_over or row.attempts >= len(times.mail_waits):
        return {"status": NoticeStatus.FAILED, "due_at": None}
    return {"due_at": Now() + timedelta(seconds=spread(times.mail_waits[row.attempts]))}


def _written(row: Notice) -> _Ready:
    organization = Organization.objects.get(pk=row.organization_id)
    if row.member is None:
        to, language = organization.owner_email, organization.locale
    else:
        person = row.member.person
        to, language = (person.email if person.is_active else ""), person.locale
    if not to:
        return _Ready(row, None)
    try:
        letter = letters.write(
            row.announcement,
            organization,
            language=language,
            unsubscribe=_unsubscribe(row),
            is_owner=row.member is None,
        )
    except (KeyError, TypeError, ValueError, ArithmeticError):
        # Announced by another version: one letter must not keep the others from going out.
        log.exception("letter_not_written", kind=row.announcement.kind)
        return _Ready(row, None)
    return _Ready(row, letter, to)


def _unsubscribe(row: Notice) -> str:
    kind = row.announcement.kind
    return muting.link_of(row.member, kind) if row.member and kind in MUTABLE else ""
