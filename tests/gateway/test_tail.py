"""The end of a stream tells what the whole would, however it is cut and however long it is."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.gateway import digging
from tenants.gateway.tail import StreamTail, Told
from tenants.mistral.sse import StreamObserver

USAGE = {"prompt_tokens": 40, "completion_tokens": 30, "total_tokens": 70}


def event(text: str, **more) -> bytes:
    document = {"model": "m", "choices": [{"delta": {"content": text}}], **more}
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"


def followed(stream: bytes, cuts: list[int], kept: int = 64 * 1024) -> Told:
    tail = StreamTail(kept)
    edges = [0, *sorted({cut % (len(stream) + 1) for cut in cuts}), len(stream)]
    for start, stop in pairwise(edges):
        tail.feed(stream[start:stop])
    return tail.finish()


texts = st.lists(st.sampled_from(["hello", "è €", '"usage"', "usage", "", "x" * 300, "\n\n"]))
cuts = st.lists(st.integers(0, 100_000), max_size=40)


@given(texts=texts, cuts=cuts, kept=st.integers(1, 3000), last=st.sampled_from(["", "usage", "ü"]))
def test_usage_at_the_end_is_found_wherever_the_stream_is_cut_and_however_little_is_kept(
    texts, cuts, kept, last
):
    stream = b"".join(map(event, texts)) + event(last, usage=USAGE) + b"data: [DONE]\n\n"
    told = followed(stream, cuts, kept)
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (40, 30)
    assert (told.model, told.failure) == ("m", None)


@given(texts=texts, cuts=cuts, cut_off=st.integers(0, 60))
def test_without_usage_a_stream_that_is_kept_whole_is_counted_as_the_observer_counts(
    texts, cuts, cut_off
):
    stream = b"".join(map(event, texts))
    stream = stream[: max(len(stream) - cut_off, 0)]
    whole = StreamObserver()
    whole.feed(stream)
    assert followed(stream, cuts).delivered == whole.finish().delivered


def test_of_a_longer_stream_without_usage_the_rest_is_taken_to_be_like_what_is_kept():
    stream = b"".join(event(f"word {number % 10} ") for number in range(5000))
    told = followed(stream, list(range(0, len(stream), 700)), 8000)
    assert abs(told.delivered - 9 * 5000) < 9 * 5000 // 20


def test_an_event_larger_than_what_is_kept_is_read_all_the_same():
    arguments = "y" * 200_000
    stream = event("hello") * 100 + event(arguments, usage=USAGE) + b"data: [DONE]\n\n"
    told = followed(stream, list(range(0, len(stream), 9000)), 4000)
    assert told.usage.completion_tokens == 30


LONG = "i" * 1_300_000
FALSE = {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}


@pytest.mark.parametrize(
    "last",
    [
        {"instructions": LONG, "usage": USAGE},
        {"instructions": LONG, "tools": [FALSE], "usage": USAGE, "user": 'a "b\\'},
        {"instructions": LONG, "usage": USAGE, "tools": [FALSE, {"function": FALSE}]},
        {"instructions": LONG, "usage": USAGE, "metadata": FALSE, "text": {"format": FALSE}},
        {"instructions": LONG, "usage": USAGE, "text": '}}"usage":{"prompt_tokens":1}'},
        {"instructions": LONG, "usage": USAGE, "metadata": {"a": '\\"' * 10_000}},
    ],
)
@pytest.mark.parametrize("size", [9000, 2_000_000])
def test_the_usage_of_an_event_too_long_to_be_read_is_dug_out_of_its_end(last, size):
    wrapped = {"type": "response.completed", "response": {"model": "m", **last}}
    stream = event("hello") * 9 + b"data: " + json.dumps(wrapped).encode() + b"\n\n"
    told = followed(stream, list(range(0, len(stream), size)))
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (40, 30)


def test_what_a_request_says_of_usage_is_not_dug_out():
    wrapped = {"response": {"instructions": LONG, "tools": [FALSE], "metadata": FALSE}}
    stream = b"data: " + json.dumps(wrapped).encode() + b"\n\n"
    assert not followed(stream, list(range(0, len(stream), 9000))).usage.is_enough


def test_an_event_that_was_cut_off_tells_no_usage_and_is_read_at_once():
    """Of tools that it repeats, whoever made them up could say where they are."""
    tools = {"a": LONG[:1_000_000], "properties": FALSE, "z": '"' * 120_000}
    stream = b"data: " + json.dumps({"response": {"tools": [tools]}}).encode()[:1_200_000]
    # It took hours.
    assert not followed(stream, list(range(0, len(stream), 9000))).usage.is_enough
    assert not followed(stream + b"}" * 3, []).usage.is_enough


def test_what_was_delivered_before_an_event_that_was_cut_off_counts_all_the_same():
    said = event("five words of an answer") * 500
    whole = followed(said, []).delivered
    cut = b'data: {"instructions": "' + b"i" * 1_500_000
    for last in (b"", event("x") * 3):
        stream = said + last + cut
        told = followed(stream, list(range(0, len(stream), 9000)))
        assert told.delivered >= whole


def test_many_false_leads_are_not_all_followed(monkeypatch):
    looked_at: list[int] = []
    depth = digging._depth

    def counted(rest: bytes) -> int:
        looked_at.append(len(rest))
        return depth(rest)

    monkeypatch.setattr(digging, "_depth", counted)
    tools = [*['"x"' * 9] * 5000, *[FALSE] * 500]
    wrapped = {"response": {"instructions": LONG, "tools": tools}}
    stream = b"data: " + json.dumps(wrapped).encode() + b"\n\n"
    assert not followed(stream, []).usage.is_enough
    assert 0 < len(looked_at) <= 4
    assert sum(looked_at) <= 4 * 64 * 1024


def test_memory_is_bounded_whatever_comes():
    tail = StreamTail(10_000)
    for _ in range(300):
        tail.feed(b"z" * 16_384)  # one event without an end
    assert tail._length < 1_200_000
    for _ in range(300):
        tail.feed(event("short") * 20)
    assert tail._length < 13_000
    tail.finish()


def test_an_error_event_is_noticed_with_and_without_usage():
    error = b'data: {"object":"error","message":"x","code":"3000"}\n\n'
    assert followed(event("a") + error, []).failure is not None
    assert followed(event("a", usage=USAGE) + error, []).failure is not None


def test_zero_usage_for_delivered_text_does_not_hide_what_was_delivered():
    zero = {"prompt_tokens": 0, "completion_tokens": 0}
    told = followed(event("hello") + event("", usage=zero), [])
    assert told.delivered == 5


@pytest.mark.parametrize("line", [b"\r\n", b"\r"])
def test_lines_may_end_as_they_like(line):
    stream = event("five words of an answer") * 20_000
    other = stream.replace(b"\n", line)
    cuts = list(range(0, len(other), 9000))
    plain, told = followed(stream, cuts), followed(other, cuts)
    assert plain.delivered * 0.95 < told.delivered < plain.delivered * 1.05
    tail = StreamTail()
    for at in range(0, len(other), 9000):
        tail.feed(other[at : at + 9000])
    assert tail._length < 80_000, "what is kept is bounded by events, not by the longest one"
