"""Streams of every shape: whatever Mistral sends, however cut, arrives as it is and is metered."""

import gzip
import json
import socket
import zlib

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.tenancy import SMALL, ask, question
from tests.mistral.far_side import answer

USAGE = {"prompt_tokens": 40, "completion_tokens": 30, "total_tokens": 70}
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"%btransfer-encoding: chunked\r\n\r\n"
)

# Quotes, escapes, line separators, text that looks like an end or like a usage: all inside JSON.
TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "\n\n",
            "data: [DONE]",
            '"usage":{"prompt_tokens":9}',
            "\u2028\u2029\x85",
            "è🙂" * 50,
            "x" * 70_000,
        ]
    ),
)
COMMENTS = st.sampled_from([b"", b": keep-alive\n\n", b":\n", b"event: ping\n\n", b"id: 7\n"])
ENDINGS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    """A whole stream, and where it is cut."""
    parts: list[bytes] = []
    for text in draw(st.lists(TEXTS, max_size=6)):
        filler = draw(st.sampled_from(["", "abcdefgh"]))
        document = {"model": SMALL, "choices": [{"delta": {"content": text}}], "p": filler}
        written = json.dumps(document, ensure_ascii=draw(st.booleans()))
        parts += [draw(COMMENTS), b"data: " + written.encode("utf-8", "replace") + b"\n\n"]
    last = {"model": SMALL, "choices": [{"delta": {"content": ""}}], "usage": USAGE}
    parts += [draw(COMMENTS), b"data:" + json.dumps(last).encode() + b"\n\n", draw(COMMENTS)]
    parts.append(b"data: [DONE]\n\n")
    whole = b"".join(parts).replace(b"\n", draw(ENDINGS))
    cuts = draw(st.lists(st.integers(1, len(whole)), max_size=12))
    return whole, sorted({*cuts, len(whole)})


def play(scripted, whole: bytes, cuts: list[int], extra: bytes = b"") -> None:
    """Send a stream in pieces."""

    def script(_request, connection: socket.socket) -> None:
        connection.sendall(HEAD % extra)
        at = 0
        for cut in cuts:
            connection.sendall(b"%x\r\n%b\r\n" % (cut - at, whole[at:cut]))
            at = cut
        connection.sendall(b"0\r\n\r\n")

    scripted.script = script


def raw_of(url, tenant) -> bytes:
    """What a caller gets who asks for a stream, not decoded."""
    with httpx.stream(
        "POST",
        f"{url}/v1/chat/completions",
        json=question(stream=True),
        headers=tenant.headers,
        trust_env=False,
        timeout=30,
    ) as stream:
        return b"".join(stream.iter_raw())


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(stream=streams())
def test_any_stream_in_any_pieces_arrives_as_it_is_and_costs_what_it_says(scripted, tenant, stream):
    whole, cuts = stream
    before = len(tenant.events())
    play(scripted, whole, cuts)
    assert raw_of(scripted.url, tenant) == whole
    event = tenant.settled(before + 1)[-1]
    assert (event.prompt_tokens, event.completion_tokens) == (40, 30)
    assert (event.estimate, event.outcome) == ("", "completed")


def test_a_line_of_many_megabytes_passes_and_the_usage_after_it_counts(scripted, tenant):
    big = {"model": SMALL, "choices": [{"delta": {"content": "x" * 6_000_000}}]}
    last = {"model": SMALL, "choices": [], "usage": USAGE}
    whole = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in (big, last))
    play(scripted, whole, [*range(100_000, len(whole), 100_000), len(whole)])
    assert raw_of(scripted.url, tenant) == whole
    (event,) = tenant.settled()
    assert (event.completion_tokens, event.estimate) == (30, "")


def test_a_compressed_answer_passes_as_it_is_and_is_metered_all_the_same(scripted, tenant):
    """We ask for no compression; who compresses all the same is not told apart by the bill."""
    body = {"model": SMALL, "choices": [{"message": {"content": "hello"}}], "usage": USAGE}
    packed = gzip.compress(json.dumps(body).encode())
    scripted.script = lambda _request, connection: connection.sendall(
        answer(200, packed, {"Content-Encoding": "gzip"})
    )
    assert ask(scripted.url, tenant).json() == body
    whole = b"data: " + json.dumps({**body, "choices": []}).encode() + b"\n\ndata: [DONE]\n\n"
    packed = zlib.compress(whole)
    play(scripted, packed, [5, len(packed) // 2, len(packed)], b"content-encoding: deflate\r\n")
    assert raw_of(scripted.url, tenant) == packed
    one, two = tenant.settled(2)
    assert [one.estimate, two.estimate] == ["", ""]
    assert [one.completion_tokens, two.completion_tokens] == [30, 30]
    assert scripted.received.headers["accept-encoding"] == "identity"
