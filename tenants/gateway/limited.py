"""Says why a limit stands in the way of a call, and what would help.

What would help depends on what makes the call dear at most: so much is held, and no less.
"""

from datetime import UTC
from decimal import Decimal
from typing import Any

from tenants.common.money import plain
from tenants.common.months import Month
from tenants.common.problems import Conflict, Invalid, Payment, Problem
from tenants.gateway.endpoints import Kind
from tenants.gateway.requests import Request
from tenants.spend.calls import CallIntent, Refusal, RefusalReason, instant_of
from tenants.spend.pricing import Bound


def refusal_of(refusal: Refusal, intent: CallIntent, request: Request, zone: str) -> Problem:
    """Make what the caller is told of the ledger's refusal.

    Args:
        refusal: of the ledger.
        intent: what was to be held.
        request: whose cost could not be.
        zone: of the organization, whose months they are.
    """
    if refusal.reason is RefusalReason.CURRENCY:
        return Conflict(
            "currency_mismatch",
            f"This month is kept in {refusal.currency}; another currency counts from next month.",
        )
    if refusal.reason is RefusalReason.MALFORMED:
        return Invalid("not_recordable", "The request cannot be written to the ledger.")
    kind = refusal.subject_kind or "organization"
    figures: dict[str, Any] = {
        "limited": str(kind),
        "limited_id": str(refusal.subject_id or ""),
        "limit": _amount(refusal.limit),
        "spent": _amount(refusal.spent),
        "held": _amount(refusal.held),
        "currency": refusal.currency,
        "resets_at": _resets_at(intent, zone),
    }
    if refusal.reason is RefusalReason.PRICE_UNKNOWN:
        return Payment(
            "price_unknown",
            f"{_unknown(intent, request)}, and the {kind} has a spending limit: a cost that cannot"
            " be bounded is refused.",
            **figures,
        )
    wait = "wait until the next month"
    if refusal.held:
        wait = f"try again when the calls under way have ended, or {wait}"
    return Payment(
        "spending_limit_reached",
        f"The {kind} may spend {figures['limit']} {refusal.currency} a month. Spent are"
        f" {figures['spent']}, held for calls under way {figures['held']}; this call could pass"
        f" the limit. Raise it, {_less(request.bound)}, or {wait}.",
        **figures,
    )


def _unknown(intent: CallIntent, request: Request) -> str:
    """Say what it is that has no known price."""
    if request.calls_connectors:
        return "What tools and connectors of Mistral's cost is not published"
    if request.endpoint.kind is Kind.NEW:
        return "What this endpoint costs is not known"
    return f"The price of {intent.requested_model} is not known"


def _less(bound: Bound) -> str:
    """Say what makes a call like this cost less at most."""
    if bound.pages or bound.annotated_pages:
        return "choose fewer `pages` (a document is held at the most that it can have)"
    if bound.audio_seconds:
        return (
            "send shorter recordings, as plain WAV of 8, 24 or 32 bits (any other may be held at"
            " three hours)"
        )
    if bound.generates and bound.unbounded_input:
        return (
            "choose a model of a lower price or a shorter context (pictures, documents, tools of"
            " Mistral's and earlier turns are held at the whole context), ask for fewer tokens"
            " (`max_tokens`)"
        )
    if bound.generates:
        return "ask for fewer tokens (`max_tokens`)"
    return "send less"


def _amount(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)


def _resets_at(intent: CallIntent, zone: str) -> str:
    ends = Month.of(instant_of(intent.call_id), zone).ends_at
    return ends.astimezone(UTC).isoformat().replace("+00:00", "Z")
