"""What headers and refusals teach about Mistral's limits, and what nothing else may teach."""

import asyncio

import pytest
from django.utils import timezone

from tenants.common.models import new_id
from tenants.gateway.buckets import Bucket
from tenants.gateway.needs import too_many
from tenants.mistral.classification import classify
from tenants.mistral.headers import RateLimitReading, read_rate_limits
from tenants.mistral.windows import INFERRED
from tests.gateway.paced import Clock, go, pacer, picture_of


@pytest.fixture
def clock():
    return Clock(0.0)


@pytest.fixture
def bucket():
    return Bucket(new_id(), "key:1", "mistral-small-2603")


def refusal(headers=None, body=b"{}", status=429):
    return classify(status, headers or {}, body)


def test_headers_teach_and_an_unknown_window_is_kept_and_limits_nothing(bucket):
    bucket.hear(
        read_rate_limits(
            {
                "X-RateLimit-Limit-Req-Minute": "6",
                "x-ratelimit-remaining-req-minute": "2",
                "x-ratelimit-limit-tokens-minute": "1000",
                "x-ratelimit-limit-moons-fortnight": "3",
            }
        ),
        100.0,
    )
    assert [(rule.name, rule.counter.limit) for rule in bucket.rules] == [
        ("pause", 1),
        ("req-minute", 6),
        ("tokens-minute", 1000),
    ]
    requests = bucket.rules[1].counter
    assert requests.used(100.0) == 4  # somebody else's
    assert requests.ready_in(3, 100.0) > 50
    assert {row["window"] for row in bucket.shown()} == {
        "req-minute",
        "tokens-minute",
        "moons-fortnight",
    }


def test_the_longer_of_retry_after_and_back_off_holds_and_is_never_shortened(bucket):
    bucket.refuse(refusal({"retry-after": "20"}), 100.0, 100.0)
    assert bucket.gate.until == 120
    bucket.refuse(refusal({"retry-after": "1"}), 101.0, 101.0)
    assert bucket.gate.until == 120
    for now in (102.0, 103.0, 104.0, 105.0):
        bucket.refuse(refusal(), now, now)
    assert 105 + 32 <= bucket.gate.until <= 105 + 35.2
    bucket.recall((), 106.0, closed_for=5)
    assert bucket.gate.until >= 137


def test_calls_that_were_refused_together_do_not_make_the_pause_longer(bucket):
    for _ in range(8):
        bucket.refuse(refusal(), 99.9, 100.0)
    assert (bucket.refusals, bucket.gate.until < 101.2) == (1, True)


def test_after_a_refusal_one_goes_at_a_time_and_success_widens(bucket):
    bucket.refuse(refusal(), 100.0, 100.0)
    assert (bucket.gate.width, bucket.is_free(200.0)) == (1, False)
    bucket.succeed(102.0)
    assert (bucket.gate.width, bucket.refusals) == (2, 0)
    bucket.succeed(200.0)
    assert bucket.is_free(200.0)


def test_a_limit_of_zero_is_a_plan_and_no_window(bucket):
    headers = {"x-ratelimit-limit-req-minute": "0", "x-ratelimit-remaining-req-minute": "0"}
    bucket.hear(read_rate_limits(headers), 100.0)
    bucket.refuse(refusal(headers), 100.0, 100.0)
    assert bucket.outside_plan_until == 700
    assert bucket.gate.until < 100
    bucket.succeed(800.0)
    assert bucket.outside_plan_until < 0


def test_a_used_up_month_closes_for_long(bucket):
    headers = {"x-ratelimit-limit-tokens-month": "100", "x-ratelimit-remaining-tokens-month": "0"}
    bucket.refuse(refusal(headers), 100.0, 100.0)
    assert bucket.gate.until >= 3700


def guessed(bucket):
    """What is guessed of a minute; None where nothing is."""
    return next((rule.counter.limit for rule in bucket.rules if rule.name == INFERRED), None)


def refused_for_long(bucket, served=10):
    """Mistral serves so many calls, and refuses the next ones from 110.0 to 119.0."""
    for second in range(served):
        bucket.served.add(1, 100.0 + second / 2)
    for now in (110.0, 111.5, 114.0, 119.0):
        bucket.refuse(refusal(), now, now)


def test_a_limit_that_no_header_tells_is_inferred_from_a_long_refusal(bucket):
    refused_for_long(bucket)
    bucket.succeed(130.0)
    assert guessed(bucket) == 10


def test_what_was_inferred_grows_by_what_permits_hear(clock):
    process = pacer(clock=clock)
    shown = picture_of(new_id(), new_id())

    def permit():
        clock.now += 61
        return asyncio.run(go(process, shown))

    bucket = permit().lane.bucket
    refused_for_long(bucket)
    clock.now = 130.0
    limits = []
    for _ in range(60):  # an hour of one call a minute
        one = permit()
        one.heard({})
        one.finish(1, 1)
        limits.append(guessed(bucket))
    assert (limits[0], limits[-1] > 20, sorted(limits)) == (10, True, limits)


def test_the_back_off_after_mistrals_last_refusal_is_no_refusal_of_its(bucket):
    for second in range(10):
        bucket.served.add(1, 100.0 + second)
    for now in (110.0, 111.1, 113.2):  # Mistral refuses for four seconds
        bucket.refuse(refusal(), now, now)
    bucket.succeed(117.5)
    assert guessed(bucket) is None


@pytest.mark.parametrize("served", [0, 1, 4])
def test_a_minute_in_which_next_to_nothing_was_served_is_no_limit(bucket, served):
    refused_for_long(bucket, served)
    bucket.succeed(130.0)
    assert guessed(bucket) is None


def test_what_mistral_tells_of_requests_is_believed_and_no_guess(bucket):
    plenty = [RateLimitReading("req-minute", limit=1_000_000, remaining=999_999)]
    bucket.hear(plenty, 100.0, 100.0)
    refused_for_long(bucket)
    bucket.succeed(130.0)
    assert guessed(bucket) is None


def test_a_guess_is_dropped_when_mistral_tells_its_limit(bucket):
    refused_for_long(bucket)
    bucket.succeed(130.0)
    saved = bucket.shown()
    bucket.hear([RateLimitReading("req-minute", limit=60, remaining=59)], 140.0, 139.0)
    assert guessed(bucket) is None
    assert INFERRED not in {row["window"] for row in bucket.shown()}
    bucket.recall([RateLimitReading(**row) for row in saved], 150.0, closed_for=0)
    assert guessed(bucket) is None


def test_a_saved_guess_that_would_not_be_made_any_more_is_forgotten(bucket):
    bucket.recall([RateLimitReading(INFERRED, limit=1)], 50.0, closed_for=0)
    assert (guessed(bucket), bucket.shown()) == (None, [])
    bucket.recall([RateLimitReading(INFERRED, limit=30)], 50.0, closed_for=0)
    assert guessed(bucket) == 30


def test_a_guess_is_not_called_mistrals_limit(bucket):
    refused_for_long(bucket)
    bucket.succeed(130.0)
    problem = too_many(bucket.rules[1], 5.0, 130.0)
    assert "Mistral's limit" not in problem.detail
    assert problem.members["rate"] == INFERRED


def test_a_short_refusal_infers_nothing(bucket):
    bucket.served.add(1, 100.0)
    bucket.refuse(refusal(), 100.1, 100.1)
    bucket.succeed(101.5)
    assert [rule.name for rule in bucket.rules] == ["pause"]


def test_what_was_saved_limits_again_after_a_restart(bucket):
    bucket.recall([RateLimitReading("req-minute", limit=5, remaining=0)], 50.0, closed_for=9)
    assert bucket.gate.until == 59
    counter = bucket.rules[1].counter
    assert (counter.limit, counter.used(50.0)) == (5, 0)  # what was left then says nothing now


def test_a_success_that_leaves_more_room_than_was_counted_is_believed_and_a_refusal_is_not(bucket):
    told = [RateLimitReading("req-minute", limit=60, remaining=59)]
    bucket.hear(told, 0.0, 0.0)
    requests = bucket.rules[1].counter
    requests.add(50, 0.0)
    bucket.hear(told, 30.0)
    assert requests.used(30.0) == 50
    bucket.hear(told, 30.0, 29.0)
    assert requests.used(30.0) == 1


def test_what_was_left_of_a_month_is_recalled_and_the_ledger_may_know_less(bucket):
    month = RateLimitReading("tokens-month", limit=1000, remaining=300)
    bucket.recall([month], 100.0, closed_for=0)
    assert bucket.is_unread
    (rule,) = [rule for rule in bucket.rules if rule.name == "tokens-month"]
    assert rule.counter.used(100.0) == 700
    bucket.settle(650, 100.0)
    assert (bucket.is_unread, rule.counter.used(100.0)) == (False, 700)
    bucket.settle(990, 100.0)
    assert rule.counter.ready_in(20, 100.0) > 0
    assert rule.counter.ready_in(20, 800.0) == 0  # after some minutes Mistral is asked again
    bucket.hear([RateLimitReading("tokens-month", limit=1000, remaining=1000)], 800.0)
    assert rule.counter.used(800.0) == 0


def test_what_refusals_taught_is_forgotten_on_wish_and_what_headers_told_stays(bucket):
    tokens = RateLimitReading("tokens-minute", limit=1000, remaining=900)
    bucket.hear([tokens], 100.0, 100.0)
    refused_for_long(bucket)
    bucket.succeed(130.0)
    bucket.refuse(refusal({"retry-after": "3600"}), 131.0, 131.0)
    bucket.outside_plan_until = 700.0
    wish = timezone.now()
    bucket.forget_refusals(wish)
    assert (bucket.gate.until < 131, bucket.outside_plan_until < 131, guessed(bucket)) == (
        True,
        True,
        None,
    )
    assert [rule.name for rule in bucket.rules] == ["pause", "tokens-minute"]
    assert (bucket.reset_at, bucket.is_changed) == (wish, True)
