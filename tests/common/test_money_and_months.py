"""Money and months: the algebra that limits and reports stand on."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.common import money
from tenants.common.months import Month

ZONES = sorted({"Europe/Rome", "America/New_York", "Pacific/Apia", "UTC"} & available_timezones())


@given(st.decimals(min_value=0, max_value=10**9, places=15, allow_nan=False))
def test_rounding_is_to_the_nano_unit_and_idempotent(amount):
    once = money.rounded(amount)
    assert abs(once - amount) <= Decimal("0.0000000005")
    assert money.rounded(once) == once


@pytest.mark.parametrize(
    ("text", "plain"), [("0", "0.00"), ("500.5", "500.50"), ("1E+3", "1000.00")]
)
def test_amounts_are_written_plainly(text, plain):
    assert money.plain(Decimal(text)) == plain


def test_small_costs_keep_their_digits():
    assert money.plain(Decimal("0.000123000")) == "0.000123"


def test_an_amount_can_be_written_without_decimals_that_it_does_not_have():
    assert money.plain(Decimal("12.000"), places=0) == "12"
    assert money.plain(Decimal("12.5"), places=0) == "12.5"


@pytest.mark.parametrize("text", ["0", "0.000000001", "90", "500.00", "999999999.999999999"])
def test_an_amount_is_read_as_it_is_written(text):
    assert money.parse_amount(text) == Decimal(text)


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["x", "", "1,5"], "not a decimal number"),
        (["-1", "-0", "NaN", "Infinity", "1e5", "1E5"], "not a positive decimal number"),
        (["0.0000000001", "1000000000"], "too large, or finer than a nano-unit"),
    ],
)
def test_an_amount_that_is_no_amount_is_refused(texts, reason):
    for text in texts:
        with pytest.raises(ValueError, match=f"^{reason}$"):
            money.parse_amount(text)


@given(
    st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2035, 1, 1)),  # noqa: DTZ001
    st.sampled_from(ZONES),
)
def test_every_instant_is_in_exactly_one_month_of_its_zone(naive, zone):
    instant = naive.replace(tzinfo=UTC)
    month = Month.of(instant, zone)
    assert month.starts_at <= instant < month.ends_at
    assert month.ends_at == month.next().starts_at
    assert Month.parse(str(month), zone) == month


def test_months_follow_romes_clock_across_summer_time():
    march = Month(2026, 3, "Europe/Rome")
    assert march.starts_at == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert march.ends_at == datetime(2026, 3, 31, 22, tzinfo=UTC)
    assert march.ends_at - march.starts_at == timedelta(days=31) - timedelta(hours=1)


def test_the_last_second_of_a_month_is_still_in_it():
    last = datetime(2026, 10, 31, 23, 59, 59, tzinfo=ZoneInfo("Europe/Rome"))
    assert str(Month.of(last, "Europe/Rome")) == "2026-10"
    assert str(Month.of(last + timedelta(seconds=1), "Europe/Rome")) == "2026-11"


@pytest.mark.parametrize(
    "text",
    [
        "2026-13",
        "2026-00",
        "26-01",
        "2026-1",
        "\u0662\u0660\u0662\u0666-\u0660\u0661",
        "1026-01",
        "",
    ],
)
def test_what_is_no_month_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011
        Month.parse(text, "UTC")
