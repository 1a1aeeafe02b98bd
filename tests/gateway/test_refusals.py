"""Bad input is refused in Mistral's shape, never with a 500."""

import json
import socket

import httpx
import pytest

from tests.gateway.tenancy import SMALL, ask, question

GOOD = json.dumps({"model": SMALL, **question()}).encode()
BAD_BODIES = {
    "empty": (b"", 422),
    "blank": (b"   ", 422),
    "cut": (GOOD[:-3], 422),
    "utf-8": (GOOD.replace(b"hello", b"\xff\xfe"), 422),
    "utf-16": (GOOD.decode().encode("utf-16"), 422),
    "bom": (b"\xef\xbb\xbf" + GOOD, 422),
    "nul": (GOOD.replace(b"hello", b"\x00"), 422),
    "control": (GOOD.replace(b"hello", b"\x07"), 422),
    "surrogate": (GOOD.replace(b"hello", b"\\ud800"), 422),
    "nan": (b'{"messages":[],"temperature":NaN}', 422),
    "huge number": (b'{"messages":[],"temperature":1e999}', 422),
    "too deep": (b"[" * 100_000, 422),
    "deeper than is written": (b'{"messages":' + b"[" * 600 + b"]" * 600 + b"}", 422),
    "too deep inside": (b'{"messages":' + b"[" * 5000 + b"]" * 5000 + b"}", 422),
    "a list": (b"[]", 422),
    "a text": (b'"hello"', 422),
    "null": (b"null", 422),
    "a number for a model": (b'{"model":5,"messages":[]}', 422),
    "a list for a model": (b'{"model":["mistral-small-latest"],"messages":[]}', 422),
    "a long model": (json.dumps({"model": "x" * 100_000, "messages": []}).encode(), 403),
    "another model": (b'{"model":"mistral-small-latest\\u0000","messages":[]}', 403),
    "text for max_tokens": (b'{"messages":[],"max_tokens":"5"}', 422),
    "true for n": (b'{"messages":[],"n":true}', 422),
    "float for n": (b'{"messages":[],"n":2.5}', 422),
}
# What Mistral has to judge: it passes, and the simulator refuses it.
LEFT_TO_MISTRAL = [
    b"{}",
    b'{"messages":5}',
    b'{"messages":[5,null,[]]}',
    b'{"messages":[{"role":"user","content":{"a":1}}]}',
    b'{"messages":[{"role":"user","content":[5,{"type":[]}]}]}',
    b'{"messages":[],"tools":[1,{"type":{}}]}',
    b'{"messages":[],"tools":"x","max_tokens":-5,"n":-1,"stream":"maybe","service_tier":[]}',
]


def post(gateway, tenant, body, path="/v1/chat/completions", **headers) -> httpx.Response:
    return httpx.post(
        f"{gateway.url}{path}",
        content=body,
        headers=tenant.headers | {"content-type": "application/json"} | headers,
        trust_env=False,
        timeout=20,
    )


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body_is_refused_in_mistrals_shape_and_nothing_is_held(gateway, tenant, name):
    body, status = BAD_BODIES[name]
    refused = post(gateway, tenant, body)
    assert refused.status_code == status, refused.text
    error = refused.json()
    assert (error["object"], error["source"]) == ("error", "gateway")
    assert error.keys() == {*("object", "message", "type", "param", "code", "source", "request_id")}
    assert (tenant.events(), tenant.holds()) == ([], [])


@pytest.mark.parametrize("body", LEFT_TO_MISTRAL)
def test_what_mistral_has_to_judge_is_left_to_mistral(gateway, tenant, body):
    refused = post(gateway, tenant, body)
    assert refused.status_code == 422
    assert refused.json()["source"] == "provider"
    assert tenant.settled()[0].cost == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-message-id": "a" * 201}, 400),
        ({"x-message-id": "two words"}, 400),
        ({"x-message-id": ""}, 400),
        ({"content-encoding": "gzip"}, 415),
        ({"x-filler": "y" * 40_000}, 431),
        ({f"x-{number}": "y" for number in range(95)}, 431),
    ],
)
def test_a_bad_header_is_refused(gateway, tenant, headers, status):
    refused = post(gateway, tenant, GOOD, **headers)
    assert refused.status_code == status
    if refused.content:  # the server's own limit on fields has no body
        assert refused.json()["source"] == "gateway"


def test_a_body_beyond_the_cap_is_refused_whether_it_says_so_or_not(gateway, tenant):
    with httpx.Client(trust_env=False, timeout=30) as client:
        told = client.build_request("POST", f"{gateway.url}/v1/chat/completions")
        told.headers["content-length"] = str(10**12)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {10**12}\r\n"
        f"authorization: Bearer {tenant.token}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as caller:
        caller.sendall(head)
        assert caller.recv(200).startswith(b"HTTP/1.1 413")

    def endless():
        for _ in range(40):
            yield b" " * 1_000_000

    refused = httpx.post(
        f"{gateway.url}/v1/chat/completions",
        content=endless(),
        headers=tenant.headers,
        trust_env=False,
        timeout=30,
    )
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    assert ask(gateway.url, tenant).is_success


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models", 405),
        ("POST", "/v1", 404),
        ("POST", "/v1/", 404),
        ("POST", "/v1/nonsense", 404),
        ("POST", "/v1/chat/completions/", 404),
        ("POST", "/v1//chat/completions", 404),
        ("POST", "/v1/models/%2e%2e/chat/completions", 404),
        ("GET", "/v1/models/%2e%2e/%00", 404),
        ("GET", "/v1/models/", 404),
        ("PUT", "/v1/files", 405),
        ("GET", "/v1/files/%2e%2e", 404),
        ("GET", "/v1/files/a%2fb", 404),
        ("GET", "/v1/agents", 404),
        ("GET", "/v1/libraries", 404),
        ("GET", "/v1/users/me", 404),
        ("POST", "/v1/fine_tuning/jobs", 404),
    ],
)
def test_what_is_not_served_does_not_exist(gateway, tenant, method, path, status):
    refused = httpx.request(
        method, gateway.url + path, headers=tenant.headers, trust_env=False, timeout=10
    )
    assert refused.status_code == status, refused.text
    assert refused.json()["source"] == "gateway"
