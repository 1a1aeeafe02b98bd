"""What a person may take over from what the Admin API told: prices, and which workspace is which.

A run proposes; it writes none of this itself, dry or not. Prices and the workspace that keys must
belong to decide what calls cost and which keys work, so somebody confirms them.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.utils import timezone

from tenants.accounting import observing
from tenants.accounting.differences import Found
from tenants.accounting.models import Observed, ObservedKind
from tenants.common.money import plain
from tenants.organizations.models import Organization
from tenants.registry import catalog
from tenants.spend import pricebook
from tenants.spend.own_prices import OwnPrice
from tenants.spend.pricing import Meter

_MILLION = 1_000_000
#: What Mistral bills by, as event type and group (empty: any other) → meter, units of a price.
_METERS: Mapping[tuple[str, str], tuple[Meter, int]] = {
    ("api_tokens", "input"): (Meter.INPUT, _MILLION),
    ("api_tokens", "cached"): (Meter.CACHED_INPUT, _MILLION),
    ("api_tokens", "output"): (Meter.OUTPUT, _MILLION),
    ("api_pages", "annotated_pages"): (Meter.ANNOTATED_PAGE, 1000),
    ("api_pages", ""): (Meter.PAGE, 1000),
    ("api_audio_seconds", ""): (Meter.AUDIO_SECOND, 60),
    ("api_audio_characters", ""): (Meter.CHARACTER, _MILLION),
}
#: Other zones and tiers are these prices times a published factor.
_ZONES, _TIERS = frozenset({"", "global"}), frozenset({"", "standard", "default"})
#: As fine as a price is kept; what is told per unit may be a rounded third.
_FINEST = Decimal("1e-10")
_SAME = Decimal("1e-6")


class ProposalKind(StrEnum):
    """What would be taken over."""

    PRICE = "price"
    MISTRAL_WORKSPACE = "mistral_workspace"


@dataclass(frozen=True, slots=True)
class Proposal:
    """One thing to confirm: what is here ``before`` and what would be ``after``, as text.

    ``facts`` are what is written: of a price its model, meter, currency, amount and per; of a
    workspace its id and the id and name at Mistral.
    """

    id: str
    kind: ProposalKind
    name: str
    before: str | None
    after: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Write it as it is kept."""
        return {
            "id": self.id,
            "kind": self.kind.value,
            "name": self.name,
            "before": self.before,
            "after": self.after,
            "facts": dict(self.facts),
        }


def find(organization: Organization, found: Found) -> list[Proposal]:
    """List what could be taken over, inside the organization's scope."""
    return [*_prices(organization), *_workspaces(found)]


def price_of(proposal: Mapping[str, Any]) -> OwnPrice:
    """Read the price of a kept proposal."""
    facts = proposal["facts"]
    return OwnPrice(
        facts["model"],
        Meter(facts["meter"]),
        facts["currency"],
        Decimal(facts["amount"]),
        facts["per"],
    )


def workspace_of(proposal: Mapping[str, Any]) -> tuple[UUID, dict[str, str]]:
    """Read which workspace a kept proposal is about, and its columns."""
    facts = proposal["facts"]
    names = ("mistral_workspace_id", "mistral_workspace_name")
    return UUID(facts["workspace_id"]), {name: facts[name] for name in names}


def checksum(proposals: list[Mapping[str, Any]]) -> str:
    """Name what prices were read from."""
    facts = [proposal["facts"] for proposal in proposals]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _prices(organization: Organization) -> Iterator[Proposal]:
    """Propose what was told in the newest usage of the whole organization and differs from ours."""
    told = Observed.objects.filter(
        kind=ObservedKind.USAGE, external_id__endswith=observing.WHOLE_ORGANIZATION
    )
    book, now = pricebook.of_organization(organization.pk), timezone.now()
    seen: set[tuple[str, Meter]] = set()
    for usage in told.order_by("-external_id"):
        if usage.data.get("currency") != organization.currency:
            continue  # nothing is ever converted
        for row in usage.data.get("prices", ()):
            read = _read(row)
            if read is None or read[:2] in seen:
                continue
            seen.add(read[:2])
            model, meter, amount, per = read
            known = book.prices_for(model, organization.currency, now).meters.get(meter)
            if known is not None and _is_same(amount / per, known.amount / known.per):
                continue
            yield Proposal(
                id=f"price:{model}:{meter}",
                kind=ProposalKind.PRICE,
                name=f"{model} {meter}",
                before=_priced(known.amount, known.per) if known else None,
                after=_priced(amount, per),
                facts={
                    "model": model,
                    "meter": meter.value,
                    "currency": organization.currency,
                    "amount": format(amount, "f"),
                    "per": per,
                },
            )


def _read(row: Mapping[str, Any]) -> tuple[str, Meter, Decimal, int] | None:
    """Read a told price; None for what is priced by a factor, or counted by no meter of ours."""
    if row.get("zone") not in _ZONES or row.get("tier") not in _TIERS:
        return None
    kind, group = str(row.get("event_type")), str(row.get("group"))
    found = _METERS.get((kind, group)) or _METERS.get((kind, ""))
    if found is None:
        return None
    meter, per = found
    amount = (Decimal(row["price"]) * per).quantize(_FINEST)
    return catalog.canonical(str(row["metric"])), meter, amount, per


def _is_same(ours: Decimal, theirs: Decimal) -> bool:
    return abs(ours - theirs) <= _SAME * max(abs(ours), abs(theirs))


def _priced(amount: Decimal, per: int) -> str:
    return f"{plain(amount)} / {per}"


def _workspaces(found: Found) -> Iterator[Proposal]:
    """Propose to declare the workspaces at Mistral that those here were matched with."""
    seen = {row.external_id: row for row in Observed.objects.filter(kind=ObservedKind.WORKSPACE)}
    for external_id, workspace in found.matches.workspaces.items():
        if workspace.mistral_workspace_id.lower() == external_id.lower():
            continue
        yield Proposal(
            id=f"workspace:{workspace.pk}",
            kind=ProposalKind.MISTRAL_WORKSPACE,
            name=workspace.name,
            before=workspace.mistral_workspace_id or workspace.mistral_workspace_name or None,
            after=external_id,
            facts={
                "workspace_id": str(workspace.pk),
                "mistral_workspace_id": external_id,
                "mistral_workspace_name": str(seen[external_id].data.get("name", "")),
            },
        )
