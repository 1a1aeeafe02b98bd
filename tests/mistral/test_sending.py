"""What becomes of a body that is sent beside its answer."""

import asyncio
import traceback

import pytest

from tenants.mistral import errors
from tests.mistral.far_side import FarSide, answer, answering
from tests.mistral.pools import KEY, pool_to, send, until


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
