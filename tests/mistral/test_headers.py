import pytest

from tenants.mistral.headers import (
    RateLimitReading,
    forwarded,
    read_correlation_id,
    read_rate_limits,
    read_retry_after,
    returned,
)


def test_only_what_describes_the_body_and_the_wished_answer_goes_to_mistral():
    sent = [
        (b"content-type", b"multipart/form-data; boundary=x"),
        (b"accept", b"text/event-stream"),
        (b"authorization", b"Bearer aim_mdl_x"),
        (b"x-api-key", b"aim_mdl_x"),
        (b"cookie", b"a=b"),
        (b"user-agent", b"somebody"),
        (b"x-forwarded-for", b"10.0.0.1"),
        (b"x-message-id", b"m1"),
        (b"idempotency-key", b"k"),
        (b"accept-encoding", b"gzip"),
        (b"transfer-encoding", b"chunked"),
        (b"content-length", b"5"),
        (b"host", b"gateway.test"),
    ]

    assert forwarded(sent) == {
        "content-type": "multipart/form-data; boundary=x",
        "accept": "text/event-stream",
    }


def test_only_mistrals_facts_about_the_answer_come_back():
    names = [
        "Content-Type",
        "Mistral-Correlation-Id",
        "X-Kong-Request-Id",
        "X-Envoy-Upstream-Service-Time",
        "Retry-After",
        "X-Model-Deprecation-Timestamp",
        "X-RateLimit-Limit-Req-Minute",
        "x-ratelimitbysize-limit-minute",
        "ratelimitbysize-remaining",
        "x-ratelimit-tokens-query-cost",
    ]
    withheld = [
        "Connection",
        "Keep-Alive",
        "Transfer-Encoding",
        "Content-Length",
        "Set-Cookie",
        "Server",
        "Date",
        "CF-Ray",
        "Via",
        "Access-Control-Allow-Origin",
        "Strict-Transport-Security",
        "Authorization",
    ]

    passed = returned(dict.fromkeys([*names, *withheld], "1"))

    assert passed == [(name.lower().encode(), b"1") for name in names]


def test_rate_limits_are_read_by_pattern_and_the_window_stays_data():
    headers = {
        "X-RateLimit-Limit-Req-Minute": "60",
        "x-ratelimit-remaining-req-minute": "59",
        "x-ratelimit-limit-tokens-5-minute": "500000",
        "x-ratelimit-remaining-tokens-month": "0",
        "x-ratelimit-limit-req-10-second": "5",
        "x-ratelimit-tokens-query-cost": "120",
        "x-ratelimitbysize-limit-minute": "2000000",
        "ratelimitbysize-limit": "7",
        "ratelimitbysize-remaining": "6",
        "ratelimitbysize-query-cost": "3",
        "x-ratelimit-limit-odd": "many",
        "x-ratelimit-limit-odder": "-1",
        "x-ratelimit-limit": "9" * 40,
        "retry-after": "1",
    }

    assert read_rate_limits(headers) == (
        RateLimitReading("req-minute", limit=60, remaining=59),
        RateLimitReading("tokens-5-minute", limit=500_000),
        RateLimitReading("tokens-month", remaining=0),
        RateLimitReading("req-10-second", limit=5),
        RateLimitReading("minute", by_size=True, limit=2_000_000),
        RateLimitReading("", by_size=True, limit=7, remaining=6),
    )


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("1.2", 2),
        ("999999999", 86_400),
        ("9" * 30, None),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("٣", None),
        ("Mon, 23 Nov 2026 10:00:30 GMT", 30),
        ("Mon, 23 Nov 2026 09:00:00 GMT", 0),
        ("Mon, 23 Nov 2099 10:00:30 GMT", 86_400),
    ],
)
def test_retry_after_is_seconds_or_a_date_against_the_answers_own_clock(value, seconds):
    headers = {"Retry-After": value, "Date": "Mon, 23 Nov 2026 10:00:00 GMT"}

    assert read_retry_after(headers) == seconds


def test_a_retry_date_without_a_clock_to_compare_tells_nothing():
    assert read_retry_after({"retry-after": "Mon, 23 Nov 2026 10:00:30 GMT"}) is None
    assert read_retry_after({}) is None


def test_the_correlation_id_falls_back_to_kongs_and_is_never_an_odd_text():
    assert read_correlation_id({"Mistral-Correlation-Id": "a1", "x-kong-request-id": "b2"}) == "a1"
    assert read_correlation_id({"X-Kong-Request-Id": "b2"}) == "b2"
    assert read_correlation_id({"mistral-correlation-id": "a b", "x-kong-request-id": ""}) is None
