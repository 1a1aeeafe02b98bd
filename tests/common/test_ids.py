"""Ids: in the order they were made, and in the time of the clock."""

import time

from tenants.common.models import new_id


def test_ids_sort_as_they_were_made():
    made = [new_id() for _ in range(1_000)]
    assert made == sorted(set(made))


def test_an_id_tells_the_right_time_after_a_clock_that_was_far_ahead(monkeypatch):
    """The library makes ids of a later time here, as it does after the clock was set back."""
    back = time.time_ns() - 5 * 3_600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: back)
    made = [new_id() for _ in range(1_000)]
    assert {identity.int >> 80 for identity in made} == {back // 1_000_000}
    assert len(set(made)) == 1_000
