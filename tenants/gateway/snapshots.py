"""A model token's picture: everything a call needs to know of its tenant, read in one scope.

Reading one takes several queries and a millisecond, so a picture in use is not read again and
again: its stamp tells whether anything has changed (``spend.stamps``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.utils import timezone, translation

from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.gateway import traffic
from tenants.gateway.traffic import UNKNOWN, Traffic
from tenants.registry import snapshots, status
from tenants.registry.snapshots import Snapshot
from tenants.registry.status import BlockedReason
from tenants.spend import policies, pricebook, stamps
from tenants.spend.calls import UnpricedPolicy
from tenants.spend.pricebook import PriceBook


@dataclass(slots=True)
class Picture:
    """A model token's snapshot with the prices of its time.

    Attributes:
        blocked: why its model answers no calls; None when it does.
        explanation: the same as a sentence.
        allows_unpriced: its workspace lets calls without a known price through.
        usual_tokens: how long its answers usually are; None when nobody knows.
        key: the opened key, put here by ``calls`` for as long as the picture is kept.
        is_closed_for_now: the key could not be opened, because a key service does not answer.
        traffic: what limits its calls besides money.
        stamp: the token's stamp before this was read; None when it was not known then.
    """

    snapshot: Snapshot
    book: PriceBook
    blocked: BlockedReason | None = None
    explanation: str = ""
    allows_unpriced: bool = False
    usual_tokens: int | None = None
    key: Secret[str] | None = field(default=None, repr=False)
    is_closed_for_now: bool = False
    traffic: Traffic = UNKNOWN
    stamp: int | None = None


def load(token_digest: bytes) -> Picture | None:
    """Read a picture from the database; None for a token that is not ours, revoked or over."""
    organization_id = snapshots.organization_of(token_digest)
    if organization_id is None:
        return None
    book = pricebook.of_organization(organization_id)
    with scope.tenant(organization_id):
        found = snapshots.find(token_digest)
        if found is None:
            return None
        reason = found.blocked(timezone.now())
        if reason is None:
            chosen = policies.find(organization_id, found.workspace.id)
            model = found.model.canonical_model
            return Picture(
                found,
                book,
                allows_unpriced=chosen.unpriced is UnpricedPolicy.ALLOW,
                usual_tokens=policies.usual_tokens(organization_id, chosen, model),
                traffic=traffic.load(found),
            )
    with translation.override("en"):
        return Picture(found, book, reason, status.explain(reason))


def stamps_of(pictures: Mapping[bytes, Picture]) -> dict[bytes, int]:
    """Read the stamps of pictures' tokens, by their digests; one revoked or over has none."""
    asked = [
        stamps.Asked(
            digest, picture.snapshot.key.quota_code, picture.snapshot.model.canonical_model
        )
        for digest, picture in pictures.items()
    ]
    return stamps.of_tokens(asked)


def still_holds(picture: Picture, stamp: int | None) -> bool:
    """Tell whether a picture says what would be read now, given its token's stamp of now."""
    if stamp is None or stamp != picture.stamp or picture.is_closed_for_now:
        return False
    return picture.snapshot.blocked(timezone.now()) is picture.blocked
