"""Pricing: golden costs, and what holds for every usage."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.spend.factors import PUBLISHED, FactorBook
from tenants.spend.pricing import (
    DEFAULT_OUTPUT_TOKENS,
    LONGEST_CONTEXT,
    TEMPLATE_TOKENS,
    Bound,
    Meter,
    Modifier,
    Prices,
    PriceState,
    Quantities,
    UnitPrice,
    cost,
    longest_output,
    worst_case,
)

MILLION = 1_000_000
NOW = datetime(2026, 11, 26, tzinfo=UTC)
FACTORS = PUBLISHED.at(NOW)


def prices(**meters: str) -> Prices:
    units = {"page": 1000, "annotated_page": 1000, "audio_second": 60, "storage": 1, "connector": 1}
    return Prices(
        "mistral-small-2603",
        "EUR",
        {
            Meter(name): UnitPrice(number, Decimal(amount), units.get(name, MILLION))
            for number, (name, amount) in enumerate(meters.items(), 1)
        },
        FACTORS,
    )


SMALL = prices(input="0.12", cached_input="0.012", output="0.5")
OCR = prices(page="3.5", annotated_page="4.38")
FREE = Prices("labs", "EUR", {meter: UnitPrice(9, Decimal(0), 1, free=True) for meter in Meter})
UNPRICED = Prices("ft:mistral-small:acme:20260101:abcd", "EUR", {})


@pytest.mark.parametrize(
    ("listed", "used", "modifiers", "expected"),
    [
        (SMALL, Quantities(prompt_tokens=1000, completion_tokens=200), (), "0.000220000"),
        (
            SMALL,
            Quantities(prompt_tokens=1000, cached_tokens=640, completion_tokens=200),
            (),
            "0.000150880",
        ),
        (SMALL, Quantities(prompt_tokens=1), (), "0.000000120"),
        (SMALL, Quantities(prompt_tokens=64, cached_tokens=64), (), "0.000000768"),
        (
            SMALL,
            Quantities(prompt_tokens=1000, completion_tokens=200),
            (Modifier.PRIORITY,),
            "0.000385000",
        ),
        (
            SMALL,
            Quantities(prompt_tokens=1000, completion_tokens=200),
            (Modifier.BATCH,),
            "0.000110000",
        ),
        (
            SMALL,
            Quantities(prompt_tokens=1000, completion_tokens=200),
            (Modifier.REGIONAL, Modifier.PRIORITY),
            "0.000423500",
        ),
        (prices(input="0.1"), Quantities(prompt_tokens=8192), (), "0.000819200"),
        (prices(input="0.1"), Quantities(prompt_tokens=64, cached_tokens=64), (), "0.000006400"),
        (OCR, Quantities(pages=7), (), "0.024500000"),
        (OCR, Quantities(pages=7, annotated_pages=2), (), "0.033260000"),
        (prices(audio_second="0.0026"), Quantities(audio_seconds=61), (), "0.002643333"),
        (prices(character="10"), Quantities(characters=1234), (), "0.012340000"),
        (
            prices(input="0.088", output="0.35", audio_second="0.0035"),
            Quantities(prompt_tokens=375, completion_tokens=42, audio_seconds=30),
            (),
            "0.001797700",
        ),
        (
            SMALL,
            Quantities(prompt_tokens=1000, completion_tokens=200),
            (Modifier.REGIONAL, Modifier.PRIORITY, Modifier.BATCH),
            "0.000211750",
        ),
        (OCR, Quantities(pages=1000), (Modifier.BATCH,), "1.750000000"),
        (OCR, Quantities(annotated_pages=3), (Modifier.REGIONAL,), "0.014454000"),
        (
            prices(input="0.12", output="0.5", connector="0.03"),
            Quantities(prompt_tokens=900, completion_tokens=100, connector_calls=2),
            (),
            "0.060158000",
        ),
        (prices(training_token="4"), Quantities(training_tokens=250_000), (), "1.000000000"),
        (prices(storage="2"), Quantities(storage_months=3), (), "6.000000000"),
        (SMALL, Quantities(), (), "0"),
    ],
)
def test_golden_costs(listed, used, modifiers, expected):
    found = cost(used, listed, modifiers)
    assert (found.state, found.amount) == (PriceState.PRICED, Decimal(expected))
    assert found.currency == "EUR"


def test_a_cost_names_the_prices_that_were_multiplied_and_their_factor():
    found = cost(Quantities(prompt_tokens=10, cached_tokens=10), SMALL, [Modifier.BATCH])
    assert (found.price_ids, found.factor) == ((2,), Decimal("0.5"))


def test_a_factor_holds_from_its_date_until_the_next_and_the_past_keeps_its_own():
    later = {"modifier": "priority", "factor": "2", "effective_from": "2027-01-01"}
    rows = [
        {"modifier": name.value, "factor": str(factor), "effective_from": "2026-01-01"}
        for name, factor in FACTORS.items()
    ]
    book = FactorBook([later, *rows])
    assert book.at(datetime(2025, 12, 31, tzinfo=UTC)) == {}
    assert book.at(datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) == FACTORS
    begun = book.at(datetime(2027, 1, 1, tzinfo=UTC))
    assert begun == {**FACTORS, Modifier.PRIORITY: Decimal(2)}


def test_a_list_of_factors_must_know_every_modifier():
    with pytest.raises(ValueError, match="batch"):
        FactorBook([{"modifier": "priority", "factor": "2", "effective_from": "2027-01-01"}])


def test_a_modifier_without_a_factor_is_not_taken_for_one():
    found = cost(Quantities(prompt_tokens=1), replace(SMALL, factors={}), [Modifier.BATCH])
    assert (found.state, found.missing) == (PriceState.UNPRICED, (Modifier.BATCH,))


def test_free_on_purpose_is_a_priced_zero():
    found = cost(Quantities(prompt_tokens=10, completion_tokens=10, pages=3), FREE)
    assert (found.state, found.amount) == (PriceState.FREE, Decimal(0))


def test_no_price_is_neither_free_nor_zero():
    found = cost(Quantities(prompt_tokens=10), UNPRICED)
    assert (found.state, found.amount) == (PriceState.UNPRICED, None)
    assert (found.currency, found.missing) == ("EUR", (Meter.INPUT,))
    halved = cost(
        Quantities(prompt_tokens=10), replace(UNPRICED, factors=FACTORS), [Modifier.BATCH]
    )
    assert halved.factor == FACTORS[Modifier.BATCH] != 1
    assert cost(Quantities(), UNPRICED).amount is None


def test_one_used_meter_without_a_price_leaves_the_whole_call_unpriced():
    found = cost(Quantities(prompt_tokens=10, audio_seconds=3), SMALL)
    assert (found.state, found.amount, found.missing) == (
        PriceState.UNPRICED,
        None,
        (Meter.AUDIO_SECOND,),
    )


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"prompt_tokens": -1}, "a quantity is out of range"),
        ({"pages": 2**31}, "a quantity is out of range"),
        ({"prompt_tokens": 5, "cached_tokens": 6}, "more tokens are cached than were sent"),
        ({"requests": -1}, "a quantity is out of range"),
    ],
)
def test_impossible_quantities_are_refused(facts, reason):
    with pytest.raises(ValueError, match=f"^{reason}$"):
        Quantities(**facts)


def test_the_largest_quantity_that_a_row_can_hold_is_possible():
    assert Quantities(characters=2**31 - 1).characters == 2**31 - 1


@pytest.mark.parametrize(
    ("bound", "prompt", "completion"),
    [
        (Bound(100, context_length=8192), TEMPLATE_TOKENS + 100, DEFAULT_OUTPUT_TOKENS),
        (Bound(100_000, context_length=8192), 8192, DEFAULT_OUTPUT_TOKENS),
        (Bound(100, context_length=2048), TEMPLATE_TOKENS + 100, 2048),
        (Bound(100, context_length=8192, max_tokens=7), TEMPLATE_TOKENS + 100, 7),
        (Bound(100, context_length=8192, max_tokens=0), TEMPLATE_TOKENS + 100, 0),
        (Bound(100, context_length=8192, max_tokens=99_999), TEMPLATE_TOKENS + 100, 8192),
        (Bound(100, context_length=8192, default_max_tokens=50), TEMPLATE_TOKENS + 100, 50),
        (
            Bound(100, context_length=8192, max_tokens=7, default_max_tokens=50),
            TEMPLATE_TOKENS + 100,
            7,
        ),
        (Bound(100, context_length=8192, max_tokens=7, choices=3), TEMPLATE_TOKENS + 100, 21),
        (Bound(100, context_length=8192, unbounded_input=True, max_tokens=7), 8192, 7),
        (Bound(100, context_length=None, unbounded_input=True, max_tokens=7), LONGEST_CONTEXT, 7),
        (Bound(100, context_length=8192, generates=False), TEMPLATE_TOKENS + 100, 0),
        (Bound(100, context_length=8192, usual_tokens=77), TEMPLATE_TOKENS + 100, 77),
    ],
)
def test_the_worst_case_of_a_request(bound, prompt, completion):
    found = worst_case(bound, SMALL)
    assert found.quantities.prompt_tokens == prompt
    assert found.quantities.completion_tokens == completion
    assert found.cost == cost(found.quantities, SMALL)


def test_what_is_no_text_is_bounded_as_the_request_says():
    bound = Bound(0, pages=7, annotated_pages=2, audio_seconds=60, characters=500)
    found = worst_case(bound, OCR).quantities
    assert (found.pages, found.annotated_pages) == (7, 2)
    assert (found.audio_seconds, found.characters) == (60, 500)


def test_the_worst_case_is_multiplied_as_the_call_will_be():
    bound = Bound(100, context_length=8192, max_tokens=7)
    dearer = worst_case(bound, SMALL, [Modifier.PRIORITY])
    assert dearer.cost == cost(dearer.quantities, SMALL, [Modifier.PRIORITY])
    assert dearer.cost.factor == FACTORS[Modifier.PRIORITY] > 1


def test_the_worst_case_of_an_unpriced_request_is_unknown():
    assert worst_case(Bound(100, context_length=8192), UNPRICED).cost.amount is None


def amount(used, listed, modifiers):
    found = cost(used, listed, modifiers).amount
    assert found is not None
    return found


AMOUNT = st.decimals(0, 100, places=4, allow_nan=False)
TOKENS = st.integers(0, 2_000_000)
MODIFIERS = st.sets(st.sampled_from(Modifier))


@st.composite
def listings(draw):
    asked = draw(AMOUNT)
    cached = draw(st.none() | st.decimals(0, asked, places=4, allow_nan=False))
    meters = {
        Meter.INPUT: UnitPrice(1, asked, MILLION),
        Meter.OUTPUT: UnitPrice(2, draw(AMOUNT), MILLION),
    }
    if cached is not None:
        meters[Meter.CACHED_INPUT] = UnitPrice(3, cached, MILLION)
    return Prices("any", "EUR", meters, FACTORS)


@given(listings(), TOKENS, TOKENS, st.data(), MODIFIERS)
def test_a_cost_is_exact_to_the_nano_unit_never_negative_and_cheaper_when_cached(
    listed, prompt, completion, data, modifiers
):
    cached = data.draw(st.integers(0, prompt))
    found = amount(Quantities(prompt, completion, cached), listed, modifiers)
    plain = amount(Quantities(prompt, completion), listed, modifiers)
    factor = Decimal(1)
    for modifier in modifiers:
        factor *= FACTORS[modifier]
    asked, output = listed.meters[Meter.INPUT].amount, listed.meters[Meter.OUTPUT].amount
    exact = (asked * prompt + output * completion) * factor / MILLION
    assert abs(plain - exact) <= Decimal("0.0000000005")
    assert 0 <= found <= plain


CAPS = st.tuples(st.integers(1, 300_000), st.none() | st.integers(0, 400_000), st.integers(1, 4))


@given(listings(), st.text(max_size=300), CAPS, st.data(), MODIFIERS)
def test_no_answer_within_its_caps_costs_more_than_its_worst_case(
    listed, text, caps, data, modifiers
):
    context, asked, choices = caps
    size = len(text.encode("utf-8", "surrogatepass"))
    bound = Bound(size, context_length=context, max_tokens=asked, choices=choices)
    worst = worst_case(bound, listed, modifiers)
    # No token is shorter than a byte; Mistral adds its template and never passes the context.
    prompt = data.draw(st.integers(0, min(size + TEMPLATE_TOKENS, context)))
    cap = min(DEFAULT_OUTPUT_TOKENS if asked is None else asked, context)
    used = Quantities(
        prompt, data.draw(st.integers(0, cap * choices)), data.draw(st.integers(0, prompt))
    )
    assert amount(used, listed, modifiers) <= (worst.cost.amount or 0)


@pytest.mark.parametrize(
    ("bound", "most"),
    [
        (Bound(1, context_length=1000), 1000),
        (Bound(1, context_length=1000, usual_tokens=9, choices=3), 3000),
        (Bound(1), LONGEST_CONTEXT),
        (Bound(1, context_length=1000, max_tokens=7, choices=2), 14),
        (Bound(1, context_length=1000, max_tokens=0), 1000),
        (Bound(1, context_length=1000, default_max_tokens=7), 7),
        (Bound(1, context_length=1000, generates=False), 0),
        (Bound(1, context_length=2**30, choices=128), 2**31 - 1),
    ],
)
def test_only_a_cap_of_its_own_and_the_context_bound_what_a_request_can_have_written(bound, most):
    assert longest_output(bound) == most
