"""One large body, whatever it is made of, holds up nobody else."""

import asyncio
import gc
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock
from uuid import UUID

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.access import replays
from tenants.common.problems import Invalid
from tenants.common.secrets import Secret
from tenants.common.tokens import TokenKind, mint
from tenants.gateway import contents, references, relay, requests, usage, weighing
from tenants.gateway.bounds import Bounds
from tenants.gateway.departures import Departure, Departures
from tenants.gateway.endpoints import ENDPOINTS
from tenants.gateway.once import once
from tenants.gateway.relay import Relay
from tenants.gateway.turns import Turns
from tenants.gateway.usage import Observation
from tenants.keys import tripwire
from tenants.spend.calls import Outcome
from tenants.spend.pricing import Cost, PriceState
from tests.gateway import tenancy
from tests.gateway.tenancy import Tenant, ask
from tests.mistral.far_side import answering

MEGABYTE = 1024 * 1024
WHOSE = UUID(int=1)
USAGE = {"prompt_tokens": 40, "completion_tokens": 30, "total_tokens": 70}
KEY, TOKEN = "KcVfPq9sWm2hBt6xRj4yNd8gLz5vTa3Q", "aim_mdl_" + "KcVfPq9sWm2hBt6xRj4yNd8gLz5vTa3Q" * 2


def filled(part: str, size: int, before: str = "", after: str = "", between: str = "") -> bytes:
    """A body of about so many bytes, of one part again and again."""
    number = size // len(part + between)
    return (before + between.join([part] * number) + after).encode()


CHAT = '{"messages":[],"file_id":"x","x":'
COSTLY = {
    "values": (filled('{"a":[{}]}', 26 * MEGABYTE, CHAT + "[", "]}", ","), "too_complex"),
    "messages": (
        filled('{"role":"user","content":"hello"}', 14 * MEGABYTE, '{"messages":[', "]}", ","),
        "too_complex",
    ),
    "keys": (filled(KEY, 27 * MEGABYTE, CHAT + '"', '"}', " "), "too_many_secrets"),
    "tokens": (filled(TOKEN[:60], 27 * MEGABYTE, CHAT + '"', '"}', " "), "too_many_secrets"),
}


@contextmanager
def holds_up_nobody(url: str, guest: Tenant) -> Iterator[None]:
    """Have somebody else ask for little meanwhile, again and again, and be answered."""
    assert ask(url, guest).is_success
    waits: list[float] = []
    is_over = threading.Event()

    def keep_asking() -> None:
        with httpx.Client(headers=guest.headers, trust_env=False, timeout=30) as client:
            while not is_over.is_set():
                began = time.monotonic()
                client.get(f"{url}/v1/models").raise_for_status()
                waits.append(time.monotonic() - began)

    asking = threading.Thread(target=keep_asking)
    asking.start()
    began = time.monotonic()
    try:
        yield
    finally:
        is_over.set()
        asking.join()
    # Before there were bounds, one of these took 1.5 to 8.6 s, for everybody. A slow machine takes
    # longer for all that is here.
    assert max(waits) < max(1, (time.monotonic() - began) / 2), max(waits)


@pytest.mark.parametrize("name", COSTLY)
def test_a_body_that_is_made_to_be_slow_is_refused_and_holds_up_nobody(
    scripted, made_up, tenant, name
):
    scripted.script = answering(200, {"usage": {"prompt_tokens": 1, "total_tokens": 1}})
    body, code = COSTLY[name]
    guest = tenancy.make(made_up)
    with holds_up_nobody(scripted.url, guest):
        refused = httpx.post(
            f"{scripted.url}/v1/chat/completions",
            content=body,
            headers=tenant.headers,
            trust_env=False,
            timeout=60,
        )
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert tenant.holds() == []


def test_text_may_have_as_many_commas_and_brackets_as_it_likes():
    text = '[{"a":1},' * (weighing.MOST_VALUES // 2)
    body = orjson.dumps({"messages": [{"role": "user", "content": text}]})
    assert requests.read_object(body)["messages"][0]["content"] == text


@pytest.mark.parametrize("value", ["{}", "[]", "1", '""', '{"a":1}'])
def test_so_many_values_are_read_and_more_are_not(value):
    def body(number: int) -> bytes:
        return ('{"x":[' + ",".join([value] * number) + "]}").encode()

    marks = 2 if value[0] in "[{" else 1
    most = (weighing.MOST_VALUES - 2) // marks
    assert len(requests.read_object(body(most))["x"]) == most
    with pytest.raises(Invalid) as refused:
        requests.read_object(body(most + 10))
    assert refused.value.code == "too_complex"


async def test_only_what_is_not_small_leaves_the_event_loops_thread():
    here = threading.get_ident()
    assert await weighing.apart(WHOSE, weighing.LIGHT, threading.get_ident) == here
    assert await weighing.apart(WHOSE, weighing.LIGHT + 1, threading.get_ident) != here


@pytest.mark.parametrize(("text", "leaves"), [("short", False), ("long " * 20_000, True)])
async def test_a_large_answer_is_not_read_in_the_event_loops_thread(text, leaves, monkeypatch):
    noted: list[int] = []

    def note(*arguments) -> None:
        noted.append(threading.get_ident())
        usage.note(*arguments)

    monkeypatch.setattr(relay, "note", note)
    monkeypatch.setattr(relay, "settle_call", lambda *_: Cost(PriceState.UNPRICED, None, "EUR"))
    body = orjson.dumps({"choices": [{"message": {"content": text}}], "usage": USAGE})
    answer: Any = SimpleNamespace(
        status=200,
        headers={"content-length": str(len(body))},
        next_chunk=AsyncMock(return_value=body),
        read=AsyncMock(return_value=body),
    )
    call: Any = SimpleNamespace(
        key=Secret("a key of ours"),
        intent=SimpleNamespace(organization_id=WHOSE),
        request=SimpleNamespace(aftermath=None, endpoint=ENDPOINTS["/v1/chat/completions"]),
        is_kept=False,
    )
    exchange, seen = AsyncMock(), Observation(is_unseen=True)
    with Departure(Departures(Bounds()), WHOSE) as kept:
        await Relay(Mock(), Bounds(), Mock())._whole(exchange, call, answer, seen, kept)
    assert (noted != [threading.get_ident()]) is leaves
    assert exchange.answer.await_args.args[2] == body
    assert (seen.outcome, seen.usage.completion_tokens) == (Outcome.COMPLETED, 30)
    assert not seen.is_unseen


@pytest.mark.parametrize(("text", "leaves"), [("short", False), ("long " * 20_000, True)])
async def test_a_large_request_is_recognized_beside_the_event_loop(text, leaves, monkeypatch):
    noted: list[int] = []

    def note(*_facts: object) -> bytes:
        noted.append(threading.get_ident())
        return b"mark"

    monkeypatch.setattr(replays, "fingerprint", note)
    snapshot = SimpleNamespace(
        organization=SimpleNamespace(id=WHOSE, currency="EUR"), token_id=UUID(int=2)
    )
    facts: Any = {
        "picture": SimpleNamespace(snapshot=snapshot),
        "request": SimpleNamespace(body=text.encode(), target="/v1/chat/completions"),
        "shelf": SimpleNamespace(run=AsyncMock(return_value=replays.Earlier(200, "", b"{}"))),
    }
    exchange = AsyncMock()
    await once(key=b"k", exchange=exchange, lease=1, keep=Mock(), work=AsyncMock(), **facts)
    assert (noted != [threading.get_ident()]) is leaves
    assert exchange.answer.await_args.args[2] == b"{}"


async def test_organizations_take_turns_however_much_one_of_them_brings():
    turns = Turns("test")
    has_begun, may_end, done = threading.Event(), threading.Event(), list[str]()

    def hold_the_thread() -> None:
        has_begun.set()
        may_end.wait()

    first = asyncio.ensure_future(turns.do(WHOSE, hold_the_thread))
    await asyncio.to_thread(has_begun.wait)

    def bring(name: str, whose: int) -> "asyncio.Future[None]":
        return asyncio.ensure_future(turns.do(UUID(int=whose), lambda: done.append(name)))

    much = [bring(f"much {number}", 1) for number in range(3)]
    left = bring("left", 2)
    others = [bring("second", 2), bring("third", 3), bring("fourth", 2)]
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait([left])
    may_end.set()
    await asyncio.gather(first, *much, *others)
    assert done == ["much 0", "third", "much 1", "second", "much 2", "fourth"]


async def test_an_error_of_some_work_is_its_own_callers_and_goes_away_with_it():
    turns = Turns("test")

    def fail() -> None:
        raise Invalid("some_code", "Words.")

    gc.collect()
    gc.disable()
    try:
        with pytest.raises(Invalid):
            await turns.do(WHOSE, fail)
        assert await turns.do(WHOSE, lambda: 1) == 1
        # By its type: proxies of what is gone cannot be asked what they are.
        assert not [one for one in gc.get_objects() if type(one) is Invalid]
    finally:
        gc.enable()


@pytest.mark.parametrize(("megabytes", "status"), [(0.9, 200), (30, 413)])
def test_a_form_without_a_file_holds_up_nobody(scripted, made_up, megabytes, status):
    """Each of its escapes is read by itself."""
    tenant = tenancy.make(made_up, mistral_model="voxtral-mini-latest")
    scripted.script = answering(200, {"text": "", "usage": {"prompt_audio_seconds": 2}})
    body = b"file_url=x&language=" + b"%41" * int(megabytes * MEGABYTE / 3)
    headers = tenant.headers | {"content-type": "application/x-www-form-urlencoded"}
    url = f"{scripted.url}/v1/audio/transcriptions"
    with holds_up_nobody(scripted.url, tenancy.make(made_up)):
        answer = httpx.post(url, content=body, headers=headers, trust_env=False, timeout=60)
    assert answer.status_code == status


@pytest.mark.parametrize("at", [-30, -1, 0, 1])
def test_a_token_is_found_wherever_a_large_text_is_cut_for_the_search(at, monkeypatch):
    token = mint(TokenKind.MODEL).reveal().encode()
    monkeypatch.setattr(tripwire, "_WINDOW", 100)
    text = b" " * (200 + at) + token + b" " * 300 + token
    found = tripwire.suspects(text)
    assert [text[one.start : one.stop] for one in found if one.token] == [token, token]


class Watched(bytes):
    """A body that notes how much of it is searched at once."""

    most = 0

    def _look(self, at: int = 0, stop: int = sys.maxsize) -> None:
        self.most = max(self.most, min(stop, len(self)) - at)

    def count(self, mark: Any, *span: Any) -> int:
        self._look(*span)
        return super().count(mark, *span)

    def find(self, words: Any, *span: Any) -> int:
        self._look(*span)
        return super().find(words, *span)

    def __contains__(self, words: Any) -> bool:
        self._look()
        return super().__contains__(words)

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        if isinstance(part, bytes):
            self._look(0, len(part))
        return part

    def translate(self, table: Any, /, delete: Any = b"") -> bytes:
        self._look()
        return super().translate(table, delete)

    def replace(self, *words: Any) -> bytes:
        self._look()
        return super().replace(*words)

    def searched(self, pattern: re.Pattern[bytes]) -> Any:
        """A pattern whose searches are noted."""

        def search(text: bytes, *span: int) -> re.Match[bytes] | None:
            self._look(*span)
            return pattern.search(text, *span)

        return SimpleNamespace(search=search, finditer=pattern.finditer)


@pytest.mark.parametrize(
    "part", ["\\\\", '\\"', "a word ", "aim_mdl_", "_id", "\\u0030", ",[", KEY * 2]
)
def test_a_large_body_is_searched_in_pieces_between_which_others_run(part, monkeypatch):
    text = part * (3 * MEGABYTE // len(part))
    body = Watched(b'{"messages":[{"role":"user","content":"%b"}]}' % text.encode())
    for name in ("_HINT", "_HIDDEN_NAME"):
        monkeypatch.setattr(references, name, body.searched(getattr(references, name)))
    weighing.refuse_complex(body)
    references.may_have(body)
    requests._is_ambiguous(body, body)
    tripwire.suspects(body)
    assert 0 < body.most < MEGABYTE


JSON_PARTS = (
    b'"',
    b'\\"',
    b"\\\\",
    b",",
    b"[",
    b"{",
    b"x",
    b"\\u0061",
    b"\\u0022",
    b"\\u00",
    b'"file_id',
)
QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')


@given(st.lists(st.sampled_from(JSON_PARTS[1:-1])).map(b"".join), st.integers(1, 9))
def test_so_many_values_are_counted_wherever_a_body_is_cut(text, size):
    body = b'["%b",{"a":"%b"},["%b"]]' % (text, text, text)
    values = sum(QUOTED.sub(b"", body).count(mark) for mark in (b",", b"[", b"{"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weighing, "SLICE", size)
        patch.setattr(weighing, "MOST_VALUES", values)
        weighing.refuse_complex(body)
        patch.setattr(weighing, "MOST_VALUES", values - 1)
        with pytest.raises(Invalid):
            weighing.refuse_complex(body)


@given(st.lists(st.sampled_from(JSON_PARTS)).map(b"".join), st.integers(1, 9))
def test_what_is_looked_for_is_found_wherever_a_body_is_cut(body, size):
    found = [
        references._HINT.search(body) is not None,
        references._HIDDEN_NAME.search(body) is not None,
        b"\\u0022" in body,
        body.count(b'"'),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weighing, "SLICE", size)
        assert references.may_have(body) == (found[0] or found[1])
        assert references.has_hidden_names(body) == found[1]
        assert weighing.holds(body, b"\\u0022") == found[2]
        assert weighing.count(body, b'"') == found[3]


@given(
    st.lists(st.text("01.eE,:è€", max_size=30), min_size=1, max_size=3),
    st.integers(1, 9),
)
def test_arguments_grow_as_much_wherever_they_are_cut(arguments, size):
    seen = contents.Seen([], [], arguments)
    whole = contents.retold(seen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weighing, "SLICE", size)
        assert contents.retold(seen) == whole


RUNS = (
    "a" * 31,
    KEY,
    KEY[:5],
    TOKEN[:30],
    mint(TokenKind.MODEL).reveal(),
    " ",
    "\\n",
    "\\u00e8",
    "+",
    "0" * 32,
)


@given(st.lists(st.sampled_from(RUNS)).map("".join), st.integers(1, 90))
def test_suspects_are_the_same_wherever_a_text_is_cut_for_the_search(text, size):
    whole = tripwire.suspects(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tripwire, "_WINDOW", size)
        assert tripwire.suspects(text.encode()) == whole
