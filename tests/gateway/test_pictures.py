"""Pictures of tokens: fresh within a second, looked up once for many, and never for noise."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError

from tenants.common import tokens
from tenants.common.problems import Unavailable
from tenants.common.tokens import TokenKind
from tenants.gateway.bounds import Bounds
from tenants.gateway.pictures import Pictures

BOUNDS = Bounds(open_wait=0.5, strangers=5, pictures=3)


class Ledger:
    """A database of tokens that counts how often it is asked."""

    def __init__(self) -> None:
        self.live: set[bytes] = set()
        self.asked: list[bytes] = []
        self.checked: list[set[bytes]] = []
        self.version = 1
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.is_down = False

    def load(self, digest: bytes) -> Any:
        self.asked.append(digest)
        self.may_answer.wait(5)
        if self.is_down:
            raise OperationalError
        return SimpleNamespace(digest=digest, stamp=None) if digest in self.live else None

    def stamps(self, pictures: Any) -> dict[bytes, int]:
        self.checked.append(set(pictures))
        self.may_answer.wait(5)
        if self.is_down:
            raise OperationalError
        return {digest: self.version for digest in pictures if digest in self.live}

    def mint(self) -> str:
        token = tokens.mint(TokenKind.MODEL).reveal()
        self.live.add(tokens.digest(token))
        return token


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def holds(picture: Any, stamp: int | None) -> bool:
    return stamp is not None and picture.stamp == stamp


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def pictures(ledger, clock):
    made = Pictures(BOUNDS, ledger.load, ledger.stamps, holds, clock)
    yield made
    ledger.may_answer.set()
    made.close()


async def settled(pictures) -> None:
    while pictures._loading:  # noqa: ASYNC110 - it happens in a thread
        await asyncio.sleep(0.005)


async def known(pictures, ledger, clock, count: int) -> list[str]:
    """Have tokens whose pictures were read, checked, and read again with their stamps."""
    kept = [ledger.mint() for _ in range(count)]
    for _ in range(2):
        for token in kept:
            assert await pictures.find(token)
        clock.now += BOUNDS.refresh
    for token in kept:
        assert await pictures.find(token)
    await settled(pictures)
    assert len(ledger.asked) == 2 * count
    return kept


async def test_many_callers_of_one_token_wait_for_one_look_up(pictures, ledger):
    token = ledger.mint()
    found = await asyncio.gather(*(pictures.find(token) for _ in range(50)))
    assert None not in found
    assert len(ledger.asked) == 1


async def test_a_picture_is_used_while_it_is_fresh_and_checked_before_it_is_old(
    pictures, ledger, clock
):
    token = ledger.mint()
    first = await pictures.find(token)
    clock.now += BOUNDS.refresh - 0.01
    assert await pictures.find(token) is first
    assert ledger.checked == []
    clock.now += 0.02
    assert await pictures.find(token) is first  # nobody waits for the check
    await settled(pictures)
    assert len(ledger.asked) == 2  # what it was before is not known yet
    second = await pictures.find(token)
    assert second is not first
    for _ in range(5):
        clock.now += BOUNDS.fresh
        assert await pictures.find(token) is second  # too old: it is waited for
    assert len(ledger.asked) == 2
    assert len(ledger.checked) == 6


async def test_what_has_changed_is_read_again(pictures, ledger, clock):
    token, other = await known(pictures, ledger, clock, 2)
    ledger.version += 1
    changed = await pictures.find(token)
    clock.now += BOUNDS.fresh
    assert await pictures.find(token) is not changed
    assert len(ledger.asked) == 5
    ledger.live.clear()
    clock.now += BOUNDS.fresh
    assert await pictures.find(token) is None
    assert await pictures.find(other) is None


async def test_all_that_are_due_are_checked_together(pictures, ledger, clock):
    kept = await known(pictures, ledger, clock, 3)
    ledger.checked.clear()
    clock.now += BOUNDS.refresh
    ledger.may_answer.clear()
    first = await pictures.find(kept[0])
    await asyncio.sleep(0.02)
    assert None not in [await pictures.find(token) for token in kept for _ in range(3)]
    ledger.may_answer.set()
    await settled(pictures)
    assert [len(asked) for asked in ledger.checked] == [1, 2]
    assert await pictures.find(kept[0]) is first


async def test_a_picture_is_read_anew_after_a_while_even_if_nothing_is_known_to_have_changed(
    pictures, ledger, clock
):
    (token,) = await known(pictures, ledger, clock, 1)
    first = await pictures.find(token)
    for _ in range(int(BOUNDS.whole / BOUNDS.fresh)):
        clock.now += BOUNDS.fresh
        await pictures.find(token)
    assert await pictures.find(token) is first
    clock.now += BOUNDS.fresh
    assert await pictures.find(token) is not first


async def test_a_check_that_goes_wrong_leaves_nobody_waiting(pictures, ledger, clock):
    token, other = await known(pictures, ledger, clock, 2)
    ledger.is_down = True
    clock.now += BOUNDS.refresh
    assert await pictures.find(token)
    await settled(pictures)
    clock.now += BOUNDS.fresh
    with pytest.raises(Unavailable):
        await pictures.find(token)
    ledger.is_down = False
    assert await pictures.find(token)
    assert await pictures.find(other)


async def test_a_revoked_token_is_refused_once_the_picture_is_too_old(pictures, ledger, clock):
    token = ledger.mint()
    assert await pictures.find(token)
    ledger.live.clear()
    clock.now += BOUNDS.fresh
    assert await pictures.find(token) is None


async def test_the_age_of_a_picture_counts_from_before_it_was_asked_for(pictures, ledger, clock):
    token = ledger.mint()
    ledger.may_answer.clear()
    finding = asyncio.create_task(pictures.find(token))
    await asyncio.sleep(0.02)
    clock.now += BOUNDS.fresh
    ledger.may_answer.set()
    assert await finding
    ledger.live.clear()
    assert await pictures.find(token) is None


async def test_noise_and_tokens_of_other_kinds_never_reach_the_database(pictures, ledger):
    for token in ("", "x", "aim_mdl_", "aim_mdl_" + "a" * 33, "é" * 40):
        assert await pictures.find(token) is None
    assert await pictures.find(tokens.mint(TokenKind.PLATFORM).reveal()) is None
    assert ledger.asked == []


async def test_an_unknown_token_is_not_looked_up_again_for_a_while(pictures, ledger, clock):
    stranger = tokens.mint(TokenKind.MODEL).reveal()
    for _ in range(10):
        assert await pictures.find(stranger) is None
    assert len(ledger.asked) == 1
    ledger.live.add(tokens.digest(stranger))
    clock.now += BOUNDS.fresh
    assert await pictures.find(stranger)


async def test_whoever_guesses_tokens_does_not_delay_those_that_exist(pictures, ledger, clock):
    token = ledger.mint()
    assert await pictures.find(token)
    ledger.may_answer.clear()
    guesses = [
        asyncio.create_task(pictures.find(tokens.mint(TokenKind.MODEL).reveal())) for _ in range(5)
    ]
    await asyncio.sleep(0.02)
    with pytest.raises(Unavailable):
        await pictures.find(tokens.mint(TokenKind.MODEL).reveal())
    clock.now += BOUNDS.refresh
    assert await pictures.find(token)
    ledger.may_answer.set()
    assert await asyncio.gather(*guesses) == [None] * 5


async def test_nor_those_that_were_not_used_for_a_while(pictures, ledger, clock):
    token = ledger.mint()
    assert await pictures.find(token)
    clock.now += BOUNDS.kept
    pictures._sweep()
    ledger.may_answer.clear()
    guess = asyncio.create_task(pictures.find(tokens.mint(TokenKind.MODEL).reveal()))
    await asyncio.sleep(0.02)
    back = asyncio.create_task(pictures.find(token))
    while len(ledger.asked) < 3:  # noqa: ASYNC110 - both are asked for at the same time
        await asyncio.sleep(0.005)
    ledger.may_answer.set()
    assert await back
    assert await guess is None


async def test_without_a_database_a_token_is_neither_good_nor_bad(pictures, ledger, clock):
    token = ledger.mint()
    assert await pictures.find(token)
    ledger.is_down = True
    clock.now += BOUNDS.fresh
    with pytest.raises(Unavailable):
        await pictures.find(token)
    ledger.is_down = False
    assert await pictures.find(token)


async def test_a_database_that_hangs_keeps_nobody_longer_than_the_wait(pictures, ledger):
    token = ledger.mint()
    ledger.may_answer.clear()
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(Unavailable):
        await pictures.find(token)
    assert loop.time() - began < BOUNDS.open_wait + 1


async def test_only_so_many_pictures_are_kept_and_old_ones_go_with_their_keys(
    pictures, ledger, clock
):
    kept = [ledger.mint() for _ in range(5)]
    for token in kept:
        await pictures.find(token)
    assert len(pictures._known) == BOUNDS.pictures
    clock.now += BOUNDS.kept
    pictures._sweep()
    assert pictures._known == {}
