"""The leak tripwire: secrets of ours in text that passes through are masked, and their owner told.

Nearly all text holds nothing, and must cost nearly nothing: every byte is mapped to "letter, digit,
+ or /", or "other", and one search for 32 in a row ends it. Only a run of exactly 32 that is not
plain hexadecimal (an MD5, a UUID) is a suspect; its fingerprint is then looked up. So base64 is no
suspect, and neither is a key that is glued to other letters: ``leaks`` finds those, at its leisure.
Our own tokens are found by prefix and checksum, without a database.

The policy. Masked are our own tokens, and Mistral keys of the organization whose text it is. A key
of *another* organization is not touched: who found it somewhere must not learn here that it is one;
its owner is told all the same. An alert is an audit event and an announcement, ``key.leaked`` or
``token.leaked``, in the organization that owns the secret, once a day for each secret and place. It
names the place, never the text.
"""

import hashlib
import re
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError, connection
from django.utils import timezone

from tenants.common import scope
from tenants.common.problems import Invalid
from tenants.common.secrets import Secret
from tenants.common.tokens import CHECKSUM_CHARACTERS, RANDOM_CHARACTERS, TokenKind, kind_of
from tenants.keys import custody
from tenants.keys.models import MistralKey
from tenants.mistral.masking import MASK
from tenants.organizations import audit, outbox
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization

log = structlog.get_logger(__name__)

ACTOR = Actor(kind="worker", id="keys.tripwire", name="leak tripwire")
KEY_LENGTH = 32
#: In one prompt: three times as many as a context has room for.
MOST_SUSPECTS = 50_000
#: Tokens in one text that are told; all are masked.
_MOST_TOLD = 100
_SHORTEST_SECRET = KEY_LENGTH
_WORD = (string.ascii_letters + string.digits + "+/").encode()
_CLASSES = bytes(0x61 if octet in _WORD else 0x20 for octet in range(256))
_LONG = b"a" * KEY_LENGTH
_LONGEST_ESCAPE = 5  # u00e8
_HEX = re.compile(rb"[0-9a-f]{32}|[0-9A-F]{32}")
_KINDS = "|".join(kind.value for kind in TokenKind).encode()
_BODY = RANDOM_CHARACTERS + CHECKSUM_CHARACTERS
_OURS = b"aim_"
_TOKEN = re.compile(rb"aim_(?:%b)_[0-9A-Za-z]{%d}" % (_KINDS, _BODY))
_LONGEST_TOKEN = len("aim__") + max(len(kind.value) for kind in TokenKind) + _BODY
#: Searched at once: a search does not let other threads run.
_WINDOW = 256 * 1024


class Place(StrEnum):
    """Where a secret was seen."""

    PROMPT = "gateway_prompt"
    ANSWER = "gateway_answer"
    API = "management_api"


@dataclass(frozen=True, slots=True)
class Suspect:
    """What may be a secret: a token of ours for certain, a Mistral key perhaps."""

    start: int
    stop: int
    token: TokenKind | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """A Mistral key that is registered here."""

    organization_id: UUID
    key_id: UUID


def suspects(text: bytes, most: int | None = None) -> list[Suspect]:
    """Find what may be a secret in a text or a JSON body; nearly always nothing, at once.

    Raises:
        Invalid: there are more than ``most``, counting what only has the length of one.
    """
    found = _tokens(text, most) if len(text) > _WINDOW or _OURS in text else []
    seen = len(found)
    for begin in range(0, len(text), _WINDOW):
        # One byte before tells what began there, and what begins in here can be seen to its end.
        ahead = begin - 1 if begin else 0
        end = begin + _WINDOW
        classes = text[ahead : end + KEY_LENGTH + _LONGEST_ESCAPE].translate(_CLASSES)
        start = classes.find(_LONG)
        while 0 <= start < end - ahead:
            stop = classes.find(b" ", start + KEY_LENGTH)
            stop = len(classes) if stop < 0 else stop
            if stop - start <= KEY_LENGTH + _LONGEST_ESCAPE and (start or not begin):
                seen += 1
                _refuse_more(seen, most)
                first = ahead + start + _escaped(text, ahead + start)
                octets = text[first : ahead + stop]
                if len(octets) == KEY_LENGTH and octets.isalnum() and not _HEX.fullmatch(octets):
                    found.append(Suspect(first, ahead + stop))
            start = classes.find(_LONG, stop)
    return found


def screen(
    text: bytes,
    found: Iterable[Suspect],
    *,
    seen_in: UUID | None,
    place: Place,
    is_too_late: bool = False,
) -> bytes:
    """Mask and report those of the suspects that are secrets; outside of any transaction.

    Args:
        text: where they were found.
        found: what ``suspects`` gave for it.
        seen_in: whose text it is.
        place: where it passed.
        is_too_late: the text was handed on already: report only.
    """
    spans: list[tuple[int, int]] = []
    keys: dict[bytes, list[Suspect]] = {}
    told: set[bytes] = set()
    for suspect in found:
        octets = text[suspect.start : suspect.stop]
        if suspect.token is None:
            keys.setdefault(octets, []).append(suspect)
        else:
            spans.append((suspect.start, suspect.stop))
            if octets not in told and len(told) < _MOST_TOLD:
                told.add(octets)
                _report_safely(
                    _report_token, octets, suspect.token, seen_in, place, not is_too_late
                )
    for octets, owners in _look_up_safely(keys).items():
        if any(owner.organization_id == seen_in for owner in owners):
            spans += [(one.start, one.stop) for one in keys[octets]]
        for owner in owners:
            masked = owner.organization_id == seen_in and not is_too_late
            _report_safely(_report_key, owner, octets, place, masked)
    return _masked(text, spans)


def screen_members(
    members: Mapping[str, Any], *, whose: Callable[[], UUID | None]
) -> dict[str, Any]:
    """Screen the texts of a request's checked members: names, descriptions, notes.

    Secrets among the members are where secrets belong; one that is repeated in a text is masked
    there although nobody has registered it yet.

    Args:
        members: of the request.
        whose: tells in which organization it acts; asked only when there is a suspect.
    """
    pasted = [one.reveal() for one in members.values() if isinstance(one, Secret)]
    # Also as people paste it: with white space, quotes or ``Bearer`` around it.
    secrets = [
        word.strip("\"'`")
        for one in pasted
        if isinstance(one, str)
        for word in one.split()
        if len(word) >= _SHORTEST_SECRET
    ]

    def screened(value: Any) -> Any:
        if isinstance(value, str):
            return _screened_text(value, secrets, whose)
        if isinstance(value, list):
            return [screened(part) for part in value]
        if isinstance(value, Mapping):
            return {name: screened(part) for name, part in value.items()}
        return value

    return {name: screened(value) for name, value in members.items()}


def _screened_text(value: str, secrets: list[str], whose: Callable[[], UUID | None]) -> str:
    if len(value) < _SHORTEST_SECRET:
        return value
    for secret in secrets:
        value = value.replace(secret, MASK)
    octets = value.encode()
    if not (found := suspects(octets)):
        return value
    return screen(octets, found, seen_in=whose(), place=Place.API).decode()


def _tokens(text: bytes, most: int | None) -> list[Suspect]:
    found = []
    seen = 0
    for start in range(0, len(text), _WINDOW):
        # A token that lies across the end of a window belongs to the one in which it begins.
        stop = start + _WINDOW + _LONGEST_TOKEN - 1
        if text.find(_OURS, start, stop) < 0:
            continue
        for match in _TOKEN.finditer(text, start, stop):
            if match.start() >= start + _WINDOW:
                break
            seen += 1
            _refuse_more(seen, most)
            kind = kind_of(match[0].decode("ascii"))
            if kind is not None:
                found.append(Suspect(match.start(), match.end(), kind))
    return found


def _refuse_more(seen: int, most: int | None) -> None:
    if most is not None and seen > most:
        raise Invalid(
            "too_many_secrets",
            f"The body has more than {most} pieces that look like keys or tokens: so many cannot"
            " be looked up. Take them out, or send it in parts.",
        )


def _escaped(text: bytes, start: int) -> int:
    """Tell how much of a run belongs to a JSON escape: the ``n`` of a line feed, say."""
    if text[start - 1 : start] != b"\\" or not start:
        return 0
    return _LONGEST_ESCAPE if text[start : start + 1] == b"u" else 1


def _look_up_safely(keys: Mapping[bytes, object]) -> dict[bytes, list[_Known]]:
    """Find out which suspects are keys; a database that does not answer is no reason to stop."""
    if not keys:
        return {}
    try:
        return _look_up(keys)
    except DatabaseError as error:
        log.warning("tripwire_blind", error=type(error).__name__)
        return {}


def _look_up(keys: Iterable[bytes]) -> dict[bytes, list[_Known]]:
    by_fingerprint = {
        custody.fingerprint(Secret(octets.decode("ascii"))): octets for octets in keys
    }
    known: dict[bytes, list[_Known]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT fingerprint, organization_id, key_id FROM keys_known(%s)",
            [list(by_fingerprint)],
        )
        for fingerprint, organization_id, key_id in cursor.fetchall():
            owners = known.setdefault(by_fingerprint[bytes(fingerprint)], [])
            owners.append(_Known(organization_id, key_id))
    return known


def _report_safely(report: Any, *facts: Any) -> None:
    try:
        report(*facts)
    except DatabaseError as error:
        log.error("tripwire_not_reported", error=type(error).__name__)  # noqa: TRY400 - a traceback could quote the text


def _report_key(owner: _Known, octets: bytes, place: Place, masked: bool) -> None:  # noqa: FBT001 - one of several facts
    with scope.tenant(owner.organization_id):
        key = MistralKey.objects.filter(pk=owner.key_id).first()
        if key is None:
            return
        facts = {
            "key_id": str(key.pk),
            "last4": octets[-4:].decode("ascii"),
            "status": key.status,
            "place": place,
            "masked": masked,
        }
        if _is_first(key.organization_id, "key.leaked", str(key.pk), facts, key.workspace_id):
            audit.record(
                actor=ACTOR, organization_id=key.organization_id, verb="key.leaked", target=key
            )
    log.warning("key_leaked", key_id=str(owner.key_id), place=place, masked=masked)


def _report_token(
    octets: bytes,
    kind: TokenKind,
    seen_in: UUID | None,
    place: Place,
    masked: bool,  # noqa: FBT001
) -> None:
    log.warning("token_leaked", kind=kind, place=place)
    if seen_in is None:
        return
    facts = {"kind": kind, "last4": octets[-4:].decode("ascii"), "place": place, "masked": masked}
    name = hashlib.sha256(octets).hexdigest()[:32]
    with scope.tenant(seen_in):
        if _is_first(seen_in, "token.leaked", name, facts, None):
            organization = Organization.objects.get(pk=seen_in)
            audit.record(
                actor=ACTOR, organization_id=seen_in, verb="token.leaked", target=organization
            )


def _is_first(
    organization_id: UUID, kind: str, name: str, facts: dict[str, Any], workspace_id: UUID | None
) -> bool:
    """Announce, once a day for each secret and place."""
    return outbox.announce(
        organization_id=organization_id,
        kind=kind,
        data=facts,
        workspace_id=workspace_id,
        once=f"{kind}:{name}:{facts['place']}:{timezone.now():%Y-%m-%d}",
    )


def _masked(text: bytes, spans: list[tuple[int, int]]) -> bytes:
    kept: list[bytes] = []
    end = 0
    for start, stop in sorted(spans):
        kept += [text[end:start], MASK.encode()]
        end = stop
    return b"".join([*kept, text[end:]])
