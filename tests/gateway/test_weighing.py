"""One large body, whatever it is made of, holds up nobody else."""

import threading
import time

import httpx
import orjson
import pytest

from tenants.common.problems import Invalid
from tenants.common.tokens import TokenKind, mint
from tenants.gateway import requests, weighing
from tenants.keys import tripwire
from tests.gateway import tenancy
from tests.gateway.tenancy import ask
from tests.mistral.far_side import answering

MEGABYTE = 1024 * 1024
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


@pytest.mark.parametrize("name", COSTLY)
def test_a_body_that_is_made_to_be_slow_is_refused_and_holds_up_nobody(
    scripted, made_up, tenant, name
):
    scripted.script = answering(200, {"usage": {"prompt_tokens": 1, "total_tokens": 1}})
    body, code = COSTLY[name]
    guest = tenancy.make(made_up)
    assert ask(scripted.url, guest).is_success
    waits: list[float] = []
    is_over = threading.Event()

    def keep_asking() -> None:
        with httpx.Client(headers=guest.headers, trust_env=False, timeout=30) as client:
            while not is_over.is_set():
                began = time.monotonic()
                client.get(f"{scripted.url}/v1/models").raise_for_status()
                waits.append(time.monotonic() - began)

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        refused = httpx.post(
            f"{scripted.url}/v1/chat/completions",
            content=body,
            headers=tenant.headers,
            trust_env=False,
            timeout=60,
        )
    finally:
        is_over.set()
        asking.join()
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert tenant.holds() == []
    # Before there were bounds, one of these took 1.5 to 8.6 s for everybody.
    assert max(waits) < 1, max(waits)


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
    assert await weighing.apart(weighing.LIGHT, threading.get_ident) == here
    assert await weighing.apart(weighing.LIGHT + 1, threading.get_ident) != here


@pytest.mark.parametrize("at", [-30, -1, 0, 1])
def test_a_token_is_found_wherever_a_large_text_is_cut_for_the_search(at, monkeypatch):
    token = mint(TokenKind.MODEL).reveal().encode()
    monkeypatch.setattr(tripwire, "_WINDOW", 100)
    text = b" " * (200 + at) + token + b" " * 300 + token
    found = tripwire.suspects(text)
    assert [text[one.start : one.stop] for one in found if one.token] == [token, token]
