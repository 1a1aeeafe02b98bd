"""By what circumstances multiply a cost, as dated data: ``data/factors.json``.

A row holds until the next one of its modifier. How batch combines with priority is not documented:
they multiply. The dates say since when a row is applied here, not since when Mistral asks for it.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tenants.spend.pricing import Modifier

_DATA = Path(__file__).parent / "data" / "factors.json"

type Factors = Mapping[Modifier, Decimal]


class FactorBook:
    """Every factor ever; immutable.

    Raises:
        ValueError: a modifier that is not known, or one that has no row at all.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._starts: list[datetime] = []
        self._factors: list[Factors] = []
        present: dict[Modifier, Decimal] = {}
        for row in sorted(rows, key=lambda row: str(row["effective_from"])):
            starts_at = datetime.fromisoformat(row["effective_from"]).replace(tzinfo=UTC)
            present = present | {Modifier(row["modifier"]): Decimal(row["factor"])}
            if self._starts and self._starts[-1] == starts_at:
                self._factors[-1] = MappingProxyType(present)
            else:
                self._starts.append(starts_at)
                self._factors.append(MappingProxyType(present))
        if missing := set(Modifier) - set(present):
            raise ValueError(f"no factor for {sorted(missing)}")

    def at(self, instant: datetime) -> Factors:
        """Give what holds at an instant; before the first row there is nothing to multiply by."""
        index = bisect_right(self._starts, instant)
        return self._factors[index - 1] if index else {}


PUBLISHED = FactorBook(json.loads(_DATA.read_text(encoding="utf-8")))
