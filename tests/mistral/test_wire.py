import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenants.mistral.delivered import tokens_of, weigh_delivered
from tenants.mistral.errors import ErrorClass, Family, WireError
from tenants.mistral.wire import (
    Identity,
    ModelType,
    Named,
    OcrUsage,
    Quantity,
    Usage,
    read_answer,
    read_identity,
    read_json,
    read_models,
    read_usage,
)

SECRET_TEXT = "the key is QwErTyUiOpAsDfGhJkLzXcVbNm012345"

BASE_ROW = {
    "id": "mistral-small-latest",
    "object": "model",
    "created": 1787000000,
    "owned_by": "mistralai",
    "capabilities": {"completion_chat": True, "vision": True, "ocr": False, "new_flag": True},
    "name": "mistral-small-2603",
    "description": None,
    "max_context_length": 262144,
    "aliases": ["mistral-small-2603", "mistral-small"],
    "deprecation": "2026-12-31T12:00:00Z",
    "deprecation_replacement_model": "mistral-small-2700",
    "default_model_temperature": 0.3,
    "type": "base",
    "billing_model_name": "mistral-small-4",
    "something_new": {"a": 1},
}
TUNED_ROW = {
    "id": "ft:open-mistral-7b:suffix:20240430:d9a2e2a2",
    "capabilities": {"completion_chat": True},
    "job": "8a2e",
    "root": "open-mistral-7b",
    "TYPE": "fine-tuned",
    "archived": True,
    "aliases": [],
    "deprecation": None,
}
IDENTITY = {
    "id": "u1",
    "email": "a@x.test",
    "first_name": "A",
    "last_name": None,
    "workspace": {"id": "w1", "name": "Default"},
    "organization": {"id": "o1", "name": "Bàr & Söhne 👩‍🔬"},
    "api_key": {"id": "k1", "name": None},
}


def dumped(document):
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("given_usage", "expected", "quantity"),
    [
        (None, Usage(), Quantity.ABSENT),
        ({}, Usage(), Quantity.ABSENT),
        ({"something": 3}, Usage(), Quantity.ABSENT),
        (
            {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
            Usage(0, 0, 0),
            Quantity.ZERO,
        ),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 5,
                "total_tokens": 105,
                "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
                "prompt_audio_seconds": None,
                "service_tier": "priority",
            },
            Usage(100, 5, 105, cached_tokens=64, service_tier="priority", audio_tokens=0),
            Quantity.POSITIVE,
        ),
        (
            {"prompt_tokens": 9, "prompt_token_details": {"cached_tokens": 8}},
            Usage(9, cached_tokens=8),
            Quantity.POSITIVE,
        ),
        (
            {"prompt_tokens": 9, "num_cached_tokens": 7, "prompt_tokens_details": None},
            Usage(9, cached_tokens=7),
            Quantity.POSITIVE,
        ),
        (
            {"prompt_tokens": 9, "num_cached_tokens": 7, "prompt_tokens_details": {}},
            Usage(9, cached_tokens=7),
            Quantity.POSITIVE,
        ),
        (
            {"prompt_audio_seconds": 12, "prompt_tokens": 0, "completion_tokens": 0},
            Usage(0, 0, prompt_audio_seconds=12),
            Quantity.POSITIVE,
        ),
        (
            {
                "input_tokens": 10,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 10},
                "output_tokens": 3,
                "total_tokens": 13,
            },
            Usage(10, 3, 13, cached_tokens=0),
            Quantity.POSITIVE,
        ),
        (
            {"prompt_tokens": 1, "connector_tokens": 20, "connectors": {"web_search": 2}},
            Usage(1, connector_tokens=20, connector_calls=2),
            Quantity.POSITIVE,
        ),
    ],
)
def test_usage_of_every_endpoint_and_age_is_read(given_usage, expected, quantity):
    usage = read_usage(given_usage)

    assert usage == expected
    assert usage.quantity is quantity


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        ("12", "usage"),
        ([], "usage"),
        ({"prompt_tokens": "12"}, "usage.prompt_tokens"),
        ({"prompt_tokens": -1}, "usage.prompt_tokens"),
        ({"prompt_tokens": True}, "usage.prompt_tokens"),
        ({"prompt_tokens": 1.5}, "usage.prompt_tokens"),
        ({"total_tokens": 2**60}, "usage.total_tokens"),
        ({"prompt_tokens": 5, "num_cached_tokens": 6}, "usage.cached_tokens"),
        ({"prompt_tokens_details": [1]}, "usage.prompt_tokens_details"),
        (
            {"prompt_tokens_details": {"cached_tokens": "x"}},
            "usage.prompt_tokens_details.cached_tokens",
        ),
        ({"service_tier": 7}, "usage.service_tier"),
    ],
)
def test_a_usage_of_a_wrong_shape_is_refused_by_its_place(broken, where):
    with pytest.raises(WireError) as refusal:
        read_usage(broken)

    assert refusal.value.where == where


def test_what_metering_needs_of_a_chat_answer_is_read():
    body = dumped(
        {
            "id": "c1",
            "model": "mistral-small-2603",
            "choices": [
                {
                    "message": {
                        "role": "assistant",
                        "content": [
                            {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                            {"type": "text", "text": "Città"},
                        ],
                        "tool_calls": [{"function": {"name": "f", "arguments": '{"a":1}'}}],
                    }
                },
                {"message": {"content": "abc", "tool_calls": None}},
            ],
            "usage": {"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10},
        }
    )

    answer = read_answer(body)

    assert answer.usage == Usage(4, 6, 10)
    assert answer.model == "mistral-small-2603"
    assert answer.delivered == 2 + 6 + (7 + 2 * 6) + 3
    assert answer.ocr_usage is None


def test_ocr_pages_and_embeddings_and_answers_without_usage_are_read():
    ocr = read_answer(dumped({"pages": [], "usage_info": {"pages_processed": 3}, "model": "m"}))
    embeddings = read_answer(
        dumped({"data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 2, "total_tokens": 2}})
    )
    speech = read_answer(dumped({"audio_data": "AAAA"}))

    assert ocr.ocr_usage == OcrUsage(3)
    assert (embeddings.usage, embeddings.delivered) == (Usage(2, None, 2), 0)
    assert (speech.usage.quantity, speech.model) == (Quantity.ABSENT, None)


@pytest.mark.parametrize(
    ("document", "characters"),
    [
        ({"choices": [{"delta": {"content": "ab"}}, {"delta": {}}, {"delta": None}, 7]}, 2),
        ({"type": "message.output.delta", "content": "abc"}, 3),
        ({"type": "message.output.delta", "content": {"type": "text", "text": "abcd"}}, 4),
        ({"type": "function.call.delta", "name": "f", "arguments": '{"a"'}, 4 + 2 * 3),
        (
            {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": {"a": 1}}}]}}]},
            7 + 2 * 6,
        ),
        ({"outputs": [{"type": "message.output", "content": "abc"}]}, 3),
        ({"choices": "odd", "content": 5}, 0),
        ({}, 0),
    ],
)
def test_text_reasoning_and_tool_arguments_count_as_delivered(document, characters):
    assert weigh_delivered(document) == characters


@pytest.mark.parametrize(
    ("text", "thirds"),
    [
        ("", 0),
        ("Hello you", 9),
        ("città", 6),
        ("Привет", 12),
        ("7" * 100, 300),
        ("{}[]", 12),
        ("漢", 6),
        ("🫠", 12),
        ("€ \ud800", 6 + 1 + 3),  # half a character: a question mark
    ],
)
def test_a_byte_is_a_third_of_a_token_and_more_where_tokens_are_short(text, thirds):
    assert weigh_delivered({"content": text}) == thirds
    assert tokens_of(thirds) == -(-thirds // 3)


def test_model_rows_are_read_with_their_aliases_and_dates():
    base, tuned = read_models(dumped({"object": "list", "data": [BASE_ROW, TUNED_ROW]}))

    assert base.id == "mistral-small-latest"
    assert base.type is ModelType.BASE
    assert base.canonical_name == "mistral-small-4"
    assert base.aliases == ("mistral-small-2603", "mistral-small")
    assert base.capabilities == {"completion_chat", "vision", "new_flag"}
    assert base.max_context_length == 262_144
    assert base.deprecated_at == datetime(2026, 12, 31, 12, tzinfo=UTC)
    assert base.replacement == "mistral-small-2700"
    assert (tuned.type, tuned.root, tuned.archived) == (
        ModelType.FINE_TUNED,
        "open-mistral-7b",
        True,
    )
    assert tuned.canonical_name == tuned.id


def test_an_account_without_models_is_an_answer():
    assert read_models(b'{"data": []}') == ()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"id": None}, "data[1].id"),
        ({"id": ""}, "data[1].id"),
        ({"id": 5}, "data[1].id"),
        ({"id": "a\u0000b"}, "data[1].id"),
        ({"id": "x" * 600}, "data[1].id"),
        ({"name": ["x"]}, "data[1].name"),
        ({"aliases": "x"}, "data[1].aliases"),
        ({"aliases": [1]}, "data[1].aliases"),
        ({"capabilities": ["x"]}, "data[1].capabilities"),
        ({"max_context_length": "x"}, "data[1].max_context_length"),
        ({"deprecation": "soon"}, "data[1].deprecation"),
        ({"archived": "no"}, "data[1].archived"),
    ],
)
def test_a_model_row_of_a_wrong_shape_is_refused_by_its_place(change, where):
    with pytest.raises(WireError) as refusal:
        read_models(dumped({"data": [BASE_ROW, BASE_ROW | change]}))

    assert refusal.value.where == where


def test_whom_a_key_belongs_to_is_read():
    assert read_identity(dumped(IDENTITY)) == Identity(
        user_id="u1",
        email="a@x.test",
        organization=Named("o1", "Bàr & Söhne 👩‍🔬"),
        workspace=Named("w1", "Default"),
        api_key=Named("k1", None),
    )
    assert read_identity(b'{"id": "u1"}') == Identity("u1", None, None, None, None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        SECRET_TEXT.encode(),
        json.dumps([SECRET_TEXT]).encode(),
        json.dumps({"data": SECRET_TEXT, "id": {"x": SECRET_TEXT}}).encode(),
        json.dumps({"data": [SECRET_TEXT]}).encode(),
        json.dumps({"data": [{"id": SECRET_TEXT, SECRET_TEXT: 1, "name": 5}]}).encode(),
        b'{"data": "' + SECRET_TEXT.encode() + b"\xff",
        b"[" * 5000 + SECRET_TEXT.encode(),
    ],
    ids=range(8),
)
@pytest.mark.parametrize("read", [read_models, read_identity])
def test_a_refusal_never_quotes_the_body_not_even_in_its_chain(read, body):
    with pytest.raises(WireError) as refusal:
        read(body)

    error = refusal.value
    assert SECRET_TEXT not in f"{error} {error!r} {error.failure!r} {error.where}"
    assert error.__cause__ is None
    assert error.__context__ is None
    assert error.failure.error_class is ErrorClass.UNREADABLE_ANSWER
    assert error.failure.family is Family.OUTAGE
    assert error.failure.retryable


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
NAMES = [
    "id",
    "type",
    "name",
    "data",
    "capabilities",
    "aliases",
    "deprecation",
    "root",
    "archived",
    "organization",
    "usage",
    "model",
    "prompt_tokens",
    "prompt_tokens_details",
    "cached_tokens",
    "usage_info",
    "pages_processed",
    "choices",
    "delta",
    "message",
    "content",
    "tool_calls",
    "function",
    "arguments",
    "thinking",
    "text",
    "max_context_length",
]
documents = st.recursive(
    json_values,
    lambda inner: (
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=5) | st.lists(inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(deadline=None)  # the machine may be busy
@given(
    body=st.binary() | documents.map(dumped) | documents.map(lambda row: dumped({"data": [row]}))
)
def test_any_body_is_read_or_refused_as_wire_error(body):
    for read in (read_json, read_models, read_identity, read_answer):
        try:
            read(body)
        except WireError as refusal:
            assert refusal.__context__ is None  # noqa: PT017 - either outcome is right
