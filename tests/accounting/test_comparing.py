"""Every difference is split into reasons that add up to it, and each reason is the right one."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.accounting.comparing import Ours, Reason, compare
from tenants.accounting.figures import Figure, Place, Used, of_typed
from tenants.common.money import rounded
from tenants.spend.pricing import Meter, Prices, UnitPrice

IN, CACHED, OUT = Meter.INPUT, Meter.CACHED_INPUT, Meter.OUTPUT
LIST = Prices(
    "m",
    "EUR",
    {
        IN: UnitPrice(1, Decimal(1), 1000),
        CACHED: UnitPrice(2, Decimal("0.1"), 1000),
        OUT: UnitPrice(3, Decimal(4), 1000),
    },
)
PLACE = Place("completion", "m")


def ours(estimated="0", factor=1, **counts):
    meters = {Meter(name): count for name, count in counts.items()}
    amount = sum(LIST.meters[meter].amount / 1000 * count for meter, count in meters.items())
    return Ours(rounded(Decimal(amount) * factor), Decimal(estimated), 0, meters, LIST)


def theirs(discount="1", included=0, **counts):
    figure = Figure()
    total = Decimal(0)
    for name, count in counts.items():
        meter = Meter(name)
        price = LIST.meters[meter].amount / 1000 * Decimal(discount)
        paid = Decimal(count) - (included if meter is OUT else 0)
        figure.meters[meter] = Used(Decimal(count), paid, price, paid * price)
        total += paid * price
    figure.amount = total
    return figure


def reasons(one, other):
    (line,) = compare({PLACE: one}, {PLACE: other})
    assert sum(line.reasons.values(), Decimal(0)) == line.difference
    return {
        reason: amount
        for reason, amount in line.reasons.items()
        if abs(amount) > Decimal("0.000001")
    }


COUNTS = {"input": 1000, "cached_input": 200, "output": 300}


def test_two_sides_that_agree_have_nothing_to_explain():
    assert reasons(ours(**COUNTS), theirs(**COUNTS)) == {}


def test_a_discount_is_a_matter_of_price():
    assert reasons(ours(**COUNTS), theirs("0.9", **COUNTS)) == {
        Reason.PRICE_RULE: Decimal("-0.222")
    }


def test_batches_at_half_price_agree_with_a_bill_of_half():
    assert reasons(ours(factor=Decimal("0.5"), **COUNTS), theirs("0.5", **COUNTS)) == {}


def test_more_of_everything_is_use_that_was_not_metered():
    more = {name: count * 2 for name, count in COUNTS.items()}
    assert reasons(ours(**COUNTS), theirs(**more)) == {Reason.UNMETERED_USE: Decimal("2.22")}


def test_a_model_that_never_passed_here_is_use_that_was_not_metered():
    (line,) = compare({}, {PLACE: theirs(**COUNTS)})
    assert line.reasons == {Reason.UNMETERED_USE: line.difference}


def test_the_same_prompt_with_more_of_it_cached():
    moved = {"input": 900, "cached_input": 300, "output": 300}
    assert reasons(ours(**COUNTS), theirs(**moved)) == {Reason.CACHED_TOKENS: Decimal("-0.09")}


def test_less_than_was_estimated_is_the_estimates():
    less = COUNTS | {"output": 200}
    assert reasons(ours(estimated="1", **COUNTS), theirs(**less)) == {
        Reason.ESTIMATES: Decimal("-0.4")
    }
    assert reasons(ours(estimated="0.1", **COUNTS), theirs(**less)) == {
        Reason.ESTIMATES: Decimal("-0.1"),
        Reason.NOT_BILLED: Decimal("-0.3"),
    }


def test_usage_that_the_plan_includes_is_not_billed_and_said_so():
    assert reasons(ours(**COUNTS), theirs(included=100, **COUNTS)) == {
        Reason.INCLUDED_USAGE: Decimal("-0.4")
    }


def test_an_amount_alone_explains_nothing_and_tokens_alone_have_no_difference():
    assert reasons(ours(**COUNTS), Figure(Decimal(5))) == {Reason.UNEXPLAINED: Decimal("2.78")}
    (line,) = compare({PLACE: ours(**COUNTS)}, {PLACE: Figure(None, {IN: Used(Decimal(9))})})
    assert (line.difference, line.reasons) == (None, {})


def test_figures_that_tell_less_are_compared_with_the_sum():
    wide = {Place("completion", ""): Figure(Decimal(10))}
    here = {
        Place("completion", "m"): ours(output=1000),
        Place("completion", "n"): ours(output=500),
        Place("ocr", "o"): ours(output=1),
    }
    lines = {line.place: line for line in compare(here, wide)}
    assert lines[Place("completion", "")].ours.amount == 6
    assert set(lines) == {Place("completion", ""), Place("ocr", "o")}


counts = st.fixed_dictionaries({name: st.integers(0, 10**9) for name in COUNTS})


@given(
    here=counts,
    there=counts,
    discount=st.decimals("0.1", 3, places=2),
    estimated=st.decimals(0, 10, places=3),
    included=st.integers(0, 50),
)
def test_reasons_always_add_up_to_the_difference(here, there, discount, estimated, included):
    (line,) = compare(
        {PLACE: ours(estimated=estimated, **here)},
        {PLACE: theirs(discount, included=min(included, there["output"]), **there)},
    )
    assert sum(line.reasons.values(), Decimal(0)) == line.difference
    assert abs(line.reasons.get(Reason.ROUNDING, Decimal(0))) < Decimal("0.000001")
    assert abs(line.reasons.get(Reason.ESTIMATES, Decimal(0))) <= estimated


@pytest.mark.parametrize("known", [True, False])
def test_without_a_price_of_ours_nothing_is_claimed(known):
    one = Ours(Decimal(1), meters={IN: 10}, prices=LIST if known else Prices("m", "EUR", {}))
    found = reasons(one, theirs(input=10))
    assert (Reason.UNEXPLAINED in found) is not known


@pytest.mark.parametrize(
    ("ours", "typed", "reason"),
    [
        ("0.00016772", ["0.00"], Reason.ROUNDING),
        ("1.234999999", ["1.23"], Reason.ROUNDING),
        ("1.235000001", ["1.23"], Reason.UNEXPLAINED),
        ("1.234", ["1.2345"], Reason.UNEXPLAINED),
        ("1.23446", ["1.2345"], Reason.ROUNDING),
        ("5.004", ["5"], Reason.ROUNDING),
        ("5.006", ["5"], Reason.UNEXPLAINED),
        ("3.009", ["1.00", "2.00"], Reason.ROUNDING),
    ],
)
def test_a_typed_amount_is_as_exact_as_its_last_place(ours, typed, reason):
    rows = [{"category": "completion", "model": "m", "amount": Decimal(text)} for text in typed]
    (line,) = compare({PLACE: Ours(Decimal(ours))}, of_typed(rows))
    assert line.reasons == {reason: line.difference}
