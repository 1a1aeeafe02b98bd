"""Who gets which connection, and what becomes of a body that is sent beside its answer."""

import asyncio
import socket
import time
import traceback
from contextlib import AsyncExitStack

import pytest

from tenants.common.secrets import Secret
from tenants.mistral import connections, errors
from tenants.mistral.pool import PoolLimits, PoolTimeouts, UpstreamPool
from tests.mistral.far_side import FarSide, answer, answering, free_address

KEY = "QwErTyUiOpAsDfGhJkLzXcVbNm012345"
PATIENT = PoolTimeouts(connect=20.0, idle=20.0)
ONE = PoolLimits(connections=1)


def pool_to(url, **options):
    return UpstreamPool(url, **{"timeouts": PATIENT, **options})


def send(pool, body=b"{}", **options):
    return pool.send("POST", "/v1/files", {}, body, key=Secret(KEY), **options)


async def ask(pool):
    async with send(pool) as response:
        return await response.read(1000)


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def test_who_waits_is_served_in_order_and_one_who_gave_up_is_passed_over():
    served = []

    async def wait(pool, number):
        async with send(pool) as response:
            served.append(number)
            await response.read(1000)

    with FarSide(answering(200, {})) as far:
        async with pool_to(far.url, limits=ONE) as pool, AsyncExitStack() as held:
            await held.enter_async_context(send(pool))
            waiting = [asyncio.create_task(wait(pool, number)) for number in range(4)]
            await until(lambda: len(pool._connections._waiting) == 4)
            waiting[1].cancel()
            await until(lambda: len(pool._connections._waiting) == 3)
            await held.aclose()
            await asyncio.gather(*waiting, return_exceptions=True)
            assert pool._connections._places == 0, "one is kept"

    assert served == [0, 2, 3]
    assert far.connections == 2, "the first was left before its end"


async def test_a_connection_that_comes_too_late_goes_to_the_next():
    with FarSide(answering(200, {})) as far:
        async with pool_to(far.url, limits=ONE) as pool:
            async with send(pool) as response:
                late, next_one = (asyncio.create_task(ask(pool)) for _ in range(2))
                await until(lambda: len(pool._connections._waiting) == 2)
                await response.read(1000)
            late.cancel()  # in the same step of the loop in which it was given the connection
            assert await next_one == b"{}"
            with pytest.raises(asyncio.CancelledError):
                await late
            assert await ask(pool) == b"{}"

    assert far.connections == 1


async def test_the_place_of_a_connection_that_fails_goes_to_who_waits():
    async with pool_to(free_address(), limits=ONE) as pool:
        asking = [asyncio.create_task(ask(pool)) for _ in range(3)]
        for failed in await asyncio.gather(*asking, return_exceptions=True):
            assert isinstance(failed, errors.NeverReachedError)
        assert pool._connections._places == 1


def closing(request, connection):
    connection.sendall(answer(200, {}))
    connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("is_seen", [True, False])
async def test_what_the_other_side_has_closed_is_not_lent(monkeypatch, is_seen):
    monkeypatch.setattr(connections, "_TRUSTED", -1)
    with FarSide(closing) as far:
        async with pool_to(far.url) as pool:
            for _ in range(3):
                await ask(pool)
                if is_seen:
                    await asyncio.sleep(0.1)
                else:
                    time.sleep(0.1)  # noqa: ASYNC251 - as a busy loop: it has not read the end yet

    assert far.connections == 3


async def test_connections_that_nobody_uses_are_closed_and_free_their_places():
    with FarSide(answering(200, {})) as far:
        async with pool_to(far.url, limits=PoolLimits(2, keepalive=0.05)) as pool:
            await asyncio.gather(ask(pool), ask(pool))
            kept = pool._connections._kept
            assert len(kept) == 2
            await until(lambda: not kept)
            assert pool._connections._places == 2
            await ask(pool)


async def test_the_last_used_goes_first():
    with FarSide(answering(200, {})) as far:
        async with pool_to(far.url) as pool:
            await asyncio.gather(ask(pool), ask(pool))
            (oldest, _), (newest, _) = pool._connections._kept
            await ask(pool)
            assert [one for one, _ in pool._connections._kept] == [oldest, newest]


async def test_a_name_is_looked_up_once_for_all_and_anew_where_nobody_is_there(monkeypatch):
    loop, looked_up = asyncio.get_running_loop(), []
    genuine = loop.getaddrinfo

    async def counted(*arguments, **options):
        if arguments[0] == "localhost":  # the loop asks for addresses, too
            looked_up.append(arguments)
            await asyncio.sleep(0.05)
        return await genuine(*arguments, **options)

    monkeypatch.setattr(loop, "getaddrinfo", counted)

    def slow(_, connection):
        time.sleep(0.2)
        connection.sendall(answer(200, {}))

    with FarSide(slow) as far:
        async with pool_to(far.url.replace("127.0.0.1", "localhost")) as pool:
            first = asyncio.create_task(ask(pool))
            await asyncio.sleep(0.01)
            others = [asyncio.create_task(ask(pool)) for _ in range(3)]
            await asyncio.sleep(0.01)
            first.cancel()
            assert await asyncio.gather(*others) == [b"{}"] * 3
            assert len(looked_up) == 1
    looked_up.clear()
    async with pool_to(free_address().replace("127.0.0.1", "localhost")) as pool:
        for _ in range(2):
            with pytest.raises(errors.NeverReachedError):
                await ask(pool)
    assert len(looked_up) == 2


async def test_a_name_that_nobody_has_was_never_reached():
    async with pool_to("http://nobody.invalid") as pool:
        with pytest.raises(errors.NeverReachedError):
            await ask(pool)
        assert pool._connections._looking_up is None


def silent(_, connection):
    connection.recv(1)


async def test_to_close_ends_what_is_under_way_and_what_waits():
    with FarSide(silent) as far:
        pool = pool_to(far.url, limits=ONE)
        asking, waiting = (asyncio.create_task(ask(pool)) for _ in range(2))
        await until(lambda: len(far.requests) == 1)
        await pool.close()
        with pytest.raises(errors.AnswerLostError):
            await asking
        with pytest.raises(errors.NeverReachedError):
            await waiting


async def test_to_close_ends_what_is_still_connecting():
    with socket.create_server(("127.0.0.1", 0)) as speechless:
        pool = pool_to(f"https://127.0.0.1:{speechless.getsockname()[1]}")
        asking = asyncio.create_task(ask(pool))
        await until(lambda: pool._connections and pool._connections._places < 1000)
        await asyncio.sleep(0.05)
        await pool.close()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        accepted, _ = speechless.accept()
        with accepted:
            accepted.settimeout(20)
            assert accepted.recv(1000)[:1] == b"\x16", "a greeting of TLS"
            assert accepted.recv(1000) == b"", "and an end"


async def test_one_who_gives_up_a_handshake_closes_nobody_elses_connection():
    with (
        FarSide(answering(200, {})) as far,
        socket.create_server(("127.0.0.1", 0)) as speechless,
    ):
        deaf = f"https://127.0.0.1:{speechless.getsockname()[1]}"
        for _ in range(5):
            async with pool_to(far.url) as pool, pool_to(deaf) as unheard:
                asking = asyncio.create_task(ask(unheard))
                await asyncio.sleep(0.02)
                asking.cancel()
                assert await asyncio.gather(*(ask(pool) for _ in range(5))) == [b"{}"] * 5
                with pytest.raises(asyncio.CancelledError):
                    await asking
                assert await asyncio.gather(*(ask(pool) for _ in range(5))) == [b"{}"] * 5


async def test_an_answer_that_was_left_tells_nothing_of_the_next():
    bodies = iter([b"first", b"second"])
    with FarSide(lambda _, connection: connection.sendall(answer(200, next(bodies)))) as far:
        async with pool_to(far.url) as pool:
            async with send(pool) as left:
                assert await left.read(10) == b"first"
            async with send(pool):
                with pytest.raises(errors.AnswerLostError):
                    await left.next_chunk()

    assert far.connections == 1


async def test_a_header_that_would_hold_another_is_refused():
    async with pool_to(free_address()) as pool:
        for value in ("a\r\nx: b", "a\nb", "a\0", "€"):
            with pytest.raises(ValueError, match="a character in a header"):
                pool.send("GET", "/v1/models", {"accept": value}, key=Secret(KEY))


async def pieces(*parts, error=None):
    for part in parts:
        await asyncio.sleep(0)
        yield part
    if error is not None:
        raise error


async def test_pieces_of_which_nobody_knows_the_number_are_sent_in_chunks():
    received = []

    def script(request, connection):
        head = request.headers["transfer-encoding"]
        data = request.body
        while not data.endswith(b"0\r\n\r\n"):
            data += connection.recv(1000)
        received.append((head, data))
        connection.sendall(answer(200, {}))

    with FarSide(script) as far:
        body = pieces(b"ab", b"", b"cde")
        async with pool_to(far.url) as pool, send(pool, body) as response:
            await response.read(10)

    assert received == [("chunked", b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")]


class Listener:
    """Takes what one connection brings, says what it is told to at its first byte, and no more."""

    def __init__(self, said=b""):
        self.said, self.heard = said, b""

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.ended = asyncio.Event()
        return self

    async def __aexit__(self, *_):
        self._server.close()

    def hang_up(self):
        """Close the connection that there is."""
        self._writer.close()

    async def _serve(self, reader, writer):
        self._writer = writer
        try:
            while part := await reader.read(65536):
                if not self.heard:
                    writer.write(self.said)
                self.heard += part
        except ConnectionError:
            pass
        writer.close()
        self.ended.set()


@pytest.mark.parametrize("said", [b"", answer(200, {})[:60] + b"x-more: "])
@pytest.mark.parametrize(
    "parts",
    [(b"abc",), (b"abcdef", b"POST /v1/smuggled HTTP/1.1\r\n\r\n"), (b"abc", ValueError())],
)
async def test_pieces_that_are_not_what_was_announced_break_the_request_off(said, parts):
    *given, last = (*parts, None) if isinstance(parts[-1], bytes) else parts
    is_whole = b"abcdef" in given
    lost = errors.AnswerLostError if is_whole else errors.NeverReachedError
    async with Listener(said) as far, pool_to(far.url) as pool:
        with pytest.raises(lost):
            async with send(pool, pieces(*given, error=last), length=6):
                pass
        await asyncio.wait_for(far.ended.wait(), 20)

    assert b"\r\n\r\nabc" in far.heard
    assert b"smuggled" not in far.heard


async def test_of_pieces_that_fail_before_the_first_nothing_is_asked():
    with FarSide(answering(200, {})) as far:
        async with pool_to(far.url) as pool:
            for length in (0, 6, None):
                with pytest.raises(errors.NeverReachedError):
                    async with send(pool, pieces(error=ValueError()), length=length):
                        pass

    assert far.connections == 0


async def test_nothing_is_asked_before_the_first_piece_is_there():
    comes = asyncio.Event()

    async def late():
        await comes.wait()
        yield b"abc"

    async def ask(pool):
        async with send(pool, late(), length=3) as response:
            return await response.read(10)

    with FarSide(answering(200, {})) as far:
        async with pool_to(far.url) as pool:
            asking = asyncio.create_task(ask(pool))
            await asyncio.sleep(0.05)
            assert far.connections == 0
            comes.set()
            assert await asking == b"{}"

    assert far.requests[0].body == b"abc"


async def test_a_request_that_mistral_ends_before_it_is_whole_was_never_made():
    comes = asyncio.Event()

    async def halting(*rest):
        yield b"abc"
        await comes.wait()
        for piece in rest:
            yield piece

    for length in (6, None):
        async with Listener() as far, pool_to(far.url) as pool:
            asking = asyncio.create_task(send(pool, halting(b"def"), length=length).__aenter__())
            await until(lambda far=far: far.heard.endswith((b"abc", b"abc\r\n")))
            far.hang_up()
            with pytest.raises(errors.NeverReachedError) as caught:
                await asking
        assert caught.value.failure.scope is errors.Scope.REQUEST


@pytest.mark.timeout(20)
async def test_pieces_that_end_by_a_cancellation_of_their_own_end_the_request():
    async with Listener() as far, pool_to(far.url) as pool:
        with pytest.raises(errors.NeverReachedError):
            async with send(pool, pieces(b"abc", error=asyncio.CancelledError()), length=6):
                pass
        assert far.heard.endswith(b"abc")


async def test_what_pieces_raise_knows_nothing_of_the_key():
    error = ValueError()
    async with Listener() as far, pool_to(far.url) as pool:
        with pytest.raises(errors.NeverReachedError):
            async with send(pool, pieces(b"abc", error=error), length=6):
                pass
        assert KEY.encode() in far.heard
    shown = [repr(frame.f_locals) for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert len(shown) > 1
    assert not any(KEY in text for text in shown)


async def test_no_pieces_at_all_are_a_body_too():
    with FarSide(answering(200, {})) as far:
        async with pool_to(far.url) as pool, send(pool, pieces(), length=0) as response:
            await response.read(10)

    (request,) = far.requests
    assert (request.headers["content-length"], request.body) == ("0", b"")


async def test_pieces_that_fail_behind_an_early_head_lose_the_answer_at_once():
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    goes_on = asyncio.Event()

    async def failing():
        yield b"abc"
        await goes_on.wait()
        raise ValueError("given up")

    async with (
        Listener(head) as far,
        pool_to(far.url) as pool,
        send(pool, failing(), length=6) as response,
    ):
        goes_on.set()
        with pytest.raises(errors.AnswerLostError) as caught:
            await response.next_chunk()
    assert caught.value.failure.http_status == 200


async def test_a_refusal_before_the_end_of_a_body_is_heard_and_cuts_it_short():
    refusal = answer(413, b'{"message": "too large"}')
    given = 0

    async def endless():
        nonlocal given
        while True:
            given += 1
            yield b"x" * 1000
            await asyncio.sleep(0)

    async with (
        Listener(refusal) as far,
        pool_to(far.url) as pool,
        send(pool, endless(), length=10**12) as response,
    ):
        assert response.status == 413
        assert b"too large" in await response.read(1000)
        given_then = given
        await asyncio.sleep(0.05)
        assert given - given_then <= 1
    await asyncio.wait_for(far.ended.wait(), 20)


async def test_an_early_answer_that_refuses_nothing_waits_for_the_rest_of_the_body():
    early = answer(200, {})
    parts = [b"x" * 1000] * 50

    async def slow():
        for part in parts:
            yield part
            await asyncio.sleep(0.001)

    async with Listener(early) as far, pool_to(far.url) as pool:
        sending = send(pool, slow(), length=50_000)
        async with sending as response:
            assert await response.read(10) == b"{}"
            await until(lambda: sending._is_sent)
            await until(lambda: far.heard.endswith(b"x" * 50_000))
        assert len(pool._connections._kept) == 1


async def test_who_leaves_takes_the_pieces_back_before_going_on():
    state = []

    async def endless():
        try:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0.001)
        finally:
            state.append("ended")

    async with Listener(answer(200, {})) as far, pool_to(far.url) as pool:
        async with send(pool, endless(), length=10**12) as response:
            await response.read(10)
        await until(lambda: state == ["ended"])
        await asyncio.wait_for(far.ended.wait(), 20)
        assert pool._connections._places == 1000
