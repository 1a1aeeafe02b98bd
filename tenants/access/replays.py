"""Carries a call of the gateway out once per ``Idempotency-Key``, and gives its answer again.

As ``idempotency`` does for the management API, with three differences: a call costs money, so one
whose outcome is not known is never made again under its key; a refusal is no outcome, so that a
repeated request can succeed; and an answer holds what a model said, so it is kept sealed, and for
minutes only. Of the request nothing is kept but a keyed fingerprint.

Invalid   422 idempotency_key_malformed   not 1 to 255 visible ASCII characters
          422 idempotency_key_reused      the same key came with another request before
Conflict  409 idempotency_in_progress     the first request is still running
          409 idempotency_answer_lost     it was carried out, and its answer is not here
"""

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from django.db.models.functions import Now
from django.utils import timezone
from django.utils.crypto import salted_hmac

from tenants.access.models import TenantRequest
from tenants.common import scope
from tenants.common.models import new_id
from tenants.common.problems import Conflict, Invalid
from tenants.common.secrets import Secret
from tenants.organizations import data_keys

#: For how long an answer is given again. The sweep deletes what is older.
KEPT = timedelta(minutes=10)
#: Longer answers are not kept: a repetition is told so.
LARGEST = 1024 * 1024
_VISIBLE_ASCII = re.compile(rb"[!-~]{1,255}")
_PREFIX = "call:"
_SLOT = "call-answer"


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that is ours to work on."""

    organization_id: UUID
    row_id: UUID
    claim: UUID


@dataclass(frozen=True, slots=True)
class Earlier:
    """The answer that a request under this key was given before."""

    status: int
    content_type: str
    body: bytes


def name_of(header: bytes) -> str:
    """Make the name under which a key is kept; it does not tell the key.

    Raises:
        Invalid: malformed.
    """
    if not _VISIBLE_ASCII.fullmatch(header):
        raise Invalid(
            "idempotency_key_malformed",
            "The header Idempotency-Key takes 1 to 255 visible ASCII characters.",
            status=400,
        )
    return _PREFIX + hashlib.sha256(header).hexdigest()


def fingerprint(path: str, body: bytes) -> bytes:
    """Recognise the same request without keeping it."""
    return salted_hmac("aim.call", path.encode() + b"\0" + body, algorithm="sha256").digest()


def claim(
    organization_id: UUID, token_id: UUID, key: str, *, mark: bytes, lease: timedelta
) -> Claim | Earlier:
    """Make a key ours for at most ``lease``, or find the answer it led to.

    Raises:
        Invalid, Conflict: as the module's text says.
    """
    now = timezone.now()
    fresh = TenantRequest(
        id=new_id(),
        organization_id=organization_id,
        token_id=token_id,
        key=key,
        fingerprint=mark,
        request_id="",
        claim=new_id(),
        claimed_until=now + lease,
    )
    with scope.tenant(organization_id):
        rows = TenantRequest.objects.filter(
            organization_id=organization_id, token_id=token_id, key=key
        )
        rows.filter(created_at__lt=now - KEPT, claimed_until__lt=Now()).delete()
        TenantRequest.objects.bulk_create([fresh], ignore_conflicts=True)
        row = rows.first()
        if row is not None and row.claim == fresh.claim:
            return Claim(organization_id, row.id, row.claim)
        if row is not None and bytes(row.fingerprint) != mark:
            raise Invalid(
                "idempotency_key_reused",
                "This Idempotency-Key came with another request before. Use a new one.",
            )
        if row is None or (row.status is None and row.claimed_until > now):
            raise Conflict(
                "idempotency_in_progress",
                "The first request with this Idempotency-Key is still running. Ask again shortly.",
                retry_after=1,
            )
        return _answer_of(row)


def settle(mine: Claim, status: int, content_type: str, body: bytes | None) -> None:
    """Keep an answer, sealed with the organization's data key; one too long, or None, is not."""
    keeps = body is not None and len(body) <= LARGEST
    with scope.tenant(mine.organization_id):
        # First the data key, as who erases does: then neither waits for the other's rows.
        key = data_keys.newest(mine.organization_id) if keeps else None
        rows = TenantRequest.objects.filter(pk=mine.row_id, claim=mine.claim)
        # What is kept of an unfinished one: that it was carried out.
        rows.update(status=status, content_type=content_type[:64], claimed_until=Now())
        if key is not None and body is not None:
            place = replace(key.place, row=mine.row_id, slot=_SLOT)
            sealed = data_keys.seal(Secret(body.decode("latin-1")), key=key, place=place)
            rows.update(body=sealed, data_key_version=key.version)


def release(mine: Claim) -> None:
    """Let the key go: nothing was carried out under it, or it may be tried again."""
    with scope.tenant(mine.organization_id):
        TenantRequest.objects.filter(pk=mine.row_id, claim=mine.claim).delete()


def _answer_of(row: TenantRequest) -> Earlier:
    if row.status is not None and row.body is not None:
        try:
            key = data_keys.of_version(row.organization_id, row.data_key_version)
            place = replace(key.place, row=row.id, slot=_SLOT)
            body = data_keys.unseal(bytes(row.body), key=key, place=place).reveal()
            return Earlier(row.status, row.content_type, body.encode("latin-1"))
        except data_keys.OpeningError:
            pass
    raise Conflict(
        "idempotency_answer_lost",
        "The request with this Idempotency-Key was carried out, and may have cost, but its answer"
        " is not here. Go on with a new key.",
    )
