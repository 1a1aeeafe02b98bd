"""What a call costs: a pure function of quantities, dated prices and modifiers.

It knows no database and no clock, and it refuses to guess: what has no price is *unpriced*, which
is neither free nor zero. Sources: docs.mistral.ai/inference/pricing (cached input, priority,
regional and batch factors), docs.mistral.ai/studio/conversations/advanced/prompt-caching.

What is made for every call is never changed, and all the same not frozen: that would take three
times as long to make.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from tenants.common.money import rounded

#: Output tokens set aside for a request that names no ``max_tokens``, nor does its model.
DEFAULT_OUTPUT_TOKENS = 4096
#: Tokens that Mistral adds to a request on its own: chat template, safety and reasoning prompts.
TEMPLATE_TOKENS = 512
#: Context set aside for a model that does not tell its own: the longest that Mistral offers.
LONGEST_CONTEXT = 1_048_576
_LARGEST_QUANTITY = 2**31 - 1
_ONE, _NOTHING = Decimal(1), Decimal(0)


class Meter(StrEnum):
    """What a price is for."""

    INPUT = "input"
    CACHED_INPUT = "cached_input"
    OUTPUT = "output"
    PAGE = "page"
    ANNOTATED_PAGE = "annotated_page"
    AUDIO_SECOND = "audio_second"
    CHARACTER = "character"
    TRAINING_TOKEN = "training_token"  # noqa: S105 - a token of text
    STORAGE = "storage"
    CONNECTOR = "connector"


class Modifier(StrEnum):
    """A circumstance that multiplies a whole call's cost."""

    PRIORITY = "priority"
    BATCH = "batch"
    REGIONAL = "regional"


class PriceState(StrEnum):
    """Whether a cost is known."""

    PRICED = "priced"
    FREE = "free"
    UNPRICED = "unpriced"


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """The price of one meter: ``amount`` buys ``per`` units; ``free`` is a zero on purpose."""

    id: int
    amount: Decimal
    per: int
    free: bool = False


@dataclass(frozen=True, slots=True)
class Prices:
    """Every price of one Mistral model in one currency at one instant; empty when unknown.

    ``factors`` are those by which modifiers multiply at that instant. ``by_base`` names the model
    whose prices stand in for those that a fine-tuned one has not of its own; empty for any other.
    """

    mistral_model: str
    currency: str
    meters: Mapping[Meter, UnitPrice]
    factors: Mapping[Modifier, Decimal] = field(default_factory=dict)
    by_base: str = ""


@dataclass(slots=True)
class Quantities:
    """What a call used. ``prompt_tokens`` includes ``cached_tokens``, as in Mistral's usage object.

    ``pages`` are plain pages, ``annotated_pages`` those billed with annotations instead.
    ``storage_months`` are months that a fine-tuned model was kept.

    Raises:
        ValueError: a quantity is negative or beyond 2³¹ - 1, or more is cached than was sent.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    pages: int = 0
    annotated_pages: int = 0
    audio_seconds: int = 0
    characters: int = 0
    requests: int = 1
    connector_calls: int = 0
    training_tokens: int = 0
    storage_months: int = 0

    def __post_init__(self) -> None:
        numbers = (
            self.prompt_tokens,
            self.completion_tokens,
            self.cached_tokens,
            self.pages,
            self.annotated_pages,
            self.audio_seconds,
            self.characters,
            self.requests,
            self.connector_calls,
            self.training_tokens,
            self.storage_months,
        )
        if min(numbers) < 0 or max(numbers) > _LARGEST_QUANTITY:
            raise ValueError("a quantity is out of range")
        if self.cached_tokens > self.prompt_tokens:
            raise ValueError("more tokens are cached than were sent")


def with_untold(told: Quantities, untold: int, most: Quantities) -> Quantities:
    """Add tokens of which only a total tells to those that are told by themselves.

    Whatever they were, they were billed as something. Output is the dearer guess, but what was held
    for a call bounds a guess: what is more than its output could be is input, and what is more than
    both is left out. What was told by itself is never touched.
    """
    completion = min(untold, max(most.completion_tokens - told.completion_tokens, 0))
    prompt = min(untold - completion, max(most.prompt_tokens - told.prompt_tokens, 0))
    return replace(
        told,
        prompt_tokens=told.prompt_tokens + prompt,
        completion_tokens=told.completion_tokens + completion,
    )


@dataclass(slots=True)
class Cost:
    """A cost and what it came from.

    Attributes:
        state: whether the amount is known.
        amount: rounded to nano-units; None when unpriced.
        currency: of the amount.
        price_ids: the prices that were multiplied.
        factor: the product of the modifiers.
        missing: meters that were used and have no price, modifiers that have no factor.
    """

    state: PriceState
    amount: Decimal | None
    currency: str
    price_ids: tuple[int, ...] = ()
    factor: Decimal = Decimal(1)
    missing: tuple[Meter | Modifier, ...] = ()


@dataclass(slots=True)
class Bound:
    """What is known of a request before it is sent, each a true upper bound.

    Attributes:
        request_bytes: length of the request body in UTF-8, and by what its values grow where they
            are read. No token is shorter than a byte and JSON never shortens text, so this bounds
            its tokens.
        unbounded_input: the request has parts that bytes do not bound (images, documents, audio,
            an agent's or a conversation's stored text): the whole context is set aside.
        context_length: of the model; None when unknown; zero where no tokens are billed.
        max_tokens: the request's own output cap; None when absent.
        default_max_tokens: the registered model's default; None when it has none.
        usual_tokens: how long answers usually are, chosen by the workspace or learned; None when
            neither.
        generates: False for embeddings, moderation and classification, which return no tokens.
        choices: ``n``, how many answers were asked for.
        pages, annotated_pages, audio_seconds, characters: bounds of what is not text.
        perhaps_seconds: of what could be a recording, to a model that hears: one with a price for
            seconds.
        spare_seconds: by which ``audio_seconds`` are more than what the recordings last by their
            headers: held, and in no estimate.
    """

    request_bytes: int
    unbounded_input: bool = False
    context_length: int | None = None
    max_tokens: int | None = None
    default_max_tokens: int | None = None
    usual_tokens: int | None = None
    generates: bool = True
    choices: int = 1
    pages: int = 0
    annotated_pages: int = 0
    audio_seconds: int = 0
    characters: int = 0
    perhaps_seconds: int = 0
    spare_seconds: int = 0


@dataclass(slots=True)
class WorstCase:
    """The most a request can use, and what that costs."""

    quantities: Quantities
    cost: Cost


def cost(quantities: Quantities, prices: Prices, modifiers: Iterable[Modifier] = ()) -> Cost:
    """Price a call: the sum of quantity * price / unit, times the modifiers, rounded once.

    Cached tokens have their own price; without one they cost what other input costs. A meter that
    was used and has no price, or a modifier without a factor, makes the whole call unpriced.
    """
    factor = _ONE
    missing: list[Meter | Modifier] = []
    for modifier in set(modifiers):
        if modifier in prices.factors:
            factor *= prices.factors[modifier]
        else:
            missing.append(modifier)
    known = prices.meters
    total = _NOTHING
    ids: list[int] = []
    for meter, quantity in _metered(quantities, prices):
        if not quantity:
            continue
        price = known.get(meter)
        if price is None:
            missing.append(meter)
        else:
            total += price.amount * quantity / price.per
            ids.append(price.id)
    if missing or not known:
        return Cost(
            PriceState.UNPRICED, None, prices.currency, factor=factor, missing=tuple(missing)
        )
    free = all([price.free for price in known.values()])  # noqa: C419 - a list is faster here
    ids.sort()
    return Cost(
        PriceState.FREE if free else PriceState.PRICED,
        rounded(total * factor),
        prices.currency,
        tuple(ids),
        factor,
    )


def worst_case(bound: Bound, prices: Prices, modifiers: Iterable[Modifier] = ()) -> WorstCase:
    """Price the most a request can use, so that its hold is never smaller than its bill.

    Input: bytes of the body plus what Mistral's template adds, at most the context; the context
    itself where bytes bound nothing. Output: the request's ``max_tokens``, else the model's
    default, else what is usual, else ``DEFAULT_OUTPUT_TOKENS``, at most the context, for every
    choice asked for. A request that sets no cap can exceed these: the difference is posted as
    excess.
    """
    context = LONGEST_CONTEXT if bound.context_length is None else bound.context_length
    text = bound.request_bytes + TEMPLATE_TOKENS
    perhaps = bound.perhaps_seconds if Meter.AUDIO_SECOND in prices.meters else 0
    quantities = Quantities(
        prompt_tokens=context if bound.unbounded_input else min(text, context),
        completion_tokens=_output_cap(bound, context),
        pages=bound.pages,
        annotated_pages=bound.annotated_pages,
        audio_seconds=bound.audio_seconds + perhaps,
        characters=bound.characters,
    )
    return WorstCase(quantities, cost(quantities, prices, modifiers))


def longest_output(bound: Bound) -> int:
    """Bound what can have been written: by the request's own cap, else by the context.

    What was held for a request without a cap is what is usual, and bounds nothing.
    """
    context = LONGEST_CONTEXT if bound.context_length is None else bound.context_length
    is_capped = (bound.max_tokens or 0) > 0 or bound.default_max_tokens is not None
    most = _output_cap(bound, context) if is_capped else context * bound.choices
    return min(most, _LARGEST_QUANTITY) if bound.generates else 0


def _output_cap(bound: Bound, context: int) -> int:
    if not bound.generates:
        return 0
    cap = bound.max_tokens
    if cap is None:
        cap = bound.default_max_tokens
    if cap is None:
        cap = bound.usual_tokens
    if cap is None:
        cap = DEFAULT_OUTPUT_TOKENS
    return min(max(cap, 0), context) * bound.choices


def _metered(quantities: Quantities, prices: Prices) -> tuple[tuple[Meter, int], ...]:
    cached = quantities.cached_tokens if Meter.CACHED_INPUT in prices.meters else 0
    return (
        (Meter.INPUT, quantities.prompt_tokens - cached),
        (Meter.CACHED_INPUT, cached),
        (Meter.OUTPUT, quantities.completion_tokens),
        (Meter.PAGE, quantities.pages),
        (Meter.ANNOTATED_PAGE, quantities.annotated_pages),
        (Meter.AUDIO_SECOND, quantities.audio_seconds),
        (Meter.CHARACTER, quantities.characters),
        (Meter.TRAINING_TOKEN, quantities.training_tokens),
        (Meter.STORAGE, quantities.storage_months),
        (Meter.CONNECTOR, quantities.connector_calls),
    )
