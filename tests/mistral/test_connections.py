"""Who gets which connection."""

import asyncio
import socket
import time
from contextlib import AsyncExitStack

import pytest

from tenants.common.secrets import Secret
from tenants.mistral import connections, errors
from tenants.mistral.pool import PoolLimits
from tests.mistral.far_side import FarSide, answer, answering, free_address
from tests.mistral.pools import KEY, pool_to, send, until

ONE = PoolLimits(connections=1)


async def ask(pool):
    async with send(pool) as response:
        return await response.read(1000)


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
