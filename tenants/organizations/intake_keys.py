"""Intake keys: the public keys that clients seal Mistral keys to, so that nobody on the way reads.

They belong to no organization. One is handed out for half a day and accepted for another half; then
its private part is destroyed, and no recording of the traffic can be opened any more. All processes
use the same ones: they lie in the database, wrapped by the keyring.

IntakeKeyGoneError    there is no such key (any more): seal anew
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now

from tenants.common import scope
from tenants.common.models import new_id
from tenants.common.secrets import Secret
from tenants.organizations.data_keys import UNOPENED
from tenants.organizations.models import IntakeKey
from tenants.vault import intake
from tenants.vault.aead import OpeningError, key_id_of
from tenants.vault.intake import ALGORITHM, MAX_CIPHERTEXT, POINT_BYTES, VERSION, Envelope

__all__ = [
    "ACCEPTED",
    "ALGORITHM",
    "HANDED_OUT",
    "MAX_CIPHERTEXT",
    "POINT_BYTES",
    "VERSION",
    "Envelope",
    "IntakeKeyGoneError",
    "OpeningError",
    "PublicKey",
    "current",
    "destroy_expired",
    "rewrap_all",
    "unseal",
]

HANDED_OUT = timedelta(hours=12)
ACCEPTED = timedelta(hours=24)
_TURN = 0x41494D01  # advisory lock: one process makes the next key


class IntakeKeyGoneError(Exception):
    """The key was destroyed, or never was."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What everybody may know of an intake key.

    Attributes:
        point: uncompressed, 65 bytes.
        expires_at: from when on envelopes sealed to it are refused.
    """

    id: UUID
    point: bytes
    expires_at: datetime


def current() -> PublicKey:
    """Return the key to seal to now; make the next one when its time has come.

    Raises:
        Unavailable: ``vault_unavailable``: the next one cannot be made now.
    """
    with scope.platform():
        row = _handed_out()
    if row is None:
        row_id = new_id()
        public, wrapped = intake.new_key_pair(row_id)
        with scope.platform():
            row = _next(IntakeKey(id=row_id, public=public, wrapped=wrapped))
    return PublicKey(row.id, bytes(row.public), row.expires_at)


def unseal(envelope: Envelope, associated: bytes) -> Secret[str]:
    """Open an envelope; outside of any scope.

    Raises:
        IntakeKeyGoneError: its key is not accepted any more.
        OpeningError: it was altered, or sealed for something else.
    """
    with scope.platform():
        row = IntakeKey.objects.filter(pk=envelope.key_id, expires_at__gt=Now()).first()
    if row is None:
        raise IntakeKeyGoneError
    return intake.open_envelope(envelope, wrapped=bytes(row.wrapped), associated=associated)


def destroy_expired() -> int:
    """Destroy the private keys whose time is over, and tell how many."""
    with scope.platform():
        return _destroy_expired()


def rewrap_all() -> Counter[str]:
    """Wrap the private keys by the newest master key, and count what each master key wraps.

    One that does not open counts as ``UNOPENED`` and is left to its end.
    """
    wrapped_by: Counter[str] = Counter()
    with scope.platform():
        _destroy_expired()
        rows = list(IntakeKey.objects.order_by("id"))
    for row in rows:
        old = bytes(row.wrapped)
        try:
            new = intake.rewrap(old, row.id)
        except OpeningError:
            wrapped_by[UNOPENED] += 1
            continue
        if new != old:
            with scope.platform():
                IntakeKey.objects.filter(pk=row.pk, wrapped=old).update(wrapped=new)
        wrapped_by[key_id_of(new)] += 1
    return wrapped_by


def _handed_out() -> IntakeKey | None:
    return IntakeKey.objects.filter(replaced_at__gt=Now()).order_by("-id").first()


def _next(fresh: IntakeKey) -> IntakeKey:
    """Store the next key, unless another process just did; destroy those whose time is over."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_TURN])
    if made := _handed_out():
        return made
    _destroy_expired()
    fresh.replaced_at = Now() + HANDED_OUT
    fresh.expires_at = Now() + ACCEPTED
    fresh.save(force_insert=True)
    fresh.refresh_from_db()
    return fresh


def _destroy_expired() -> int:
    destroyed, _by_model = IntakeKey.objects.filter(expires_at__lte=Now()).delete()
    return destroyed
