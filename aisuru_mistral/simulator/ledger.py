"""The bill as the simulated Mistral would write it: what reached generation, priced.

Refuses to forget a call.

Money is derived when it is asked for, from the catalogue's published prices, never stored.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal

from aisuru_mistral.simulator.catalogue import Price

PRIORITY_FACTOR = Decimal("1.75")
BATCH_FACTOR = Decimal("0.5")
MILLION = Decimal(1_000_000)
THOUSAND = Decimal(1000)
MINUTE = Decimal(60)
METERS = (
    "calls",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "connector_tokens",
    "connector_calls",
    "pages",
    "annotated_pages",
    "audio_seconds",
    "characters",
)


@dataclass(slots=True)
class Line:
    """Calls of a day by one key on one model at one service tier, live or in batches.

    `prompt_tokens` contain the cached ones but no connector tokens. `pages` are plain pages,
    `annotated_pages` the others.
    """

    key: str
    organization: str
    workspace: str
    model: str
    service_tier: str
    batch: bool = False
    day: date = date.min
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    connector_tokens: int = 0
    connector_calls: int = 0
    pages: int = 0
    annotated_pages: int = 0
    audio_seconds: int = 0
    characters: int = 0

    def cost(self, price: Price) -> Decimal:
        """What all this costs; nothing when the model is free or has no published price.

        Connector tokens cost as input; the price of connector calls is not published.
        """
        uncached = self.prompt_tokens - self.cached_tokens + self.connector_tokens
        total = (
            uncached * price.input
            + self.cached_tokens * price.cached_input
            + self.completion_tokens * price.output
            + self.characters * price.character
        ) / MILLION
        total += (self.pages * price.page + self.annotated_pages * price.annotated_page) / THOUSAND
        total += self.audio_seconds * price.audio_minute / MINUTE
        if self.service_tier == "priority":
            total *= PRIORITY_FACTOR
        return total * BATCH_FACTOR if self.batch else total


@dataclass(frozen=True, slots=True)
class Total:
    """A sum of lines; money in US dollars and, as far as published, euro."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    connector_tokens: int
    connector_calls: int
    pages: int
    annotated_pages: int
    audio_seconds: int
    characters: int
    usd: Decimal
    eur: Decimal


class Ledger:
    """Lines by key, workspace, model, tier, batch and day. Reading is safe from another thread.

    `today` may be replaced: it says under which day (UTC, as Mistral bills) calls are written.
    """

    def __init__(self, price_of: Callable[[str, str], Price]) -> None:
        self._lines: dict[tuple[str, str, str, str, bool, date], Line] = {}
        self._price_of = price_of
        self.today: Callable[[], date] = _today

    def line(
        self,
        *,
        key: str,
        organization: str,
        workspace: str,
        model: str,
        service_tier: str,
        batch: bool = False,
    ) -> Line:
        """The line to add a call to."""
        day = self.today()
        at = (key, workspace, model, service_tier, batch, day)
        line = self._lines.get(at)
        if line is None:
            line = self._lines[at] = Line(
                key, organization, workspace, model, service_tier, batch, day
            )
        return line

    def lines(
        self, *, key: str | None = None, workspace: str | None = None, model: str | None = None
    ) -> list[Line]:
        """Copies of the lines that match.

        Name of the key, id of the workspace, canonical model id.
        """
        return [
            replace(line)
            for line in list(self._lines.values())
            if (key is None or line.key == key)
            and (workspace is None or line.workspace == workspace)
            and (model is None or line.model == model)
        ]

    def total(
        self, *, key: str | None = None, workspace: str | None = None, model: str | None = None
    ) -> Total:
        """The sum of the lines that match."""
        lines = self.lines(key=key, workspace=workspace, model=model)
        return Total(
            **{meter: sum(getattr(line, meter) for line in lines) for meter in METERS},
            usd=sum((self.cost(line, "usd") for line in lines), Decimal()),
            eur=sum((self.cost(line, "eur") for line in lines), Decimal()),
        )

    def cost(self, line: Line, currency: str) -> Decimal:
        """Cost of a line in "usd" or "eur"."""
        return line.cost(self._price_of(line.model, currency))

    def clear(self) -> None:
        """Start a new bill."""
        self._lines.clear()


def _today() -> date:
    return datetime.fromtimestamp(time.time(), UTC).date()
