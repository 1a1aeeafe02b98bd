"""What every request gets and every body must be, by the parser itself and through ASGI."""

import asyncio
import io
import json
from contextlib import suppress
from typing import Any

import orjson
import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from hypothesis import given
from hypothesis import strategies as st

from tenants.access.requests import MAX_BODY, MAX_DEPTH, StrictJSONParser, limited
from tenants.common.problems import Invalid
from tests.api.callers import platform_caller

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def parse(raw: bytes) -> dict[str, Any]:
    return StrictJSONParser().parse(io.BytesIO(raw))


@given(st.dictionaries(st.text(), _JSON, max_size=5))
def test_every_object_comes_through_as_it_was_sent(body):
    assert parse(orjson.dumps(body)) == body
    assert parse(json.dumps(body).encode()) == body


@given(st.binary(max_size=60))
def test_whatever_bytes_come_in_are_an_object_or_refused(raw):
    with suppress(Invalid):
        assert isinstance(parse(raw), dict)


@pytest.mark.parametrize(("depth", "allowed"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)])
def test_depth_is_bounded(depth, allowed):
    raw = b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)
    if allowed:
        assert parse(raw)
    else:
        with pytest.raises(Invalid) as refusal:
            parse(raw)
        assert refusal.value.code == "nested_too_deep"


@pytest.mark.parametrize(("extra", "allowed"), [(0, True), (1, False)])
def test_length_is_bounded(extra, allowed):
    frame = len('{"a":""}')
    raw = b'{"a":"' + b"x" * (MAX_BODY - frame + extra) + b'"}'
    if allowed:
        assert parse(raw)
    else:
        with pytest.raises(Invalid) as refusal:
            parse(raw)
        assert (refusal.value.code, refusal.value.status) == ("body_too_large", 413)


class Sender:
    """A client that sends chunks without telling how long the whole is."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks
        self.sent = 0

    async def __call__(self) -> dict[str, Any]:
        if self.sent == len(self.chunks):
            await asyncio.get_running_loop().create_future()  # it stays connected
        chunk = self.chunks[self.sent]
        self.sent += 1
        more = self.sent < len(self.chunks)
        return {"type": "http.request", "body": chunk, "more_body": more}


async def answer_of(chunks: list[bytes], token: str) -> tuple[int, dict[str, Any], Sender]:
    """Send a chunked POST through Django's ASGI handler."""
    django = get_asgi_application()
    sender = Sender(chunks)

    async def application(scope, receive, send):
        await django(scope, limited(sender), send)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/api/v1/organizations",
        "raw_path": b"/api/v1/organizations",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"authorization", f"Bearer {token}".encode()),
            (b"content-type", b"application/json"),
            (b"transfer-encoding", b"chunked"),
            (b"x-request-id", b"chunky"),
        ],
    }
    communicator = ApplicationCommunicator(application, scope)
    start = await communicator.receive_output(20)
    body = await communicator.receive_output(20)
    await communicator.wait(20)
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    assert headers["x-request-id"] == "chunky"
    return start["status"], orjson.loads(body["body"]), sender


@pytest.fixture
def token() -> str:
    caller = platform_caller()
    assert caller.token is not None
    return caller.token


async def test_a_body_in_chunks_is_read_whole(token):
    status, body, _ = await answer_of(
        [b'{"name": "Ch', b'unky", ', b'"owner_email": "a@b.it"}'], token
    )
    assert (status, body["name"]) == (201, "Chunky")


async def test_a_body_in_chunks_without_end_is_cut_off_and_refused(token):
    chunks = [b'{"name": "'] + [b"x" * 65_536] * 2_000
    status, body, sender = await answer_of(chunks, token)
    assert (status, body["code"]) == (413, "body_too_large")
    assert sender.sent < 30, "no more was read than the limit allows"
