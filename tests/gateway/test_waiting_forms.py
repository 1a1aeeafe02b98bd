"""Forms that tell their model after their file: they wait on disk, for which there is a bound."""

import asyncio
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from tenants.common.problems import Problem
from tenants.gateway.multipart import Form
from tenants.gateway.rooms import Full, Room
from tenants.gateway.spool import Spool
from tenants.gateway.uploads import Upload
from tests.gateway import tenancy
from tests.gateway.server import GatewayServer
from tests.gateway.tenancy import Tenant, ask, eventually
from tests.gateway.test_arrivals import KILO, VOICE, head, is_kept, refusal
from tests.gateway.test_transcriptions import MODEL, form, recording, send
from tests.mistral.far_side import answering

FORM = "multipart/form-data; boundary=b"
BEGIN = form(("file=a.wav", b"")).partition(b"\r\n--b--")[0]
WHOSE = UUID(int=1)


@pytest.fixture(scope="module")
def narrow(mistral, _database) -> Iterator[GatewayServer]:
    """A gateway with little room on disk."""
    with GatewayServer(mistral.url, waiting=1000 * KILO, waiting_of_one=700 * KILO) as server:
        yield server


def begun(server: GatewayServer, tenant: Tenant, sent: int) -> socket.socket:
    """Send a part of a form that begins with its file, and stay."""
    wire = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    wire.sendall(head(tenant, sent + KILO, VOICE, FORM) + BEGIN + b"x" * sent)
    return wire


def test_waiting_forms_share_the_disk_of_which_everybody_has_a_part(narrow, made_up):
    greedy, second, third = (tenancy.make(made_up, mistral_model=MODEL) for _ in range(3))
    with ExitStack() as stack:

        def wait(tenant: Tenant, sent: int) -> socket.socket:
            return stack.enter_context(closing(begun(narrow, tenant, sent)))

        first = wait(greedy, 600 * KILO)
        assert is_kept(first)
        assert refusal(wait(greedy, 600 * KILO)) == (429, "too_many_at_once")
        another = wait(second, 300 * KILO)
        assert is_kept(another)
        full = send(narrow.url, third.token, form(("file=a.wav", recording(60))))
        assert (full.status_code, full.json()["code"]) == (503, "busy")
        assert full.headers["retry-after"] == "1"
        assert "Send `model` before the file" in full.json()["message"]
        # What tells its model first does not wait, nor does what has come whole.
        for parts in (
            [("model", MODEL.encode()), ("file=a.wav", recording(60))],
            [("file=a.wav", recording(1)), ("model", MODEL.encode())],
        ):
            assert send(narrow.url, third.token, form(*parts)).is_success
        assert ask(narrow.url, greedy, max_tokens=1).status_code != 503
    long = form(("file=a.wav", recording(80)), ("model", MODEL.encode()))
    eventually(lambda: send(narrow.url, third.token, long).is_success)
    eventually(lambda: send(narrow.url, greedy.token, long).is_success)


def test_a_form_that_could_never_wait_is_told_at_once_what_to_do(narrow, made_up):
    tenant = tenancy.make(made_up, mistral_model=MODEL)
    with socket.create_connection(("127.0.0.1", narrow.port), timeout=10) as wire:
        wire.sendall(head(tenant, 701 * KILO, VOICE, FORM) + BEGIN + b"x" * 8 * KILO)
        assert refusal(wire) == (413, "body_too_large")


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("name", ["Assistente", MODEL, None])
def test_what_waited_arrives_with_mistrals_name_and_no_other_change(
    scripted, made_up, name, length
):
    tenant = tenancy.make(made_up, mistral_model=MODEL)
    scripted.script = answering(200, {"text": "x", "usage": {"prompt_audio_seconds": 2}})
    sound, after = recording(100), ("language", b"it")
    told = [] if name is None else [("model", name.encode())]
    body = form(("file=a.wav", sound), *told, after)
    if name is None:
        wanted = form(("model", MODEL.encode()), ("file=a.wav", sound), after)
    else:
        wanted = form(("file=a.wav", sound), ("model", MODEL.encode()), after)
    headers = tenant.headers | {"content-type": FORM}
    content = body if length else iter([body])
    answer = httpx.post(
        f"{scripted.url}{VOICE}", content=content, headers=headers, trust_env=False, timeout=30
    )
    assert answer.is_success, answer.text
    assert scripted.received.body == wanted


async def test_a_full_disk_is_refused_as_busy_and_leaves_nothing_behind(monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: Path("/dev/full").open("r+b"))  # noqa: SIM115
    room = Room(1000 * KILO, 700 * KILO, Full("one", "all"))
    pieces = iter([form(("file=a.wav", recording(60))), b""])

    async def read() -> bytes:
        return next(pieces)

    upload = Upload(read, Form(b"b"), None, 10**9, keep=lambda _size: None)
    spool = Spool(room, WHOSE)
    with pytest.raises(Problem) as refused:
        await upload.read_all(spool)
    upload.close()
    spool.close()
    problem = refused.value
    assert (problem.status, problem.code, problem.retry_after) == (503, "busy", 10)
    assert "Send `model` before the file" in problem.detail
    room.take(WHOSE, 700 * KILO)


async def test_what_is_replaced_is_given_in_its_place_and_nothing_is_written_again():
    spool = Spool(Room(10**7, 10**7, Full("one", "all")), WHOSE)
    text = bytes(range(256)) * 4096
    for start in range(0, len(text), 100_000):
        await spool.write(text[start : start + 100_000])
    spool.replace(500_000, 500_003, b"-middle-")
    spool.replace(0, 0, b"front")
    given = b"".join([piece async for piece in spool.pieces()])
    assert given == b"front" + text[:500_000] + b"-middle-" + text[500_003:]
    await asyncio.to_thread(spool.close)
