import asyncio
import gzip
import logging
import queue
import socket
import time
import traceback

import pytest

from tenants.common.secrets import Secret
from tenants.mistral import errors
from tenants.mistral.errors import Reach
from tenants.mistral.pool import PoolLimits, PoolTimeouts, UpstreamPool
from tests.mistral.far_side import FarSide, answer, answering, free_address, reset

KEY = "QwErTyUiOpAsDfGhJkLzXcVbNm012345"
PATIENT = PoolTimeouts(connect=1.0, idle=5.0)  # an answer in one piece is awaited for both
QUICK = PoolTimeouts(connect=0.3, idle=0.3)
HEADERS = {"content-type": "application/json", "accept": "text/event-stream"}
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"mistral-correlation-id: c1\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def pool_to(url, **options):
    return UpstreamPool(url, **{"timeouts": PATIENT, **options})


@pytest.fixture(params=["whole", "pieces"])
def chat(request):
    """Sends a chat request, its body at once or in pieces."""

    def chat(pool, body=b"{}", **options):
        if request.param == "pieces":
            options["length"], body = len(body), pieces(body[:7], b"", body[7:])
        return pool.send("POST", "/v1/chat/completions", HEADERS, body, key=Secret(KEY), **options)

    return chat


async def pieces(*parts: bytes):
    for part in parts:
        yield part


def framed(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part)


async def test_bytes_and_headers_pass_as_they_are(chat):
    body = b'{"model": "m", "odd":\t"\xff"}'
    script = answering(200, b'{"a":  1}', {"x-ratelimit-limit-req-minute": "60"})
    with FarSide(script) as far_side:
        async with pool_to(far_side.url) as pool, chat(pool, body) as response:
            assert response.status == 200
            assert response.headers["x-ratelimit-limit-req-minute"] == "60"
            assert await response.read(1000) == b'{"a":  1}'

    (request,) = far_side.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.body == body
    assert request.headers == {
        "host": far_side.url.removeprefix("http://"),
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "user-agent": "aisuru-mistral",
        "content-length": str(len(body)),
    }


async def test_a_request_without_body_sends_none():
    with FarSide(answering(200, {})) as far_side:
        async with (
            pool_to(far_side.url + "/v1") as pool,
            pool.send("GET", "/v1/models?a=%20b", {}, key=Secret(KEY)) as response,
        ):
            await response.read(10)

    (request,) = far_side.requests
    assert (request.method, request.path, request.body) == ("GET", "/v1/models?a=%20b", b"")
    assert "content-type" not in request.headers
    assert "accept" not in request.headers


async def test_chunks_arrive_one_by_one_while_the_answer_is_still_being_written(chat):
    def script(_, connection):
        connection.sendall(STREAM_HEAD)
        for number in range(3):
            connection.sendall(framed(b"data: %d\n\n" % number))
            time.sleep(0.1)
        connection.sendall(framed(b""))

    with FarSide(script) as far_side:
        async with pool_to(far_side.url) as pool, chat(pool) as response:
            arrivals = []
            while chunk := await response.next_chunk():
                arrivals.append((chunk, time.monotonic()))

    assert [chunk for chunk, _ in arrivals] == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]
    assert arrivals[2][1] - arrivals[0][1] > 0.15
    assert response.correlation_id == "c1"


async def test_a_compressed_answer_is_not_decoded(chat):
    packed = gzip.compress(b"hello")
    script = answering(200, packed, {"content-encoding": "gzip"})
    with FarSide(script) as far_side:
        async with pool_to(far_side.url) as pool, chat(pool, accept_encoding="gzip") as response:
            assert await response.read(1000) == packed

    assert far_side.requests[0].headers["accept-encoding"] == "gzip"


async def test_a_large_body_is_sent_whole(chat):
    body = bytes(range(256)) * 12_000
    with FarSide(answering(200, {})) as far_side:
        async with pool_to(far_side.url) as pool, chat(pool, body) as response:
            await response.read(10)

    assert far_side.requests[0].body == body


async def test_connections_are_reused(chat):
    with FarSide(answering(200, {})) as far_side:
        async with pool_to(far_side.url) as pool:
            for _ in range(3):
                async with chat(pool) as response:
                    await response.read(10)

    assert far_side.connections == 1


async def test_connections_do_not_delay_small_writes():
    with FarSide(answering(200, {})) as far_side:
        async with pool_to(far_side.url) as pool:
            async with pool.send("GET", "/v1/models", {}, key=Secret(KEY)) as response:
                await response.read(10)
            ((idle, _),) = pool._connections._kept
            no_delay = idle._transport.get_extra_info("socket").getsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY
            )

    assert no_delay


async def test_redirects_are_not_followed_and_cookies_not_kept(chat):
    headers = {"location": "/elsewhere", "set-cookie": "a=b; Path=/"}
    with FarSide(answering(307, {}, headers)) as far_side:
        async with pool_to(far_side.url) as pool:
            for _ in range(2):
                async with chat(pool) as response:
                    assert response.status == 307
                    await response.read(10)

    assert [request.path for request in far_side.requests] == ["/v1/chat/completions"] * 2
    assert not any("cookie" in request.headers for request in far_side.requests)


async def test_a_proxy_of_the_environment_is_ignored(chat, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", free_address())
    monkeypatch.setenv("ALL_PROXY", free_address())
    with FarSide(answering(200, {})) as far_side:
        async with pool_to(far_side.url) as pool, chat(pool) as response:
            assert response.status == 200


async def test_without_a_connection_mistral_was_never_reached(chat):
    async with pool_to(free_address()) as pool:
        with pytest.raises(errors.NeverReachedError) as caught:
            async with chat(pool):
                pass

    assert caught.value.failure.reach is Reach.NEVER


async def test_a_server_that_speaks_no_tls_was_never_reached(chat):
    with FarSide(answering(200, {})) as far_side:
        async with pool_to(far_side.url.replace("http:", "https:"), timeouts=QUICK) as pool:
            with pytest.raises(errors.NeverReachedError):
                async with chat(pool):
                    pass

    assert far_side.requests == []


async def test_a_full_pool_refuses_in_time_and_mistral_was_never_reached(chat):
    def script(_, connection):
        connection.sendall(STREAM_HEAD + framed(b"data: 1\n\n"))
        time.sleep(1)

    with FarSide(script) as far_side:
        one = {"limits": PoolLimits(connections=1), "timeouts": PoolTimeouts(0.3, 5.0)}
        async with pool_to(far_side.url, **one) as pool, chat(pool):
            with pytest.raises(errors.NeverReachedError):
                async with chat(pool):
                    pass

    assert len(far_side.requests) == 1


def silent(_, connection):
    time.sleep(2)


def resetting(_, connection):
    reset(connection)


def closing(_, connection):
    connection.shutdown(socket.SHUT_RDWR)


def nonsense(_, connection):
    connection.sendall(b"nonsense\r\n\r\n")


def half_a_head(_, connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-")
    connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("script", [silent, resetting, closing, nonsense, half_a_head])
@pytest.mark.parametrize("fresh", [True, False])
async def test_a_request_that_was_sent_and_not_answered_may_have_reached_mistral(
    chat, script, fresh
):
    def first_well(request, connection):
        if fresh or len(far_side.requests) > 1:
            script(request, connection)
        else:
            connection.sendall(answer(200, {}))

    with FarSide(first_well) as far_side:
        async with pool_to(far_side.url) as pool:
            if not fresh:
                async with chat(pool) as response:
                    await response.read(10)
            with pytest.raises(errors.AnswerLostError) as caught:
                async with chat(pool, idle=0.15):
                    pass

    assert caught.value.failure.reach is Reach.POSSIBLE
    assert caught.value.failure.http_status is None
    assert len(far_side.requests) == (1 if fresh else 2), "a POST is never sent twice"


async def test_a_server_that_stops_reading_does_not_hold_the_request_for_ever(chat):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with pool_to(url, timeouts=QUICK) as pool:
            with pytest.raises(errors.OutageError):
                async with asyncio.timeout(5), chat(pool, b"x" * 20_000_000):
                    pass


def stream_then(end):
    def script(_, connection):
        connection.sendall(STREAM_HEAD + framed(b"data: 1\n\n"))
        time.sleep(0.05)
        end(_, connection)

    return script


@pytest.mark.parametrize("end", [silent, resetting, closing])
async def test_a_stream_that_breaks_off_is_an_answer_lost_after_its_status(chat, end):
    with FarSide(stream_then(end)) as far_side:
        async with pool_to(far_side.url) as pool, chat(pool, idle=0.3) as response:
            assert await response.next_chunk() == b"data: 1\n\n"
            with pytest.raises(errors.AnswerLostError) as caught:
                await response.next_chunk()

    assert caught.value.failure.http_status == 200
    assert caught.value.failure.correlation_id == "c1"


async def test_an_answer_above_the_limit_is_not_read_on(chat):
    with FarSide(answering(200, b"x" * 100_000)) as far_side:
        async with pool_to(far_side.url) as pool, chat(pool) as response:
            with pytest.raises(errors.WireError, match="at most 1000 bytes") as caught:
                await response.read(1000)

    assert caught.value.failure.http_status == 200


async def test_leaving_early_closes_the_connection_so_that_mistral_can_stop(chat):
    seen: queue.Queue[bytes] = queue.Queue()

    def script(_, connection):
        connection.sendall(STREAM_HEAD + framed(b"data: 1\n\n"))
        seen.put(connection.recv(1))

    with FarSide(script) as far_side:
        async with pool_to(far_side.url) as pool:
            async with chat(pool) as response:
                await response.next_chunk()
            assert await asyncio.to_thread(seen.get, timeout=5) == b""


async def test_a_request_that_takes_too_long_closes_its_connection(chat):
    seen: queue.Queue[bytes] = queue.Queue()

    def script(_, connection):
        seen.put(connection.recv(1))

    with FarSide(script) as far_side:
        async with pool_to(far_side.url, timeouts=QUICK) as pool:
            with pytest.raises(errors.AnswerLostError):
                async with chat(pool):
                    pass
            assert await asyncio.to_thread(seen.get, timeout=5) == b""


async def test_a_cancelled_request_closes_its_connection(chat):
    seen: queue.Queue[bytes] = queue.Queue()

    def script(_, connection):
        seen.put(connection.recv(1))

    with FarSide(script) as far_side:
        async with pool_to(far_side.url) as pool:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3), chat(pool):
                    pass
            assert await asyncio.to_thread(seen.get, timeout=5) == b""


@pytest.mark.parametrize("path", ["/v1/../x", "v1/models", "/v1/a b", "/v1/\r\n"])
async def test_a_path_that_leads_elsewhere_is_refused(path):
    async with pool_to(free_address()) as pool:
        with pytest.raises(ValueError, match="path"):
            pool.send("GET", path, {}, key=Secret(KEY))


async def test_a_key_that_no_header_can_carry_is_refused_before_anything_is_sent():
    with FarSide(answering(200, {})) as far_side:
        async with pool_to(far_side.url) as pool:
            with pytest.raises(errors.KeyRefusedError):
                async with pool.send("GET", "/v1/models", {}, key=Secret("x" * 30 + "\r\n")):
                    pass

    assert far_side.connections == 0


@pytest.mark.parametrize(
    "script",
    [silent, resetting, closing, nonsense, half_a_head, stream_then(silent), stream_then(closing)],
)
async def test_the_key_shows_in_no_error_log_or_repr(chat, script, caplog):
    caplog.set_level(logging.DEBUG)
    with FarSide(script) as far_side:
        async with pool_to(far_side.url) as pool:
            sending = chat(pool, idle=0.3)
            with pytest.raises(errors.MistralError) as caught:
                async with sending as response:
                    await response.read(1_000_000)

    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = [
        repr(sending),
        repr(vars(pool)),
        caplog.text,
        str(error) + repr(error) + repr(vars(error)),
        "".join(traceback.format_exception(error)),
        *(
            repr(frame.f_locals)
            for frame, _ in traceback.walk_tb(error.__traceback__)
            if "/tests/" not in frame.f_code.co_filename
        ),
    ]
    assert far_side.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert not any(KEY in text for text in shown)
