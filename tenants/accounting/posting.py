"""Turns the differences of a reconciliation into correction events of the ledger, once.

A correction stands at the last instant that belongs to the month on both sides, so that comparing
again finds both sides equal. One that names no workspace is booked on the default one.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from tenants.accounting import books, reconciling
from tenants.accounting.books import Books
from tenants.accounting.models import Reconciliation
from tenants.common.money import plain
from tenants.organizations.models import Workspace
from tenants.spend.pricing import Meter

_MOST = 2**31 - 1
_ZERO = Decimal(0)
_COLUMNS: Mapping[str, tuple[Meter, ...]] = {
    "prompt_tokens": (Meter.INPUT, Meter.CACHED_INPUT),
    "cached_tokens": (Meter.CACHED_INPUT,),
    "completion_tokens": (Meter.OUTPUT,),
    "pages": (Meter.PAGE,),
    "annotated_pages": (Meter.ANNOTATED_PAGE,),
    "audio_seconds": (Meter.AUDIO_SECOND,),
    "characters": (Meter.CHARACTER,),
}


def post(row: Reconciliation, chosen: Collection[int] | None, ours: Books) -> list[UUID]:
    """Post the chosen lines (all, without a choice) inside the scope; returns the events' ids."""
    at = instant(row)
    default: UUID = Workspace.objects.values_list("pk", flat=True).get(is_default=True)
    corrections: list[dict[str, Any]] = []
    for line in row.lines:
        if line["difference"] is None or not Decimal(line["difference"]):
            continue
        if chosen is not None and line["line"] not in chosen:
            continue
        quantities = _quantities(line["quantities"])
        for share, (workspace_id, amount) in enumerate(_shares(line, ours, default)):
            corrections.append(
                {
                    "id": str(_id(row, f"{line['line']} {share}", at)),
                    "workspace_id": str(workspace_id),
                    "occurred_at": at.isoformat(),
                    "period": row.period.isoformat(),
                    "category": line["category"],
                    "model": line["mistral_model"],
                    "cost": plain(amount),
                    "message_id": f"reconciliation:{row.pk}",
                    **(quantities if share == 0 else dict.fromkeys(_COLUMNS, 0)),
                }
            )
    if not corrections:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT accounting_post(%s)", [json.dumps(corrections)])
        return [found for (found,) in cursor.fetchall()]


def _shares(line: Mapping[str, Any], ours: Books, default: UUID) -> list[tuple[UUID, Decimal]]:
    """Say where a difference is booked: in its workspace, else where the spend is that it takes.

    What is added without a workspace is booked on the default one. What is taken away goes where
    such spend is, the largest first: no workspace's month becomes less than nothing.
    """
    amount = Decimal(line["difference"])
    if line["workspace_id"]:
        return [(UUID(line["workspace_id"]), amount)]
    if amount > 0:
        return [(default, amount)]
    spent: dict[UUID, Decimal] = {}
    for place, one in ours.places.items():
        fits = place.category == line["category"] and line["mistral_model"] in {
            "",
            place.mistral_model,
        }
        if fits and place.workspace_id is not None and one.amount > 0:
            spent[place.workspace_id] = spent.get(place.workspace_id, _ZERO) + one.amount
    shares: list[tuple[UUID, Decimal]] = []
    for workspace_id, most in sorted(spent.items(), key=lambda one: (-one[1], str(one[0]))):
        share = max(amount, -most)
        if share:
            shares.append((workspace_id, share))
            amount -= share
    if amount:
        shares.append((default, amount))
    return shares


def instant(row: Reconciliation) -> datetime:
    """Find the last instant of the month that is within it on both sides."""
    month = reconciling.month_of(row)
    _starts_at, ends_at = books.utc_month(month)
    return min(month.ends_at, ends_at) - timedelta(seconds=1)


def _id(row: Reconciliation, share: str, at: datetime) -> UUID:
    """Make a UUIDv7 of that instant which the same line always gets."""
    digest = hashlib.sha256(f"{row.pk} {share}".encode()).digest()
    rest = int.from_bytes(digest[:10])
    milliseconds = int(at.timestamp() * 1000)
    low = rest & ((1 << 62) - 1)
    return UUID(int=milliseconds << 80 | 7 << 76 | (rest >> 62 & 0xFFF) << 64 | 2 << 62 | low)


def _quantities(told: Mapping[str, Any]) -> dict[str, int]:
    """Say by how much their quantities differ from ours, as far as they tell any."""
    changes: dict[Meter, int] = {}
    for meter, both in told.items():
        if both["theirs"] is not None:
            changes[Meter(meter)] = int(Decimal(both["theirs"]) - Decimal(both["ours"]))
    return {
        column: max(-_MOST, min(_MOST, sum(changes.get(meter, 0) for meter in meters)))
        for column, meters in _COLUMNS.items()
    }
