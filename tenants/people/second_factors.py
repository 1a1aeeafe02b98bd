"""Custody of second factors: secrets of authenticator apps and seeds of recovery codes.

They lie in allauth's table, sealed by the keyring: people belong to no organization, so no data key
is theirs. A box is bound to its purpose and not to the person, whom allauth does not name when it
asks; who could copy one between rows could as well change a password there.

What was stored before sealing came is read as it is, and sealed by the next audit or rotation.
"""

from collections import Counter
from collections.abc import Iterator

from allauth.mfa.models import Authenticator
from django.utils.translation import gettext as _

from tenants.common.problems import Conflict, Unavailable
from tenants.common.secrets import Secret
from tenants.vault import platform
from tenants.vault.aead import OpeningError

UNOPENED = "?"
_PURPOSE = b"aim/second-factor/1"
_PAGE = 200
#: Which member of a row's data holds its secret; passkeys are public keys and have none.
_MEMBERS = {
    Authenticator.Type.TOTP.value: "secret",
    Authenticator.Type.RECOVERY_CODES.value: "seed",
}


def seal(plain: str) -> str:
    """Seal a secret for its row.

    Raises:
        KeyringUnavailableError: the master key cannot be asked now.
    """
    return platform.seal(Secret(plain), _PURPOSE)


def unseal(stored: str) -> str:
    """Open a stored secret.

    Raises:
        Conflict: ``second_factor_undecryptable``.
        KeyringUnavailableError: the master key cannot be asked now.
    """
    if not stored.startswith(platform.PREFIX):
        return stored
    try:
        return platform.unseal(stored, _PURPOSE).reveal()
    except OpeningError:
        detail = _(
            "This second factor cannot be read any more. Sign in with another one, or ask support"
            " to have it removed."
        )
        raise Conflict("second_factor_undecryptable", detail) from None


def rewrap_all() -> Counter[str]:
    """Have the newest master key wrap all of them, and seal those that still lie open.

    Safe while people sign in: a row is replaced only if it is what was read.

    Returns:
        How many each master key wraps now; what does not open counts as ``UNOPENED``.

    Raises:
        KeyringUnavailableError: a master key cannot be asked now; the rest stays as it was.
    """
    wrapped_by: Counter[str] = Counter()
    for row, member in _rows():
        stored = row.data[member]
        try:
            new = _anew(stored)
        except OpeningError:
            wrapped_by[UNOPENED] += 1
            continue
        if new != stored:
            unchanged = Authenticator.objects.filter(pk=row.pk, data=row.data)
            unchanged.update(data=row.data | {member: new})
        wrapped_by[platform.master_key_of(new)] += 1
    return wrapped_by


def audit() -> Counter[str]:
    """Seal those that lie open, open all others once; count ``opened, lost, unanswered``."""
    seen: Counter[str] = Counter()
    for row, member in _rows():
        stored = row.data[member]
        try:
            if stored.startswith(platform.PREFIX):
                platform.unseal(stored, _PURPOSE)
            else:
                unchanged = Authenticator.objects.filter(pk=row.pk, data=row.data)
                unchanged.update(data=row.data | {member: seal(stored)})
        except OpeningError:
            seen["lost"] += 1
        except Unavailable:
            seen["unanswered"] += 1
        else:
            seen["opened"] += 1
    return seen


def _anew(stored: str) -> str:
    if stored.startswith(platform.PREFIX):
        return platform.rewrap(stored, _PURPOSE)
    return seal(stored)


def _rows() -> Iterator[tuple[Authenticator, str]]:
    """Walk over the rows that hold a secret; each with the member that is it."""
    last = 0
    while True:
        rows = Authenticator.objects.filter(type__in=_MEMBERS, pk__gt=last).order_by("pk")[:_PAGE]
        found = list(rows)
        yield from ((row, _MEMBERS[row.type]) for row in found)
        if len(found) < _PAGE:
            return
        last = found[-1].pk
