"""Bytes pass unchanged in both directions; what changes is said here and nothing else does."""

import json
import socket
import threading

import httpx
import pytest

from tests.gateway import tenancy
from tests.gateway.tenancy import SMALL, question
from tests.mistral.far_side import answer, answering

USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
ODD_ANSWER = (
    b'{ "id":"x", "model":"mistral-small-2603","future":[1.0, 1e3,"\\u00e8 \xe2\x82\xac"],\n'
    b'  "choices":[{"message":{"content":"hi"}}], "usage": {"prompt_tokens":5,'
    b'"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0}}}\n'
)


def post(url, tenant, body: bytes, path="/v1/chat/completions", **headers) -> httpx.Response:
    return httpx.post(
        f"{url}{path}",
        content=body,
        headers=tenant.headers | {"content-type": "application/json"} | headers,
        trust_env=False,
        timeout=20,
    )


def body_of(**members) -> bytes:
    return json.dumps({"model": SMALL, **question(), **members}, separators=(",", ":")).encode()


def test_an_answer_passes_byte_for_byte_with_its_rate_limits_and_a_price_tag(scripted, tenant):
    scripted.script = answering(
        200,
        ODD_ANSWER,
        {
            "x-ratelimit-remaining-req-minute": "41",
            "mistral-correlation-id": "0123-abc",
            "set-cookie": "session=1",
            "server": "mistral",
        },
    )
    got = post(scripted.url, tenant, body_of())
    assert got.content == ODD_ANSWER
    assert got.headers["x-ratelimit-remaining-req-minute"] == "41"
    assert got.headers["mistral-correlation-id"] == "0123-abc"
    assert "set-cookie" not in got.headers
    (event,) = tenant.settled()
    assert got.headers["x-request-id"] == str(event.id)
    assert got.headers["x-aim-cost"] == f"{event.cost:.6f} EUR"
    assert (event.prompt_tokens, event.completion_tokens) == (5, 2)
    assert event.correlation_id == "0123-abc"


UNUSUAL = b"""  {"messages":[{"role":"user","content":"say \\"model\\" and \\u20ac, \xc3\xa8"}],
    "model" : "mistral-small-latest", "future_member":1.50, "big":123456789012345678} """


@pytest.mark.parametrize("body", [body_of(), UNUSUAL])
def test_a_request_that_needs_no_change_arrives_byte_for_byte(scripted, tenant, body):
    scripted.script = answering(200, ODD_ANSWER)
    assert post(scripted.url, tenant, body).status_code == 200
    assert scripted.received.body == body


def test_only_what_describes_the_body_goes_to_mistral_and_the_key_instead_of_the_token(
    scripted, tenant
):
    scripted.script = answering(200, ODD_ANSWER)
    post(scripted.url, tenant, body_of(), **{"x-forwarded-for": "10.0.0.1", "cookie": "a=b"})
    headers = scripted.received.headers
    assert headers["authorization"] == f"Bearer {tenant.plain}"
    assert headers.keys() <= {
        *("host", "authorization", "content-type", "content-length", "accept"),
        *("accept-encoding", "user-agent"),
    }
    assert tenant.token not in str(headers)


def test_the_models_own_name_or_no_name_is_filled_in_and_nothing_else_changes(scripted, tenant):
    scripted.script = answering(200, ODD_ANSWER)
    for named in ({"model": tenant.model.name}, {"model": None}, {}):
        members = {**question(), "temperature": 0.3, **named}
        assert post(scripted.url, tenant, json.dumps(members).encode()).status_code == 200
        assert json.loads(scripted.received.body) == {**members, "model": SMALL}


def test_defaults_are_put_in_only_where_the_request_has_none(scripted, made_up):
    defaults = {"temperature": 0.2, "max_tokens": 77, "safe_prompt": True}
    tenant = tenancy.make(made_up, defaults=defaults)
    scripted.script = answering(200, ODD_ANSWER)
    post(scripted.url, tenant, body_of())
    assert json.loads(scripted.received.body) == {"model": SMALL, **question(), **defaults}
    post(scripted.url, tenant, body_of(max_tokens=5, temperature=0))
    sent = json.loads(scripted.received.body)
    assert (sent["max_tokens"], sent["temperature"], sent["safe_prompt"]) == (5, 0, True)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"mistral-large-latest","messages":[],"model":"mistral-small-latest"}',
        b'{"mod\\u0065l":"mistral-large-latest","messages":[],"model":"mistral-small-latest"}',
        b'{"model":"mistral-small-latest","messages":[],"max_tokens":90000,"max_tokens":1}',
    ],
)
def test_a_body_that_could_be_read_in_two_ways_is_sent_in_one(scripted, tenant, body):
    scripted.script = answering(200, ODD_ANSWER)
    assert post(scripted.url, tenant, body).status_code == 200
    sent = scripted.received.body
    assert sent.count(b'"model"') == 1
    assert b"\\u0065" not in sent
    assert json.loads(sent) == json.loads(body)


def test_the_simulators_answers_are_the_same_through_the_gateway_as_without_it(
    gateway, mistral, tenant
):
    """But for what Mistral itself makes anew for each answer: ids and instants."""
    anew = ("id", "created")
    for members in ({}, {"stream": True}, {"max_tokens": 3}, {"n": 2}, {"nonsense": 1}):
        body = body_of(random_seed=7, **members)
        through = post(gateway.url, tenant, body)
        direct = httpx.post(
            f"{mistral.url}/v1/chat/completions",
            content=body,
            headers={"authorization": f"Bearer {tenant.plain}", "content-type": "application/json"},
            trust_env=False,
        )
        assert through.status_code == direct.status_code
        assert through.headers["content-type"] == direct.headers["content-type"]
        assert _without(through.text, anew) == _without(direct.text, anew)


def _without(text: str, names: tuple[str, ...]) -> list[object]:
    """Every JSON document in a body or a stream, without some members and our mark."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line]
    documents = [json.loads(line) for line in lines if line != "[DONE]"]
    return [
        {name: value for name, value in document.items() if name not in {*names, "source", "p"}}
        for document in documents
    ]


def test_a_stream_arrives_chunk_by_chunk_as_mistral_sends_it(scripted, tenant):
    events = [b'data: {"choices":[{"delta":{"content":"%d"}}]}\n\n' % n for n in range(5)]
    events.append(b'data: {"choices":[],"usage":%s}\n\n' % json.dumps(USAGE).encode())
    events += [b": keep-alive\n\n", b"data: [DONE]\n\n"]
    whole = b"".join(events)
    cuts = [1, 30, 31, 60, 61, 90, 200, len(whole)]
    released = [threading.Event() for _ in cuts]

    def script(_request, connection: socket.socket) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        at = 0
        for cut, may in zip(cuts, released, strict=True):
            may.wait(10)
            part, at = whole[at:cut], cut
            connection.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        connection.sendall(b"0\r\n\r\n")

    scripted.script = script
    with httpx.stream(
        "POST",
        f"{scripted.url}/v1/chat/completions",
        content=body_of(stream=True),
        headers=tenant.headers,
        trust_env=False,
        timeout=20,
    ) as stream:
        arriving = stream.iter_raw()
        got = b""
        for cut, may in zip(cuts, released, strict=True):
            may.set()
            while len(got) < cut:
                got += next(arriving)
            assert got == whole[:cut]  # and not a byte of what Mistral has not sent yet
        assert b"".join(arriving) == b""
    (event,) = tenant.settled()
    assert (event.prompt_tokens, event.completion_tokens, event.estimate) == (5, 2, "")


def test_a_compressed_or_unreadable_answer_passes_and_is_estimated(scripted, tenant):
    scripted.script = lambda _, connection: connection.sendall(answer(200, b"no json at all"))
    got = post(scripted.url, tenant, body_of())
    assert got.content == b"no json at all"
    (event,) = tenant.settled()
    assert event.estimate == "usage_missing"
    assert event.prompt_tokens > 0
