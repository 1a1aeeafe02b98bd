import asyncio
import itertools
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.mistral.connection import A_PART, MOST_BARREN, MOST_KEPT, Connection

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = HEAD + b"Content-Length: 5\r\n\r\nhello"


class Wire(Mock):
    """A transport that only remembers."""

    def __init__(self, **more) -> None:
        super().__init__(spec=asyncio.Transport, **more)


def connected() -> tuple[Connection, Wire]:
    connection, wire = Connection(), Wire()
    connection.connection_made(wire)
    return connection, wire


def asked(idle: float = 60.0) -> tuple[Connection, Wire]:
    connection, wire = connected()
    connection.begin(b"GET / HTTP/1.1\r\n\r\n", idle)
    return connection, wire


def framed(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part)


async def taken(connection: Connection) -> bytes:
    parts = []
    while part := await connection.next_part():
        parts.append(part)
    return b"".join(parts)


@given(st.lists(st.integers(1, len(CHUNKED) + 60), max_size=30))
async def test_an_answer_is_the_same_wherever_it_is_cut(cuts):
    whole = CHUNKED + framed(b"data: \xc3") + framed(b"\xa9\n\n") + framed(b"")
    connection, _ = asked()
    edges = sorted({0, *(cut for cut in cuts if cut < len(whole)), len(whole)})
    for start, end in itertools.pairwise(edges):
        connection.data_received(whole[start:end])
    assert (connection.status, connection.is_over) == (200, True)
    assert connection.headers == {"content-type": "text/plain", "transfer-encoding": "chunked"}
    assert await taken(connection) == b"data: \xc3\xa9\n\n"
    assert connection.is_reusable


async def test_requests_follow_each_other():
    connection, wire = asked()
    connection.data_received(WHOLE)
    assert (connection.is_over, connection.is_reusable) == (True, False), "it was not taken"
    assert await taken(connection) == b"hello"
    assert connection.is_reusable
    connection.begin(b"second", 60)
    assert wire.write.call_args.args == (b"second",)
    assert (connection.status, connection.headers, connection.is_over) == (0, {}, False)
    connection.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (connection.status, connection.is_reusable) == (204, True)


async def test_headers_are_in_lower_case_the_first_of_each_and_of_any_bytes():
    connection, _ = asked()
    connection.data_received(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nX-B: \xff\xc3\xa9\r\n\r\n")
    assert connection.headers["x-a"] == "1"
    assert connection.headers["x-b"].encode("utf-8", "surrogateescape") == b"\xff\xc3\xa9"


async def test_trailers_are_no_headers():
    connection, _ = asked()
    connection.data_received(CHUNKED + b"0\r\nX-Late: 1\r\n\r\n")
    assert connection.is_over
    assert "x-late" not in connection.headers


async def test_interim_answers_are_waited_out():
    connection, _ = asked()
    connection.data_received(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: a\r\n\r\n")
    assert (connection.status, connection.is_over) == (0, False)
    connection.data_received(WHOLE)
    assert (connection.status, "link" in connection.headers) == (200, False)
    assert await taken(connection) == b"hello"


UNREADABLE = {
    "nonsense": b"nonsense\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    "another protocol, unsaid": b"HTTP/1.1 101 Switching\r\n\r\n",
    "no status": b"HTTP/1.1 099 X\r\nContent-Length: 5\r\n\r\nhello" + WHOLE,
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a length and chunks": HEAD
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a signed length": HEAD + b"Content-Length: +5\r\n\r\nhello",
    "lines that end with a line feed": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
}


@pytest.mark.parametrize("received", UNREADABLE.values(), ids=UNREADABLE)
async def test_what_can_be_read_in_two_ways_or_none_is_no_answer(received):
    connection, wire = asked()
    connection.data_received(received)
    assert (connection.is_closed, connection.is_over) == (True, False)
    wire.abort.assert_called_once()
    await asyncio.wait_for(connection.answered(), 5)
    assert await taken(connection) == b""


async def test_chunks_that_cannot_be_read_lose_the_rest_and_not_what_came_before():
    connection, _ = asked()
    connection.data_received(CHUNKED + framed(b"first") + b"zz\r\n")
    assert await taken(connection) == b"first"
    assert (connection.is_closed, connection.is_over) == (True, False)


@pytest.mark.parametrize("apart", [False, True])
async def test_more_than_one_answer_spoils_the_connection_and_not_the_answer(apart):
    connection, wire = asked()
    parts = [WHOLE, WHOLE] if apart else [WHOLE + WHOLE]
    for part in parts:
        connection.data_received(part)
    assert (connection.status, await taken(connection)) == (200, b"hello")
    assert connection.is_over
    assert not connection.is_reusable
    wire.abort.assert_called_once()


async def test_bytes_that_nobody_asked_for_close_an_unused_connection():
    connection, wire = connected()
    connection.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert (connection.is_closed, connection.is_reusable, connection.status) == (True, False, 0)
    wire.abort.assert_called_once()


async def test_a_connection_that_is_to_be_closed_is_not_used_again():
    connection, _ = asked()
    connection.data_received(HEAD + b"Connection: close\r\nContent-Length: 0\r\n\r\n")
    assert connection.is_over
    assert not connection.is_reusable


@pytest.mark.parametrize(
    ("head", "error", "whole"),
    [
        (HEAD + b"\r\n", None, True),
        (HEAD + b"\r\n", ConnectionResetError(), False),
        (HEAD + b"Content-Length: 9\r\n\r\n", None, False),
        (CHUNKED, None, False),
    ],
)
async def test_only_an_answer_without_a_length_ends_with_its_connection(head, error, whole):
    connection, _ = asked()
    connection.data_received(head + (framed(b"hello") if head == CHUNKED else b"hello"))
    connection.connection_lost(error)
    assert await taken(connection) == b"hello"
    assert (connection.is_over, connection.is_reusable) == (whole, False)


async def test_an_end_while_reading_is_paused_is_no_end_of_an_answer_without_a_length():
    connection, _ = asked()
    connection.data_received(HEAD + b"\r\n" + b"x" * (MOST_KEPT + 1))
    connection.connection_lost(None)
    assert not connection.is_over


async def test_a_head_that_drips_takes_no_longer_than_one_that_does_not_come():
    connection, _ = asked(idle=0.2)
    drops = iter(HEAD + b"X-Slow: " + b"x" * 10_000)
    while not connection.is_closed:
        connection.data_received(bytes([next(drops)]))
        await asyncio.sleep(0.005)
    assert connection.status == 0


async def test_a_body_that_drips_takes_as_long_as_it_comes():
    connection, wire = asked(idle=0.2)
    connection.data_received(CHUNKED)
    began = connection._deadline
    await asyncio.sleep(0.01)
    connection.data_received(framed(b"x"))
    assert connection._deadline > began
    connection._deadline = 0
    connection._ring()
    wire.abort.assert_called_once()
    assert await taken(connection) == b"x"
    assert not connection.is_over


@pytest.mark.parametrize("start", [b"5;", b"0\r\nX-Trailer: "])
async def test_what_is_no_body_and_drips_takes_no_longer_than_what_does_not_come(start):
    connection, _ = asked()
    connection.data_received(CHUNKED + framed(b"x"))
    until = connection._deadline
    await asyncio.sleep(0.01)
    for octet in start + b"a" * 10:
        connection.data_received(bytes([octet]))
    assert connection._deadline == until


@pytest.mark.parametrize("start", [HEAD, CHUNKED + b"0\r\n"])
async def test_a_head_and_trailers_without_end_are_cut_off(start):
    connection, _ = asked()
    connection.data_received(start)
    for _ in range(2 * MOST_BARREN // 1000):
        connection.data_received(b"X-More: 12\r\n" * 100)
    assert (connection.is_closed, connection.is_over) == (True, False)


async def test_an_extension_of_a_chunk_without_end_is_cut_off():
    connection, _ = asked()
    connection.data_received(CHUNKED + framed(b"x") + b"1;")
    for _ in range(300):
        connection.data_received(b"a" * 1024)
    assert connection.is_closed


async def test_an_answer_that_nobody_takes_is_not_read_on_until_somebody_does():
    connection, wire = asked(idle=0.01)
    connection.data_received(CHUNKED)
    part = b"x" * 1000
    fit = MOST_KEPT // (len(part) + A_PART)
    for _ in range(fit):
        connection.data_received(framed(part))
    wire.pause_reading.assert_not_called()
    connection.data_received(framed(part))
    wire.pause_reading.assert_called_once()
    await asyncio.sleep(0.05)
    wire.abort.assert_not_called()  # it is not Mistral who is slow
    assert await connection.next_part() == part * (fit + 1)
    wire.resume_reading.assert_called_once()
    for _ in range(500):
        if connection.is_closed:
            break
        await asyncio.sleep(0.01)
    assert connection.is_closed, "now it is"


async def test_small_chunks_count_for_what_they_take():
    connection, wire = asked()
    connection.data_received(CHUNKED + framed(b"x") * (MOST_KEPT // A_PART))
    wire.pause_reading.assert_called_once()


async def test_what_is_closed_takes_no_request_and_sets_no_timer():
    connection, wire = asked()
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    connection.close()
    wire.reset_mock()
    connection.begin(b"GET", 60)
    await connection.write(b"more")
    await connection.answered()
    wire.write.assert_not_called()
    assert connection._timer is None
    assert connection.status == 0, "of the answer before nothing is left"


async def test_a_shorter_patience_is_kept_although_a_longer_one_was_set_before():
    connection, _ = asked(idle=600)
    connection.data_received(WHOLE)
    await taken(connection)
    connection.begin(b"", 0.01)
    await asyncio.wait_for(connection.answered(), 5)
    assert (connection.is_closed, connection.status) == (True, 0)


async def test_who_writes_waits_for_room_and_not_for_a_connection_that_is_gone():
    connection, _ = asked()
    connection.pause_writing()
    writing = asyncio.create_task(connection.write(b"a"))
    await asyncio.sleep(0.01)
    assert not writing.done()
    connection.resume_writing()
    await asyncio.wait_for(writing, 5)
    connection.pause_writing()
    writing = asyncio.create_task(connection.write(b"b"))
    await asyncio.sleep(0.01)
    connection.close()
    await asyncio.wait_for(writing, 5)
