"""What a line of a batch file is, and that it is counted whatever way the file is cut."""

import asyncio
import json
import threading
import time
import tracemalloc
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.gateway import scanning, weighing
from tenants.gateway.scanning import COUNTED, BatchScan

LINE = b'{"custom_id":"1","body":{"messages":[],"max_tokens":5}}'


def scanned(*pieces: bytes) -> dict[str, object]:
    scan = BatchScan(UUID(int=1))

    async def pass_by() -> None:
        for piece in pieces:
            scan.feed(piece)
            await scan.catch_up()
        await scan.catch_up(is_over=True)

    asyncio.run(pass_by())
    return scan.facts()


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        (b"\r".join([LINE] * 50), 1, "carriage return"),
        (LINE + b"\n" + LINE + b"\r\r\n", 2, "carriage return"),
        (LINE + b"\n\n{}\n", 3, "no object with an object `body`"),
        (LINE + b"\n[]\n" + LINE, 2, "no object with an object `body`"),
        (LINE + b"\n{'body':{}}", 2, "not valid JSON"),
        (LINE + b'\n{"body":{"x":"\xff"}}', 2, "not valid JSON"),
        (LINE + b'\n{"body":{"x":NaN}}', 2, "not valid JSON"),
        (LINE + LINE, 1, "not valid JSON"),
        (b"\xef\xbb\xbf" + LINE, 1, "does not begin an object"),
        (b"%PDF-1.7\n", 1, "does not begin an object"),
        (b'{"body":{"n":1,"n":100}}', 1, "says a member twice"),
        (b'{"body":{},"body":{"n":100}}', 1, "says a member twice"),
        (b'{"body":{"n":1,"\\u006e":100}}', 1, "says a member twice"),
        (b'{"body":{"messages":[{"x":[{"a":1,"a"  :2}]}]}}', 1, "says a member twice"),
        (b'{"body":{"n":"100"}}', 1, "`n` is a whole number up to 128, as a number, not text."),
        (b'{"body":{"n":129}}', 1, "`n` is a whole number up to 128."),
        (b'{"body":{"max_tokens":1.5e0}}', 1, "`max_tokens` is a whole number"),
        (b'{"body":{"completion_args":[]}}', 1, "`completion_args` is an object"),
        (b'{"body":{"x":%b}}' % (b"[" * 5000 + b"]" * 5000), 1, "not valid JSON"),
        (b'{"body":{"x":"%b"}}' % (b"x" * 9_000_000), 1, "is longer than"),
        (b'{"body":{"x":[%b0]}}' % (b"0," * 300_000), 1, "values"),
    ],
)
def test_what_could_be_read_in_another_way_is_not_counted(content, line, why):
    for pieces in ((content,), (content[:7], content[7:])):
        facts = scanned(*pieces)
        assert COUNTED not in facts
        assert facts["line"] == line
        assert why in str(facts["fault"])


@pytest.mark.parametrize(
    "content",
    [
        LINE + b"\n" + LINE,
        LINE + b"\r\n" + LINE + b"\r\n",
        b"\n \n" + LINE + b"\n\n\t\r\n" + LINE + b"\n",
        LINE
        + b"\n"
        + LINE.replace(b"[]", b'[{"role":"user","content":"a \\"n\\": 2, \\\\\\" :"}]'),
    ],
)
def test_lines_end_with_a_line_feed_however_they_are_cut(content):
    whole = scanned(content)
    assert (whole[COUNTED], whole["lines"], whole["output_caps"]) == (True, 2, 10)
    assert scanned(*(bytes([byte]) for byte in content)) == whole


ESCAPES = (b'\\"', b"\\u0022", b"\\\\", b"u0022", b":", b"x", b'\\"a\\":')
TEXTS = st.lists(st.sampled_from(ESCAPES), max_size=4).map(lambda parts: b'"%b"' % b"".join(parts))
NAMES = st.sampled_from([b'"a"', b'"\\u0061"', b'"\\u0022"', b'"\\""', b'"\\\\u0022"', b'"b"'])


def objects(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    members = st.lists(st.tuples(NAMES, st.sampled_from([b":", b" : "]), values), max_size=3)
    return members.map(lambda given: b"{%b}" % b",".join(b"".join(one) for one in given))


VALUES = st.recursive(
    TEXTS | st.sampled_from([b"1", b"null", b"{}"]),
    lambda inner: (
        objects(inner) | st.lists(inner, max_size=3).map(lambda all_: b"[%b]" % b",".join(all_))
    ),
    max_leaves=8,
)


@given(objects(VALUES), st.integers(1, 9))
def test_a_line_has_a_member_twice_if_a_parser_that_sees_all_of_them_says_so(body, size):
    line, twins = b'{"body":%b}' % body, list[int]()

    def seen(pairs: list[tuple[str, Any]]) -> None:
        twins.extend([1] * (len(pairs) - len(dict(pairs))))

    json.loads(line, object_pairs_hook=seen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weighing, "SLICE", size)
        assert scanning._has_twins(line, orjson.loads(line)) == bool(twins)
        assert b"".join(weighing.slices(line)) == line


@pytest.mark.parametrize("mark", [b'\\":', b"\\u0022:", b"\\\\u0022:", b'\\\\\\"'])
def test_a_line_full_of_what_could_be_members_is_looked_at_as_it_is(mark):
    # In many texts: orjson makes room for each as if all of it had to be escaped.
    line = b'{"body":{"x":[%b""]}}' % (b'"%b",' % (mark * 1000) * 300)
    request = orjson.loads(line)
    tracemalloc.start()
    try:
        assert not scanning._has_twins(line, request)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 6 * len(line)


def test_a_line_that_is_nested_too_deeply_to_be_written_is_not_counted():
    facts = scanned(b'{"body":{"x":%b}}' % (b"[" * 500 + b"]" * 500))
    assert "nested too deeply" in str(facts["fault"])


def test_a_file_that_was_not_read_to_its_end_is_not_counted():
    scan = BatchScan(UUID(int=1))
    scan.feed(LINE + b"\n")
    asyncio.run(scan.catch_up())
    assert COUNTED not in scan.facts()


BREAKS = (
    b"\n",
    b"\r\n",
    b"\r",
    b"\v",
    b"\f",
    b"\x1c",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b" ",
    b"\t",
    b"\0",
)
PIECES = (LINE, b'{"body":{"x":"', b'"}}', b'"', b",", b"\\", b"\\n", b"{}", b"[]", b"\xff")


@given(st.lists(st.sampled_from(BREAKS + PIECES), max_size=12).map(b"".join), st.integers(0, 20))
def test_what_is_counted_has_as_many_lines_whoever_cuts_it(content, cut):
    """By line feeds, by every line break of bytes, or by every one of Unicode."""
    facts = scanned(content[:cut], content[cut:])
    if COUNTED in facts:
        for parts in (
            content.split(b"\n"),
            content.splitlines(),
            [one.encode() for one in content.decode().splitlines()],
        ):
            assert sum(map(is_request, parts)) == facts["lines"]


def is_request(line: bytes) -> bool:
    try:
        request = json.loads(line)
    except ValueError:
        return False
    return isinstance(request, dict) and "body" in request


def test_nothing_but_the_line_that_is_not_over_is_kept():
    scan = BatchScan(UUID(int=1))
    scan.feed((LINE + b"\n") * 100 + LINE[:20])
    asyncio.run(scan.catch_up())
    assert scan.kept == 20
    scan.feed(b"\n")
    asyncio.run(scan.catch_up())  # a line that does not parse
    scan.feed(b"x" * 1000)
    assert scan.kept == 0


def test_so_many_lines_are_counted_and_no_more(monkeypatch):
    monkeypatch.setattr(scanning, "MOST_LINES", 300)
    assert scanned((LINE + b"\n") * 300)["lines"] == 300
    for line in (LINE + b"\n", b"\n"):
        facts = scanned(line * 200, line * 200)
        assert COUNTED not in facts
        assert facts["line"] == 301


def test_files_that_come_at_once_are_counted_in_one_thread_that_gives_way(monkeypatch):
    threads: set[threading.Thread] = set()
    pauses: list[float] = []
    monkeypatch.setattr(scanning, "_add", lambda *_: threads.add(threading.current_thread()))
    monkeypatch.setattr(time, "sleep", pauses.append)

    async def pass_by() -> None:
        scan = scanning.BatchScan(UUID(int=1))
        scan.feed(b"{}\n" * 1000)
        await scan.catch_up()

    async def at_once() -> None:
        await asyncio.gather(*(pass_by() for _ in range(8)))

    asyncio.run(at_once())
    assert len(threads) == 1
    assert threading.main_thread() not in threads
    assert len(pauses) >= 80


def test_files_of_organizations_are_counted_in_turns(monkeypatch):
    done: list[UUID] = []
    monkeypatch.setattr(scanning.BatchScan, "_count", lambda self, _lines: done.append(self._whose))

    async def pass_by(whose: int) -> None:
        scan = scanning.BatchScan(UUID(int=whose))
        scan.feed(b"{}\n" * 1000)
        await scan.catch_up()

    async def at_once() -> None:
        begins = threading.Event()
        first = asyncio.ensure_future(scanning._turns.do(UUID(int=1), begins.wait))
        files = [asyncio.ensure_future(pass_by(whose)) for whose in (1, 1, 1, 2)]
        await asyncio.sleep(0.01)
        begins.set()
        await asyncio.gather(first, *files)

    asyncio.run(at_once())
    assert [whose.int for whose in done] in ([1, 2, 1, 1], [2, 1, 1, 1])


def test_many_lines_are_counted_beside_the_event_loop(monkeypatch):
    threads: list[threading.Thread] = []
    before = scanning._add

    def seen(*args) -> None:
        threads.append(threading.current_thread())
        before(*args)

    monkeypatch.setattr(scanning, "_add", seen)
    assert scanned((LINE + b"\n") * 2000)["lines"] == 2000
    assert threading.main_thread() not in threads
    assert scanned(LINE)["lines"] == 1
    assert threads[-1] is threading.main_thread()


def test_choices_multiply_the_output_of_their_own_line():
    facts = scanned(
        b'{"body":{"n":2,"max_tokens":5}}\n{"body":{"n":16,"messages":[]}}\n'
        b'{"body":{"completion_args":{"max_tokens":7}}}\n'
    )
    assert (facts["output_caps"], facts["uncapped"]) == (10, 17)
    assert (facts["turn_caps"], facts["uncapped_turns"]) == (7, 2)
