import gzip
import json
import logging
import time
import traceback

import pytest
from django.db import transaction

from tenants.common.scope import ScopeError
from tenants.common.secrets import Secret
from tenants.mistral import errors
from tenants.mistral.client import AnswerMark, ClientTimeouts, MistralClient
from tenants.mistral.errors import ErrorClass, Reach
from tests.mistral.far_side import FarSide, answer, answering, free_address, reset
from tests.mistral.test_wire import BASE_ROW, IDENTITY

KEY = "QwErTyUiOpAsDfGhJkLzXcVbNm012345"
MODELS = {"object": "list", "data": [BASE_ROW]}
PATIENT = ClientTimeouts()
QUICK = ClientTimeouts(connect=1.0, read=0.5, total=0.8)


def ask(script, question=MistralClient.list_models, timeouts=PATIENT):
    with FarSide(script) as far_side:
        client = MistralClient(far_side.url, Secret(KEY), timeouts=timeouts)
        with client:
            return question(client), far_side.requests, client.last_answer


def refusal(script, question=MistralClient.list_models, timeouts=PATIENT):
    with pytest.raises(errors.MistralError) as caught:
        ask(script, question, timeouts)
    return caught.value


def test_an_accepted_key_lists_its_models():
    rows, requests, mark = ask(answering(200, MODELS, {"mistral-correlation-id": "c1"}))

    assert [row.id for row in rows] == ["mistral-small-latest"]
    assert mark == AnswerMark(200, "c1")
    (request,) = requests
    assert (request.method, request.path) == ("GET", "/v1/models")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["accept-encoding"] == "identity"
    assert "x-api-key" not in request.headers


def test_a_key_says_whom_it_belongs_to():
    identity, requests, _ = ask(answering(200, IDENTITY), MistralClient.whoami)

    assert identity.organization is not None
    assert identity.organization.id == "o1"
    assert [request.path for request in requests] == ["/v1/users/me"]


def test_identity_is_asked_with_the_other_header_when_the_bearer_is_refused():
    def script(request, connection):
        known = request.headers.get("x-api-key") == KEY
        body = IDENTITY if known else {"detail": "Unauthorized"}
        connection.sendall(answer(200 if known else 401, body))

    identity, requests, _ = ask(script, MistralClient.whoami)

    assert identity.user_id == "u1"
    assert ["authorization" in request.headers for request in requests] == [True, False]


def test_identity_refused_both_ways_is_a_refused_key():
    error = refusal(answering(401, {"detail": "Unauthorized"}), MistralClient.whoami)

    assert isinstance(error, errors.KeyRefusedError)


def test_identity_is_asked_once_when_the_trouble_is_not_the_key():
    with FarSide(answering(500, {})) as far_side:
        client = MistralClient(far_side.url, Secret(KEY))
        with client, pytest.raises(errors.OutageError):
            client.whoami()

    assert len(far_side.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "error_type"),
    [
        (401, {"detail": "Unauthorized"}, errors.KeyRefusedError),
        (401, {"detail": "Invalid API Key"}, errors.KeyRefusedError),
        (401, {"message": "Unauthorized", "request_id": "x"}, errors.KeyRefusedError),
        (401, {"message": "Inactive subscription or usage limit reached"}, errors.BillingError),
        (402, {"detail": "Check your subscription on …"}, errors.BillingError),
        (403, {"code": "1910"}, errors.ModelRefusedError),
        (404, {"message": "no Route matched with those values"}, errors.WrongAddressError),
        (422, {"detail": []}, errors.RequestRefusedError),
        (429, {"code": "1300"}, errors.QuotaError),
        (429, {"code": "3505"}, errors.CapacityError),
        (503, {"code": "3800"}, errors.OutageError),
        (302, {}, errors.WrongAddressError),
    ],
)
def test_every_refusal_is_raised_as_its_family(status, body, error_type):
    headers = {"retry-after": "9", "mistral-correlation-id": "c9", "location": "http://127.0.0.2/"}
    error = refusal(answering(status, body, headers))

    assert type(error) is error_type
    assert error.failure.http_status == status
    assert error.failure.correlation_id == "c9"
    assert error.failure.retry_after_seconds == 9


def test_a_redirect_is_not_followed():
    with FarSide(answering(200, MODELS)) as elsewhere:
        location = {"location": elsewhere.url + "/v1/models"}
        error = refusal(answering(307, {}, location))

    assert isinstance(error, errors.WrongAddressError)
    assert elsewhere.requests == []


def test_nobody_listening_is_never_reached():
    client = MistralClient(free_address(), Secret(KEY))
    with client, pytest.raises(errors.NeverReachedError) as caught:
        client.list_models()

    assert caught.value.failure.reach is Reach.NEVER
    assert caught.value.failure.retryable
    assert caught.value.__context__ is None


def silent(_, connection):
    time.sleep(2)


def dripping(_, connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(200):
        connection.sendall(b" ")
        time.sleep(0.05)


def cut_short(_, connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    reset(connection)


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (silent, None),
        (lambda _, connection: reset(connection), None),
        (lambda _, connection: connection.sendall(b"nonsense\r\n\r\n"), None),
        (dripping, 200),
        (cut_short, 200),
    ],
    ids=["silent", "reset", "nonsense", "dripping", "cut short"],
)
def test_an_answer_that_does_not_come_whole_may_have_been_processed(script, status):
    started = time.monotonic()
    error = refusal(script, timeouts=QUICK)

    assert time.monotonic() - started < 5
    assert isinstance(error, errors.AnswerLostError)
    assert error.failure.reach is Reach.POSSIBLE
    assert error.failure.http_status == status
    assert error.failure.error_class is ErrorClass.SERVER_ERROR


@pytest.mark.parametrize(
    "script",
    [
        answering(200, b"<html>welcome</html>"),
        answering(200, {"data": "none"}),
        answering(204, b""),
        answering(200, gzip.compress(json.dumps(MODELS).encode()), {"content-encoding": "gzip"}),
        answering(200, b"[" + b" " * (9 * 1024 * 1024) + b"]"),
    ],
    ids=["html", "shape", "empty", "compressed", "huge"],
)
def test_an_answer_of_another_shape_is_no_verdict_about_the_key(script):
    error = refusal(script)

    assert isinstance(error, errors.WireError)
    assert error.failure.error_class is ErrorClass.UNREADABLE_ANSWER
    assert error.failure.http_status in {200, 204}


def test_an_endless_answer_is_not_read_to_its_end():
    sent = []

    def script(_, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(100):
            connection.sendall(b" " * 1_000_000)
            sent.append(1_000_000)

    error = refusal(script)

    assert isinstance(error, errors.WireError)
    assert sum(sent) < 50_000_000


def test_a_huge_error_body_still_gets_its_class():
    error = refusal(answering(401, b"x" * (9 * 1024 * 1024)))

    assert isinstance(error, errors.KeyRefusedError)


@pytest.mark.parametrize("key", ["short", "x" * 32 + "\r\nX-Evil: 1", "é" * 32, "a b" * 10])
def test_a_key_that_no_header_can_carry_is_refused_before_anything_is_sent(key):
    with FarSide(answering(200, MODELS)) as far_side:
        client = MistralClient(far_side.url, Secret(key))
        with client, pytest.raises(errors.KeyRefusedError) as caught:
            client.list_models()

    assert caught.value.failure.reach is Reach.NEVER
    assert far_side.requests == []


def test_nothing_is_asked_inside_a_transaction():
    with FarSide(answering(200, MODELS)) as far_side:
        client = MistralClient(far_side.url, Secret(KEY))
        with client, transaction.atomic(), pytest.raises(ScopeError):
            client.list_models()

    assert far_side.requests == []


def test_no_cookie_is_kept_and_no_proxy_taken_from_the_environment(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", free_address())
    monkeypatch.setenv("ALL_PROXY", free_address())
    setting = answering(200, MODELS, {"set-cookie": "a=b; Path=/"})
    with FarSide(setting) as far_side, MistralClient(far_side.url, Secret(KEY)) as client:
        client.list_models()
        client.list_models()

    assert len(far_side.requests) == 2
    assert not any("cookie" in request.headers for request in far_side.requests)


def echoing(status):
    """A far side that quotes the key wherever it can."""

    def script(request, connection):
        quoted = {"message": f"bad {KEY}", "type": KEY, "code": KEY, "request_id": KEY, "data": KEY}
        connection.sendall(
            answer(status, quoted, {"mistral-correlation-id": f"x {KEY}", "retry-after": KEY})
        )

    return script


@pytest.mark.parametrize(
    "script",
    [
        *(echoing(status) for status in (200, 302, 400, 401, 402, 403, 404, 422, 429, 500, 503)),
        answering(200, KEY.encode()),
        silent,
        cut_short,
        lambda _, connection: connection.sendall(f"{KEY} {KEY}\r\n\r\n".encode()),
        lambda _, connection: reset(connection),
    ],
)
def test_the_key_shows_in_no_error_log_or_repr(script, caplog):
    caplog.set_level(logging.DEBUG)
    with FarSide(script) as far_side:
        client = MistralClient(far_side.url, Secret(KEY), timeouts=QUICK)
        with client, pytest.raises(errors.MistralError) as caught:
            client.whoami()

    assert len(far_side.requests) >= 1
    shown = [
        repr(client),
        repr(vars(client)),
        repr(client.last_answer),
        caplog.text,
        *_everything_about(caught.value),
    ]
    assert not any(KEY in text for text in shown)


def _everything_about(error):
    """Give what an error tracker could collect: text, arguments, chain, and locals of frames."""
    yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
    yield "".join(traceback.format_exception(error))
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "/tests/" not in frame.f_code.co_filename:
            yield repr(frame.f_locals)
    assert error.__cause__ is None
    assert error.__context__ is None
