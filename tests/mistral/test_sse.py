import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenants.mistral.errors import ErrorClass
from tenants.mistral.sse import StreamObserver
from tenants.mistral.wire import Quantity, Usage

USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 4,
    "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 0},
}


def chunk(content="", reason=None, **more):
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1787000000,
        "model": "mistral-small-2603",
        "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": reason}],
        "p": "abcdefghij",
        **more,
    }


def event(document, name="", ending="\n"):
    lines = [f"event: {name}"] if name else []
    data = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    return (ending.join([*lines, f"data: {data}"]) + ending * 2).encode()


CHAT = b"".join(
    [
        event(chunk("")),
        event(chunk("Ciao")),
        event(chunk(" città 🏙")),
        event(chunk("", "stop", usage=USAGE)),
        event("[DONE]"),
    ]
)


def observed(*chunks, **limits):
    observer = StreamObserver(**limits)
    for part in chunks:
        observer.feed(part)
    return observer.finish()


def test_a_chat_stream_tells_usage_model_reason_and_delivered_text():
    outcome = observed(CHAT)

    assert outcome.usage == Usage(10, 4, 14, cached_tokens=0)
    assert outcome.model == "mistral-small-2603"
    assert outcome.finish_reasons == ("stop",)
    assert outcome.delivered == 9 + 2 + 1 + 12
    assert (outcome.events, outcome.done, outcome.bytes_seen) == (5, True, len(CHAT))
    assert (outcome.failure, outcome.oversized_events) == (None, 0)


def test_a_stream_the_caller_left_has_no_usage_but_the_text_until_then():
    outcome = observed(CHAT[: CHAT.index(b"stop") - 60])

    assert outcome.usage.quantity is Quantity.ABSENT
    assert outcome.delivered == 9 + 2 + 1 + 12
    assert not outcome.done


def test_the_last_usage_counts_and_null_is_none():
    outcome = observed(
        event(chunk("a", usage=None)),
        event(chunk("b", usage={"prompt_tokens": 1})),
        event(chunk("c", usage=USAGE)),
        event(chunk("d", usage=None)),
    )

    assert outcome.usage.prompt_tokens == 10


def test_an_unreadable_usage_leaves_the_one_before():
    outcome = observed(event(chunk(usage=USAGE)), event(chunk(usage={"prompt_tokens": "ten"})))

    assert outcome.usage.prompt_tokens == 10


def test_the_word_usage_in_a_text_is_no_usage():
    outcome = observed(event(chunk('say "usage": {"prompt_tokens": 9}')))

    assert outcome.usage.quantity is Quantity.ABSENT


def test_reasoning_and_tool_arguments_count_as_delivered():
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hmm"}]}
    tool = chunk("x")
    tool["choices"][0]["delta"] = {"tool_calls": [{"function": {"arguments": '{"a":1}'}}]}

    assert observed(event(chunk([thinking])), event(tool)).delivered == 3 + (7 + 2 * 6)


def test_a_conversation_stream_with_named_events_is_understood():
    outcome = observed(
        event({"type": "conversation.response.started"}, "conversation.response.started"),
        event(
            {"type": "message.output.delta", "content": "abc", "model": "mistral-medium-2508"},
            "message.output.delta",
        ),
        event(
            {"type": "conversation.response.done", "usage": {**USAGE, "connector_tokens": 5}},
            "conversation.response.done",
        ),
    )

    assert outcome.usage.connector_tokens == 5
    assert (outcome.model, outcome.delivered) == ("mistral-medium-2508", 3)
    assert not outcome.done


def test_a_responses_stream_carries_its_usage_in_the_wrapped_answer():
    wrapped = {"model": "m-1", "usage": {"input_tokens": 3, "output_tokens": 1}}

    outcome = observed(event({"type": "response.completed", "response": wrapped}))

    assert (outcome.usage, outcome.model) == (Usage(3, 1), "m-1")


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (
            event({"object": "error", "type": "rate_limited", "raw_status_code": 429}),
            ErrorClass.RATE_LIMITED,
        ),
        (event({"error": {"message": "x", "code": "3505"}}), ErrorClass.CAPACITY),
        (event({"message": "x", "code": 503}, "error"), ErrorClass.SERVER_ERROR),
        (event("broken", "conversation.response.error"), ErrorClass.SERVER_ERROR),
        (
            event({"type": "conversation.response.error", "message": "x", "code": 429}),
            ErrorClass.RATE_LIMITED,
        ),
    ],
)
def test_an_error_event_is_classified_and_what_came_before_stays(stream, expected):
    outcome = observed(event(chunk("abc")), stream)

    assert outcome.failure is not None
    assert outcome.failure.error_class is expected
    assert outcome.delivered == 3


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_all_three_line_endings_mean_the_same(ending):
    data = json.dumps(chunk("ab", "stop", usage=USAGE), indent=1).splitlines()
    lines = [": ping", "", "id: 7", "retry: 10", "event: x", *(f"data:{part}" for part in data)]
    stream = "\ufeff" + ending.join(lines) + ending * 2 + f"data: [DONE]{ending}{ending}"

    outcome = observed(stream.encode())

    assert outcome.usage.total_tokens == 14
    assert (outcome.delivered, outcome.events, outcome.done) == (3, 2, True)


def test_a_byte_order_mark_does_not_hide_the_first_event():
    assert observed("\ufeff".encode() + event(chunk("ab"))).delivered == 3


def test_an_empty_chunk_between_cr_and_lf_changes_nothing():
    stream = event({"code": 500}, "error", ending="\r\n")
    cut = stream.index(b"\n")

    outcome = observed(stream[:cut], b"", stream[cut:])

    assert outcome == observed(stream)
    assert outcome.failure is not None


def test_an_error_member_beside_choices_is_no_failure():
    assert observed(event(chunk("a", error=None))).failure is None


def test_an_event_cut_off_by_the_end_of_the_stream_is_still_read():
    whole = event(chunk(usage=USAGE))

    assert observed(whole.rstrip()).usage.total_tokens == 14
    assert observed(whole[:-20]).usage.quantity is Quantity.ABSENT


def test_finishing_twice_tells_the_same():
    observer = StreamObserver()
    observer.feed(CHAT.rstrip())

    assert observer.finish() == observer.finish()


def test_an_event_above_the_limit_is_counted_but_not_kept():
    huge = event(chunk("x" * 5000, usage=USAGE))

    outcome = observed(event(chunk("abc")), huge, event(chunk("de")), max_event_bytes=1000)

    assert outcome.oversized_events == 1
    assert outcome.usage.quantity is Quantity.ABSENT
    assert outcome.delivered == 3 + len(huge) - 2 + 3


def test_an_event_too_large_in_all_its_lines_counts_all_of_them():
    lines = [b"data: " + b"x" * size + b"\n" for size in (600, 600, 50)]

    outcome = observed(*lines, b"\n", event(chunk("abc")), max_event_bytes=1000)

    assert outcome.oversized_events == 1
    assert outcome.delivered == 601 + 600 + 50 + 3


@pytest.mark.parametrize("unit", [b"x" * 1000, b"data:\n", b"data: " + b"y" * 90 + b"\n", b"\xff"])
def test_an_endless_event_keeps_memory_bounded(unit):
    observer = StreamObserver(max_event_bytes=10_000)
    for _ in range(200_000 // len(unit)):
        observer.feed(unit)

    events, lines = observer._events, observer._lines
    assert len(lines._pending) <= 10_000
    assert sum(map(len, events._data)) + len(events._data) <= 10_000
    assert observer.finish().oversized_events == 1


documents = st.sampled_from(
    [
        chunk("Ciao"),
        chunk("città \u2028 🏙"),
        chunk("", "stop", usage=USAGE),
        chunk("x" * 300),
        chunk("y", usage={"prompt_tokens": -1}),
        {"type": "conversation.response.error", "code": 500, "message": "x"},
        {"object": "error", "code": "1300", "raw_status_code": 429},
    ]
)
endings = st.sampled_from(["\n", "\r\n", "\r"])
events = st.builds(event, documents, st.sampled_from(["", "a.b", "error"]), endings)
noise = st.sampled_from(
    [b": ping\n", b"\r\n", b"\n", b"\r", b"data\n", b"data:\r", b"data: {\n", b"id: 1\r\n", b"\xef"]
) | st.binary(max_size=12)
streams = st.lists(events | noise | st.just(b"data: [DONE]\n\n"), max_size=8).map(b"".join)


@st.composite
def cut_streams(draw):
    stream = draw(st.just(b"") | st.just(b"\xef\xbb\xbf")) + draw(streams)
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]
    return stream, [stream[a:b] for a, b in itertools.pairwise(edges)]


@settings(deadline=None)  # the machine may be busy
@given(cut=cut_streams(), limit=st.sampled_from([64, 200, 1024 * 1024]))
def test_any_cut_of_any_stream_tells_the_same_as_the_whole(cut, limit):
    stream, parts = cut

    assert observed(*parts, max_event_bytes=limit) == observed(stream, max_event_bytes=limit)


@settings(deadline=None)  # the machine may be busy
@given(cut=cut_streams())
def test_byte_by_byte_tells_the_same_as_the_whole(cut):
    stream, _ = cut

    assert observed(*(bytes([byte]) for byte in stream)) == observed(stream)


@settings(deadline=None)  # the machine may be busy
@given(stream=st.binary(max_size=500))
def test_any_bytes_are_watched_without_complaint(stream):
    assert observed(stream).bytes_seen == len(stream)
