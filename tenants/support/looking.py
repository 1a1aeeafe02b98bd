"""One box that takes anything and says whose it is: ids and names of organizations, no more.

It answers before any session, by a definer function, and each look-up is written to the platform's
log. What was typed is kept only when it cannot be a secret.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.db import OperationalError, connection, transaction
from django.utils.translation import gettext as _
from psycopg.errors import QueryCanceled

from tenants.assistance.services import record_platform_event
from tenants.assistance.staff import Staff
from tenants.assistance.visiting import role_missing
from tenants.common import scope, tokens
from tenants.common.problems import Unavailable
from tenants.common.text import normalise_email
from tenants.mistral.masking import mask_key_shaped

MOST = 20
_PATIENCE = "5s"
_LONGEST = 254
_LAST_FOUR = re.compile(r"[A-Za-z0-9]{4}")
_TRACE = re.compile(r"(?=.*\d)[A-Za-z0-9_-]{16,64}")
_OURS = "aim_"


class Kind(StrEnum):
    """What a term looks like."""

    EMAIL = "email"
    ID = "id"
    LAST_FOUR = "last_four"
    TOKEN = "token"  # noqa: S105 - a kind of term
    TRACE = "trace"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Term:
    """What was typed, read: ``text`` is what is looked for, ``shown`` what may be kept of it."""

    kind: Kind
    text: str
    shown: str
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Found:
    """An organization that something belongs to; ``matched`` names the kind of thing."""

    organization_id: UUID
    name: str
    slug: str
    status: str
    matched: str


def read(typed: str) -> Term | None:
    """Tell what a term looks like; None for nothing at all."""
    text = " ".join(typed.replace("\x00", "").split())[:_LONGEST]
    if not text:
        return None
    if text.startswith(_OURS):
        last = text[-tokens.HINT_CHARACTERS :]
        return Term(Kind.TOKEN, last, f"{_OURS}…{last}", tokens.digest(text))
    if mask_key_shaped(text) != text:
        # A whole key was pasted: its last four find it, and nothing else of it is used.
        return Term(Kind.LAST_FOUR, text[-4:], f"…{text[-4:]}")
    kind, text = _plain(text)
    return Term(kind, text, text)


def _plain(text: str) -> tuple[Kind, str]:
    """Tell what a term looks like that is no secret, and write it as it is stored."""
    if address := normalise_email(text):
        return Kind.EMAIL, address
    try:
        return Kind.ID, str(UUID(text))
    except ValueError:
        pass
    if _LAST_FOUR.fullmatch(text):
        return Kind.LAST_FOUR, text
    return (Kind.TRACE if _TRACE.fullmatch(text) else Kind.TEXT), text


def look_up(*, staff: Staff, term: Term) -> list[Found]:
    """Find which organizations something belongs to, at most ``MOST``.

    Raises:
        Forbidden: ``staff_role_missing``.
        Unavailable: ``lookup_too_wide``.
    """
    if not staff.may("lookup:use"):
        raise role_missing()
    with scope.platform():
        found = _find(term)
        record_platform_event(
            staff=staff,
            verb="lookup.made",
            detail=f"{term.kind.value}: {term.shown}"[:200],
            found=len(found),
        )
    return found


def _find(term: Term) -> list[Found]:
    """Ask; one question never keeps the database busy for long.

    Raises:
        Unavailable: ``lookup_too_wide``.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [_PATIENCE])
            cursor.execute(
                "SELECT * FROM support_look_up(%s, %s, %s, %s, %s)",
                [term.kind.value, term.text, _pattern(term.text), term.digest, MOST],
            )
            return [Found(*row) for row in cursor.fetchall()]
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        detail = _("This takes too long to find. Look for the organization by another name.")
        raise Unavailable("lookup_too_wide", detail) from None


def _pattern(text: str) -> str:
    escaped = re.sub(r"([\\%_])", r"\\\1", text)
    return f"%{escaped}%"
