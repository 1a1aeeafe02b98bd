"""Carries a POST out once per ``Idempotency-Key``, however often and at once it is sent.

The key is *claimed* with a lease, the request runs, its answer is kept for a day and given again to
whoever repeats the request with the same token. A process that dies leaves a claim whose lease
runs out: the audit chain then tells whether the request was carried out. If it was, its answer is
lost and the repetition is refused; if not, the repetition runs.

Invalid   422 idempotency_key_malformed   not 1 to 255 visible ASCII characters
          422 idempotency_key_reused      the same key came with another request before
Conflict  409 idempotency_in_progress     the first request is still running
          409 idempotency_answer_lost     it was carried out; look at what it made
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, NoReturn
from uuid import UUID

import orjson
import structlog
from django.db import DatabaseError, connection
from django.http import HttpResponse
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from rest_framework.request import Request

from tenants.access.authentication import Principal, principal_of
from tenants.access.models import PlatformRequest, TenantRequest
from tenants.common import scope
from tenants.common.models import least_id, new_id
from tenants.common.problems import Conflict, Invalid, Unavailable
from tenants.common.secrets import Secret
from tenants.organizations import data_keys

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
LEASE = timedelta(seconds=60)
KEPT = timedelta(hours=24)
_SKEW = timedelta(minutes=5)
_VISIBLE_ASCII = re.compile(r"[!-~]{1,255}")
_SLOT = "idempotent-answer"
_NOT_KEPT = frozenset({409, 412, 429})
_SERVER_ERROR = 500

log = structlog.get_logger(__name__)

type _Row = PlatformRequest | TenantRequest


@dataclass(frozen=True, slots=True)
class _Platform:
    """Where requests lie that belong to no organization yet; their answers hold no secrets."""

    @property
    def own(self) -> dict[str, Any]:
        return {}

    @property
    def model(self) -> type[PlatformRequest]:
        return PlatformRequest

    def open(self) -> AbstractContextManager[None]:
        return scope.platform()

    def close_box(self, row_id: UUID, plain: Secret[str]) -> dict[str, Any]:
        return {"body": plain.reveal().encode()}

    def open_box(self, row: Any) -> Secret[str]:
        return Secret(bytes(row.body).decode())


@dataclass(frozen=True, slots=True)
class _Tenant:
    """Where an organization's requests lie; their answers are sealed with its data key."""

    organization_id: UUID

    @property
    def own(self) -> dict[str, Any]:
        return {"organization_id": self.organization_id}

    @property
    def model(self) -> type[TenantRequest]:
        return TenantRequest

    def open(self) -> AbstractContextManager[None]:
        return scope.tenant(self.organization_id)

    def close_box(self, row_id: UUID, plain: Secret[str]) -> dict[str, Any]:
        key = data_keys.newest(self.organization_id)
        place = replace(key.place, row=row_id, slot=_SLOT)
        sealed = data_keys.seal(plain, key=key, place=place)
        return {"body": sealed, "data_key_version": key.version}

    def open_box(self, row: Any) -> Secret[str]:
        key = data_keys.of_version(self.organization_id, row.data_key_version)
        place = replace(key.place, row=row.id, slot=_SLOT)
        return data_keys.unseal(bytes(row.body), key=key, place=place)


type _Shelf = _Platform | _Tenant


def once(
    request: Request, organization_id: UUID | None, work: Callable[[], HttpResponse]
) -> HttpResponse:
    """Carry out a POST, or give the answer it was given before.

    Args:
        request: with its body read and its sender known.
        organization_id: in whose organization it acts; None when in no one's yet.
        work: gives a finished answer, also for refusals.

    Raises:
        Invalid, Conflict: as the module's text says; nothing was done.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return work()
    if not _VISIBLE_ASCII.fullmatch(key):
        detail = _("The header Idempotency-Key takes 1 to 255 visible ASCII characters.")
        raise Invalid("idempotency_key_malformed", detail)
    shelf = _Tenant(organization_id) if organization_id else _Platform()
    claim = _new_row(shelf, principal_of(request), key, _fingerprint(request))
    with shelf.open():
        earlier = _claim(shelf, claim)
    if earlier is not None:
        return earlier
    response = work()
    try:
        with shelf.open():
            _settle(shelf, claim, response)
    except (DatabaseError, data_keys.OpeningError, Unavailable) as error:
        # What was done is done: the caller is told so, and the claim runs out by itself.
        log.warning("idempotent_answer_not_kept", error=type(error).__name__)
    return response


def sweep() -> int:
    """Forget the requests of more than a day ago, in all organizations; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT access_sweep_requests()")
        swept: int = cursor.fetchone()[0]
    return swept


def _new_row(shelf: _Shelf, principal: Principal, key: str, fingerprint: bytes) -> _Row:
    return shelf.model(
        token_id=principal.token_id,
        key=key,
        fingerprint=fingerprint,
        request_id=principal.request_id,
        claim=new_id(),
        claimed_until=timezone.now() + LEASE,
        **shelf.own,
    )


def _fingerprint(request: Request) -> bytes:
    """Recognise the same request without keeping it: its body may hold a Mistral key."""
    body = orjson.dumps(request.data, option=orjson.OPT_SORT_KEYS)
    whole = b"\0".join(((request.method or "").encode(), request.get_full_path().encode(), body))
    return salted_hmac("aim.idempotency", whole, algorithm="sha256").digest()


def _claim(shelf: _Shelf, fresh: _Row) -> HttpResponse | None:
    """Make the key ours, or find the answer it led to; None when it is ours to work on."""
    rows: Any = shelf.model.objects
    rows.bulk_create([fresh], ignore_conflicts=True)
    row = rows.filter(token_id=fresh.token_id, key=fresh.key, **shelf.own).first()
    if row is None:
        _refuse_running()
    if row.claim == fresh.claim:
        return None
    now = timezone.now()
    if row.created_at < now - KEPT:
        _take_over(rows, row, fresh, created_at=now, fingerprint=fresh.fingerprint, status=None)
        return None
    if bytes(row.fingerprint) != fresh.fingerprint:
        detail = _("This Idempotency-Key came with another request before. Use a new one.")
        raise Invalid("idempotency_key_reused", detail)
    if row.status is not None:
        return _replay(shelf, row)
    if row.claimed_until > now:
        _refuse_running()
    if _was_done(row):
        _refuse_lost()
    _take_over(rows, row, fresh)
    return None


def _take_over(rows: Any, row: _Row, fresh: _Row, **more: Any) -> None:
    """Claim what nobody works on any more; whoever changes the row first has it."""
    changed = rows.filter(pk=row.pk, claim=row.claim).update(
        claim=fresh.claim,
        claimed_until=fresh.claimed_until,
        request_id=fresh.request_id,
        **more,
    )
    if not changed:
        _refuse_running()
    fresh.pk = row.pk


def _was_done(row: _Row) -> bool:
    since = least_id(row.created_at, shift=-_SKEW)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT access_was_done(%s, %s, %s)", [str(row.token_id), row.request_id, since]
        )
        return bool(cursor.fetchone()[0])


def _replay(shelf: _Shelf, row: _Row) -> HttpResponse:
    try:
        body = shelf.open_box(row).reveal() if row.body is not None else ""
    except data_keys.OpeningError:
        _refuse_lost()
    response = HttpResponse(body, status=row.status, content_type=row.content_type)
    response[REPLAYED] = "true"
    if row.location:
        response["Location"] = row.location
    return response


def _settle(shelf: _Shelf, claim: _Row, response: HttpResponse) -> None:
    """Keep the answer, or let the next one try: at once when it is known that nothing was done."""
    rows: Any = shelf.model.objects
    ours = rows.filter(pk=claim.pk, claim=claim.claim)
    if response.status_code in _NOT_KEPT:
        ours.delete()
    elif response.status_code >= _SERVER_ERROR:
        ours.update(claimed_until=timezone.now())
    else:
        ours.update(
            status=response.status_code,
            content_type=response.get("Content-Type", ""),
            location=response.get("Location", ""),
            **shelf.close_box(claim.pk, Secret(response.content.decode())),
        )


def _refuse_running() -> NoReturn:
    detail = _("The first request with this Idempotency-Key is still running. Ask again shortly.")
    raise Conflict("idempotency_in_progress", detail, retry_after=1)


def _refuse_lost() -> NoReturn:
    detail = _(
        "The request with this Idempotency-Key was carried out, but its answer was lost. Read what"
        " it made or changed, and go on with a new key."
    )
    raise Conflict("idempotency_answer_lost", detail)
