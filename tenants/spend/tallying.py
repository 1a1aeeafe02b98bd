"""Adds up what the lines of a batch job's output used: by model, service tier and thousand lines.

Where Mistral does not tell what a line used, it counts as what was held for a line.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from tenants.mistral.batches import LineFacts
from tenants.mistral.delivered import tokens_of
from tenants.mistral.wire import Quantity
from tenants.spend.calls import MOST_CONNECTOR_CALLS, TRANSCRIPTIONS
from tenants.spend.pricing import Quantities, with_untold

_LARGEST_COUNT = 2**31 - 1
#: So many lines at most in one event: no sum of theirs comes near what a column can hold.
_LINES_OF_AN_EVENT = 1000
_OCR = "/v1/ocr"


@dataclass(slots=True)
class Sum:
    """What some lines of one model and one service tier used together."""

    lines: int = 0
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    pages: int = 0
    annotated: int = 0
    seconds: int = 0
    untold: int = 0
    connectors: int = 0

    def quantities(self) -> Quantities:
        """The sum, as the ledger takes it."""
        prompt = min(self.prompt, _LARGEST_COUNT)
        return Quantities(
            prompt_tokens=prompt,
            completion_tokens=min(self.completion, _LARGEST_COUNT),
            cached_tokens=min(self.cached, prompt),
            pages=min(self.pages, _LARGEST_COUNT),
            annotated_pages=min(self.annotated, _LARGEST_COUNT),
            audio_seconds=min(self.seconds, _LARGEST_COUNT),
            requests=self.lines,
        )


@dataclass(slots=True)
class Tally:
    """Adds up the lines of one job's output, in their order; ``held`` is what was for each.

    ``is_annotated``: all of them were held as annotated, and so that was asked for in each. Where
    only some were, an answer that shows no annotation counts as plain.
    """

    endpoint: str
    requested_model: str
    held: Quantities
    is_annotated: bool = False
    sums: dict[tuple[str, str, int], Sum] = field(default_factory=lambda: defaultdict(Sum))
    counts: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def add(self, line: LineFacts) -> None:
        """Add one answered line; an estimate of it, where Mistral does not tell what it used."""
        who = (line.model or self.requested_model, line.usage.service_tier or "")
        at = self.counts[who] // _LINES_OF_AN_EVENT
        self.counts[who] += 1
        into = self.sums[(*who, at)]
        into.lines += 1
        into.connectors += min(line.usage.connector_calls or 0, MOST_CONNECTOR_CALLS)
        if self.endpoint == _OCR:
            self._add_pages(into, line)
        elif self.endpoint == TRANSCRIPTIONS:
            self._add_seconds(into, line)
        else:
            self._add_tokens(into, line)

    @property
    def lines(self) -> int:
        """How many lines were added."""
        return sum(self.counts.values())

    def add_missing(self, lines: int) -> None:
        """Add lines that were answered and are nowhere to be read: what was held for each."""
        who = (self.requested_model, "")
        while lines > 0:
            at, used = divmod(self.counts[who], _LINES_OF_AN_EVENT)
            some = min(lines, _LINES_OF_AN_EVENT - used)
            into = self.sums[(*who, at)]
            into.lines += some
            into.untold += some
            into.prompt += some * self.held.prompt_tokens
            into.completion += some * self.held.completion_tokens
            into.pages += some * self.held.pages
            into.annotated += some * self.held.annotated_pages
            into.seconds += some * self.held.audio_seconds
            self.counts[who] += some
            lines -= some

    def _add_pages(self, into: Sum, line: LineFacts) -> None:
        pages = line.pages
        if pages is None or (pages == 0 and line.listed_pages):
            into.untold += 1
            pages = line.listed_pages
        if pages is None:
            into.annotated += self.held.annotated_pages
            into.pages += self.held.pages
        elif line.is_annotated or self.is_annotated:
            into.annotated += pages
        else:
            into.pages += pages

    def _add_seconds(self, into: Sum, line: LineFacts) -> None:
        """Bill the seconds and no tokens."""
        seconds = line.usage.prompt_audio_seconds
        if not seconds and (seconds is None or line.delivered):
            into.untold += 1
            seconds = self.held.audio_seconds
        into.seconds += seconds

    def _add_tokens(self, into: Sum, line: LineFacts) -> None:
        usage, told = line.usage, line.usage.quantity
        if told is Quantity.POSITIVE or (told is Quantity.ZERO and not line.delivered):
            parts = Quantities(
                prompt_tokens=min(
                    (usage.prompt_tokens or 0) + (usage.connector_tokens or 0), _LARGEST_COUNT
                ),
                completion_tokens=min(usage.completion_tokens or 0, _LARGEST_COUNT),
            )
            if usage.untold:
                into.untold += 1
                parts = with_untold(parts, usage.untold, self.held)
            into.prompt += parts.prompt_tokens
            into.completion += parts.completion_tokens
            if usage.lacks_prompt:
                into.prompt += self.held.prompt_tokens
            if usage.lacks_output:
                into.completion += tokens_of(line.delivered)
            into.untold += usage.lacks_prompt or (usage.lacks_output and line.delivered > 0)
            into.cached += usage.cached_tokens or 0
            into.seconds += usage.prompt_audio_seconds or 0
        else:
            into.untold += 1
            into.prompt += self.held.prompt_tokens
            into.completion += tokens_of(line.delivered)
