"""Turns intents and settlements into the JSON rows that the meter's SQL functions read.

Keys are the columns of ``spend_hold`` and ``spend_usageevent``. Text that came from outside is made
storable here: one odd header must not spoil a batch of other people's calls.
"""

from datetime import timedelta
from typing import Any

from tenants.spend.calls import CallIntent, Settlement, category_of
from tenants.spend.pricing import Cost, Quantities

type Row = dict[str, Any]

_MILLISECOND = timedelta(milliseconds=1)
_LONGEST_CALL = 2**31 - 1


def hold_row(call: CallIntent) -> Row:
    """Describe a hold: the call's facts, its worst case and what that was computed from."""
    cost = call.worst_case.cost
    row = _call_row(call) | quantities_row(call.worst_case.quantities) | _priced(cost)
    # What may be made without a known price holds nothing; its event says that it has no price.
    row["amount"] = "0" if cost.amount is None and call.allows_unpriced else _text_of(cost)
    return row


def event_row(entry: Settlement) -> Row:
    """Describe an event: the call's facts, what it used, cost and how it ended."""
    row = _call_row(entry.intent) | quantities_row(entry.quantities) | _priced(entry.cost)
    row["cost"] = _text_of(entry.cost)
    row["requests"] = entry.quantities.requests
    row |= rare_quantities(entry.quantities)
    row["answered_model"] = storable(entry.answered_model, 200)
    row["estimate"] = entry.estimate
    row["outcome"] = entry.outcome
    row["http_status"] = entry.http_status
    row["duration_ms"] = min(max(entry.duration // _MILLISECOND, 0), _LONGEST_CALL)
    row["correlation_id"] = storable(entry.correlation_id, 64)
    if entry.excess is not None:
        row["excess"] = format(entry.excess, "f")
    return row


def rare_quantities(quantities: Quantities) -> Row:
    """Describe what few calls use; what was not used is null, which takes no room."""
    return {
        "connector_calls": quantities.connector_calls or None,
        "training_tokens": quantities.training_tokens or None,
        "storage_months": quantities.storage_months or None,
    }


def storable(text: str, longest: int) -> str:
    """Leave out what PostgreSQL or a terminal cannot take, and what is too long."""
    if not text.isprintable():
        text = "".join(character for character in text if character.isprintable())
    return text[:longest]


def _call_row(call: CallIntent) -> Row:
    return {
        "id": call.call_id,
        "organization_id": call.organization_id,
        "workspace_id": call.workspace_id,
        "key_id": call.key_id,
        "model_id": call.model_id,
        "period": call.period,
        "category": call.category or category_of(call.endpoint),
        "endpoint": storable(call.endpoint, 64),
        "requested_model": storable(call.requested_model, 200),
        "message_id": storable(call.message_id, 200),
        "request_id": storable(call.request_id, 64),
    }


def quantities_row(quantities: Quantities) -> Row:
    """Describe what a call used."""
    return {
        "prompt_tokens": quantities.prompt_tokens,
        "completion_tokens": quantities.completion_tokens,
        "cached_tokens": quantities.cached_tokens,
        "pages": quantities.pages,
        "annotated_pages": quantities.annotated_pages,
        "audio_seconds": quantities.audio_seconds,
        "characters": quantities.characters,
    }


def _priced(cost: Cost) -> Row:
    return {
        "currency": cost.currency,
        "factor": str(cost.factor),
        "price_ids": cost.price_ids,
    }


def _text_of(cost: Cost) -> str | None:
    return None if cost.amount is None else format(cost.amount, "f")
