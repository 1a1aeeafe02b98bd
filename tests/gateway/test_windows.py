"""What counts within a stretch of time: never too generous, hardly too strict."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.gateway.windows import FOREVER, Allowance, Gate, MonthCount, Window

STEPS = st.lists(
    st.tuples(st.floats(0, 30, allow_nan=False), st.integers(1, 4)), min_size=1, max_size=60
)


@given(limit=st.integers(1, 20), seconds=st.sampled_from([1.0, 10.0, 60.0]), steps=STEPS)
def test_in_no_stretch_of_its_seconds_more_than_the_limit_is_let_through(limit, seconds, steps):
    window, now, passed = Window(limit, seconds), 1000.0, []
    for pause, units in steps:
        now += pause * seconds / 60
        if window.ready_in(units, now) == 0:
            window.add(units, now)
            passed.append((now, units))
    for at, _ in passed:
        within = sum(units for when, units in passed if at <= when < at + seconds)
        assert within <= limit


@given(limit=st.integers(1, 9), steps=STEPS, units=st.integers(1, 9))
def test_what_is_told_to_be_ready_is_ready_then_and_at_most_a_slot_late(limit, steps, units):
    window, now = Window(limit, 60.0), 500.0
    for pause, used in steps:
        now += pause
        if window.ready_in(used, now) == 0:
            window.add(used, now)
    units = min(units, limit)
    wait = window.ready_in(units, now)
    assert wait <= 60 + window.width
    assert window.ready_in(units, now + wait + 1e-6) == 0


def test_more_than_the_limit_takes_several_stretches():
    window = Window(10, 60.0)
    assert window.ready_in(10, 0.0) == 0
    assert window.ready_in(11, 0.0) > 60
    assert window.ready_in(21, 0.0) > 120


def test_a_correction_counts_where_the_units_were_counted_and_not_after():
    window = Window(100, 60.0)
    window.add(80, 10.0)
    window.correct(-70, 10.0, 12.0)
    assert window.used(12.0) == 10
    assert window.ready_in(90, 12.0) == 0
    window.correct(-10, 10.0, 200.0)
    assert window.used(200.0) == 0


def test_what_mistral_no_longer_counts_is_forgotten_and_what_was_sent_since_is_not():
    window = Window(10, 60.0)
    window.add(6, 0.0)
    window.add(2, 20.0)
    window.add(1, 30.0)
    window.believe(1, 30.0, 31.0)
    assert window.used(31.0) == 2, "one that Mistral counts, and one sent since"
    assert window.ready_in(8, 31.0) == 0
    window.believe(0, 31.0, 32.0, under_way=5)
    assert window.used(32.0) == 2, "under way: not more than there was"
    window.believe(9, 31.0, 32.0)
    assert window.used(32.0) == 9, "the others'"


@given(limit=st.integers(5, 50), steps=STEPS, used=st.integers(0, 60))
def test_believing_never_forgets_what_was_sent_since_nor_counts_below_mistral(limit, steps, used):
    window, now, sent = Window(limit, 60.0), 100.0, []
    for pause, units in steps:
        now += pause
        window.add(units, now)
        sent.append((now, units))
    since = sent[len(sent) // 2][0]
    before = window.used(now)
    window.believe(used, since, now)
    later = sum(units for at, units in sent if at >= since and at > now - 60)
    assert window.used(now) >= max(used, later)
    assert window.used(now) <= max(before, used)


def test_what_others_use_counts_until_the_stretch_is_over():
    window = Window(10, 60.0)
    window.add(3, 0.0)
    window.hear(8, 1.0)
    assert window.used(1.0) == 8
    assert window.ready_in(3, 1.0) == pytest.approx(60, abs=2.1)
    assert window.used(70.0) == 0
    assert Window(0, 1.0).ready_in(1, 0.0) == FOREVER


def test_a_month_keeps_what_this_process_counted_and_begins_anew_at_its_end():
    month = MonthCount(100, ends=1000.0)
    month.settle(60, 0.0)
    month.add(20, 1.0)
    month.settle(70, 2.0)
    assert month.used(2.0) == 80
    assert month.ready_in(30, 2.0) == 998
    assert month.ready_in(20, 2.0) == 0
    month.correct(-15, 1.0, 3.0)
    assert month.used(3.0) == 65
    assert (month.used(1000.0), month.ready_in(100, 1000.0)) == (0, 0)


def test_an_allowance_is_believed_for_some_minutes():
    left = Allowance(1000)
    assert left.ready_in(5000, 0.0) == 0  # nothing was told yet
    left.hear(990, 0.0)
    left.add(8, 1.0)
    assert (left.ready_in(2, 1.0), left.ready_in(3, 1.0)) == (0, 599)
    assert left.ready_in(3, 600.0) == 0


def test_a_gate_is_never_opened_earlier_and_then_widens_with_success():
    gate = Gate()
    gate.close(10, now=0.0)
    gate.close(2, now=1.0)
    assert gate.ready_in(1, 1.0) == 9
    assert gate.ready_in(1, 10.0) == 0
    gate.add(1, 10.0)
    assert gate.ready_in(1, 10.0) > 0
    gate.widen()
    assert gate.ready_in(1, 10.0) == 0
    gate.leave()
    assert gate.going == 0
