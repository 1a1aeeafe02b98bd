import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aisuru_mistral import simulator
from tenants.mistral import errors
from tenants.mistral.classification import classify, classify_event
from tenants.mistral.errors import ErrorClass, Family, Quota, Reach, Retry, Scope

# The one table of Mistral's errors in this repository; the simulator answers from it.
TABLE = Path(simulator.__file__).parent / "data/errors.json"
ENTRIES: list[dict[str, Any]] = json.loads(TABLE.read_text())["errors"]
SCOPED = [entry for entry in ENTRIES if "scope" in entry]
SCOPES = {"workspace or organization": "workspace", "model (server side)": "model"}
ID = "0123456789abcdef0123456789abcdef"


def _retry(text):
    if text.startswith("yes"):
        return Retry.BACKOFF
    return Retry.AFTER_RESET if text.startswith("after reset") else Retry.NO


def judged(entry):
    body = entry.get("body_example")
    return classify(
        entry["http_status"],
        {"Mistral-Correlation-Id": ID, **entry.get("headers", {})},
        json.dumps(body).encode() if body else entry["body_text"].encode(),
        path=entry.get("match", {}).get("path^", "/v1/chat/completions"),
    )


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry["name"] for entry in ENTRIES])
def test_every_known_error_answer_gets_its_class_and_keeps_its_evidence(entry):
    failure = judged(entry)

    assert failure.error_class == entry["class"]
    assert failure.http_status == entry["http_status"]
    assert failure.correlation_id == ID
    assert failure.mistral_code == (entry.get("body_example") or {}).get("code")
    assert failure.reach is Reach.ANSWERED


@pytest.mark.parametrize("entry", SCOPED, ids=[entry["name"] for entry in SCOPED])
def test_every_recorded_error_answer_gets_its_scope_and_retry(entry):
    failure = judged(entry)

    assert failure.scope == SCOPES.get(entry["scope"], entry["scope"])
    assert failure.retry is _retry(entry["retry"])


def test_every_class_of_the_table_is_known_and_every_class_has_a_family_and_an_error():
    assert {entry["class"] for entry in ENTRIES} <= set(ErrorClass)
    for error_class in ErrorClass:
        failure = errors.UpstreamFailure(error_class, Scope.SERVER, Retry.NO)
        assert errors.error_of(failure).failure.family in Family


@pytest.mark.parametrize(
    ("status", "path", "body", "expected"),
    [
        # The same body came as 403 in 2024.
        (403, "", {"message": "Inactive subscription or usage limit reached"}, "billing_inactive"),
        (401, "", {"detail": "Inactive subscription"}, "billing_inactive"),
        (401, "", {}, "key_invalid"),
        (401, "/v1/admin/usage", {"detail": "Invalid API Key"}, "admin_key_required"),
        # Code and type are each enough; the code may come as a number.
        (402, "", {"code": 2303}, "included_usage_exhausted"),
        (402, "", {"type": "billing_api_budget_exhausted"}, "included_usage_exhausted"),
        (402, "", {"type": "billing_customer_monthly_x"}, "spending_limit_reached"),
        (402, "", {"anything": 1}, "subscription_required"),
        (403, "", {"error": {"code": "1910"}}, "model_tier_denied"),
        (400, "", {"message": "Model x-1 is deprecated."}, "model_retired"),
        (404, "/v1/models/x-1", {"detail": "Not Found"}, "model_unknown"),
        (404, "/v1/models/x-1", {"message": "Model x-1 is deprecated."}, "model_retired"),
        (404, "/v1/models/x-1", {"message": "no Route matched with those values"}, "no_route"),
        (404, "/v1/files/1", {"message": "File 1 was not found."}, "not_found"),
        (405, "", {"detail": "Method Not Allowed"}, "bad_request"),
        (413, "", {}, "bad_request"),
        (408, "", {}, "server_error"),
        (307, "", {}, "no_route"),
        # Capacity is not the caller's quota, whatever the status and the age of the body.
        (503, "", {"code": "3505"}, "capacity"),
        (429, "", {"code": "3810"}, "capacity"),
        (
            429,
            "",
            {
                "message": "Service tier capacity exceeded for this model.",
                "type": "invalid_request_error",
                "code": None,
            },
            "capacity",
        ),
        (400, "", {"type": "unreachable_backend"}, "server_error"),
        (529, "", {}, "server_error"),
    ],
)
def test_the_rules_hold_beyond_the_recorded_bodies(status, path, body, expected):
    assert classify(status, {}, json.dumps(body).encode(), path=path).error_class == expected


def test_the_limit_of_a_customer_stops_the_organization_any_other_the_workspace():
    by_customer = classify(402, {}, b'{"type": "billing_customer_monthly_x"}')
    by_another = classify(402, {}, b'{"type": "billing_x"}')

    assert (by_customer.scope, by_another.scope) == (Scope.ORGANIZATION, Scope.WORKSPACE)


def test_quota_capacity_and_outage_are_three_different_things():
    quota = errors.error_of(classify(429, {}, b""))
    capacity = errors.error_of(classify(429, {}, b'{"code": "3505"}'))
    outage = errors.error_of(classify(500, {}, b""))

    assert [type(error) for error in (quota, capacity, outage)] == [
        errors.QuotaError,
        errors.CapacityError,
        errors.OutageError,
    ]
    assert all(error.failure.retryable for error in (quota, capacity, outage))


@pytest.mark.parametrize(
    ("headers", "quota", "retryable"),
    [
        ({}, Quota.WINDOW, True),
        ({"x-ratelimit-remaining-tokens-minute": "0"}, Quota.WINDOW, True),
        ({"X-RateLimit-Remaining-Tokens-Month": "0"}, Quota.MONTH, False),
        ({"x-ratelimit-limit-req-minute": "0"}, Quota.NOT_IN_PLAN, False),
    ],
)
def test_a_429_tells_a_busy_minute_from_a_used_up_month_and_a_model_not_in_the_plan(
    headers, quota, retryable
):
    failure = classify(429, headers, b'{"type": "rate_limited", "code": "1300"}')

    assert (failure.error_class, failure.quota) == (ErrorClass.RATE_LIMITED, quota)
    assert failure.retryable is retryable


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"\xff\xfe\x00",
        b'"text"',
        b"[1, 2]",
        b"null",
        b"9" * 5000,
        b"[" * 100_000,
        b'{"detail":' * 500 + b"1" + b"}" * 500,
        b'{"message": {"detail": 5}, "code": {}, "type": [], "detail": {}}',
        b'{"code": true, "type": 7, "message": null}',
        b'{"message": "' + b"x" * 1_000_000 + b'"}',
    ],
    ids=range(12),
)
def test_a_body_of_any_shape_leaves_the_status_to_decide(body):
    failure = classify(401, {}, body)

    assert failure.error_class is ErrorClass.KEY_INVALID
    assert failure.mistral_code is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_a_body_in_another_encoding_is_still_understood(encoding):
    body = '{"message": "Déjà: \xe9", "code": "1910"}'.encode(encoding)

    assert classify(403, {}, body).error_class is ErrorClass.MODEL_TIER_DENIED


def test_a_key_in_the_place_of_a_code_or_type_is_not_kept():
    key = "QwErTyUiOpAsDfGhJkLzXcVbNm012345"
    body = json.dumps({"code": key, "type": key[:24], "message": key, "request_id": key}).encode()

    failure = classify(400, {"mistral-correlation-id": f"key {key}"}, body)

    assert key[:24] not in str(failure) + repr(failure)
    assert failure == classify(400, {}, b"{}")


def test_the_request_id_of_older_gateways_serves_as_correlation_id():
    failure = classify(401, {}, json.dumps({"message": "Unauthorized", "request_id": ID}).encode())

    assert failure.correlation_id == ID


def test_an_error_inside_a_stream_is_judged_by_its_own_status():
    limited = {"object": "error", "type": "rate_limited", "code": "1300", "raw_status_code": 429}

    assert classify_event(json.dumps(limited).encode()).error_class is ErrorClass.RATE_LIMITED
    assert classify_event(b'{"message": "x", "code": 422}').error_class is ErrorClass.VALIDATION
    assert classify_event(b'{"message": "x", "code": 3505}').error_class is ErrorClass.CAPACITY
    assert classify_event(b"oops").error_class is ErrorClass.SERVER_ERROR


def test_an_error_event_without_a_status_is_judged_by_its_marks():
    assert classify_event(b'{"code": "1300"}').error_class is ErrorClass.RATE_LIMITED
    assert classify_event(b'{"type": "invalid_model"}').error_class is ErrorClass.MODEL_UNKNOWN
    assert classify_event(b'{"code": "1300"}').http_status is None


@pytest.mark.parametrize("status", [0, 100, 200, 204, 299, 1000])
def test_a_success_is_not_classified(status):
    with pytest.raises(ValueError, match="no failure"):
        classify(status, {}, b"")


def test_errors_survive_pickling_and_say_what_they_are():
    error = errors.error_of(
        classify(402, {"retry-after": "60"}, b'{"type": "billing_x", "code": "2399"}')
    )
    wire = errors.WireError("data[0].id", "text")

    for original in (error, wire):
        copy = pickle.loads(pickle.dumps(original))  # noqa: S301 - our own bytes
        assert (type(copy), copy.failure, str(copy)) == (
            type(original),
            original.failure,
            str(original),
        )
    assert str(error) == "spending_limit_reached (HTTP 402, code 2399, type billing_x)"
    assert str(wire) == "unreadable_answer (reached: answered): data[0].id should be text"
    assert str(errors.never_reached()) == "server_error (reached: never)"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(deadline=None)  # the machine may be busy
@given(
    status=st.integers(300, 999),
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "date", "x-ratelimit-limit-req-minute", "x"]), st.text()
    ),
    body=st.binary()
    | st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("code", "type", "message", "detail", "error", "request_id", "status"), json_values
        ),
    ).map(lambda document: json.dumps(document).encode()),
    path=st.sampled_from(["", "/v1/models/x", "/v1/admin/usage"]),
)
def test_any_answer_gets_a_class(status, headers, body, path):
    failure = classify(status, headers, body, path=path)

    assert isinstance(errors.error_of(failure), errors.MistralError)
    assert failure.retry_after_seconds is None or 0 <= failure.retry_after_seconds <= 86_400
