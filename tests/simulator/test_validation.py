import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisuru_mistral.simulator import schemas
from aisuru_mistral.simulator.endpoints import conversations, fine_tuning, ocr
from aisuru_mistral.simulator.validation import check_body
from tests.simulator.conftest import CHAT, HELLO
from tests.simulator.schema import check, properties

USER = {"role": "user", "content": "Hi"}


def refusals(client, body, path=CHAT):
    answer = client.post(path, json=body)
    assert answer.status_code == 422, answer.text
    check(answer.json(), "HTTPValidationError")
    return answer.json()["detail"]


def test_a_missing_field_is_reported_as_mistral_does(alice):
    body = {"model": "mistral-small-latest"}
    assert refusals(alice, body) == [
        {"type": "missing", "loc": ["body", "messages"], "msg": "Field required", "input": body}
    ]


def test_an_unknown_field_is_reported_as_mistral_does(alice):
    assert refusals(alice, {**HELLO, "store": True}) == [
        {
            "type": "extra_forbidden",
            "loc": ["body", "store"],
            "msg": "Extra inputs are not permitted",
            "input": True,
        }
    ]


@pytest.mark.parametrize(
    ("change", "kind", "place"),
    [
        ({"model": 1}, "string_type", ["model"]),
        ({"temperature": 1.6}, "less_than_equal", ["temperature"]),
        ({"temperature": "hot"}, "float_parsing", ["temperature"]),
        ({"top_p": 0}, "greater_than", ["top_p"]),
        ({"max_tokens": -1}, "greater_than_equal", ["max_tokens"]),
        ({"max_tokens": 1.5}, "int_from_float", ["max_tokens"]),
        ({"max_tokens": "x"}, "int_parsing", ["max_tokens"]),
        ({"max_tokens": []}, "int_type", ["max_tokens"]),
        ({"n": 0}, "greater_than_equal", ["n"]),
        ({"stream": "maybe"}, "bool_parsing", ["stream"]),
        ({"stream": None}, "bool_type", ["stream"]),
        ({"messages": "hi"}, "list_type", ["messages"]),
        ({"messages": ["hi"]}, "model_attributes_type", ["messages", 0]),
        ({"messages": [{"content": "x"}]}, "union_tag_not_found", ["messages", 0]),
        ({"messages": [{"role": "x"}]}, "union_tag_invalid", ["messages", 0]),
        ({"messages": [{"role": ["x"]}]}, "union_tag_invalid", ["messages", 0]),
        ({"messages": [{**USER, "name": "b"}]}, "extra_forbidden", ["messages", 0, "user", "name"]),
        ({"messages": [{"role": "user"}]}, "missing", ["messages", 0, "user", "content"]),
        ({"response_format": {"type": "xml"}}, "enum", ["response_format", "type"]),
        ({"reasoning_effort": "huge"}, "enum", ["reasoning_effort"]),
        ({"tools": [{"type": "magic"}]}, "union_tag_invalid", ["tools", 0]),
        ({"tools": [{"type": "function"}]}, "missing", ["tools", 0, "function", "function"]),
        ({"metadata": 3}, "dict_type", ["metadata"]),
        ({"service_tier": "gold"}, "enum", ["service_tier"]),
    ],
)
def test_each_kind_of_mistake_has_its_type_and_place(simulator, alice, change, kind, place):
    found = refusals(alice, {**HELLO, **change})
    assert (found[0]["type"], found[0]["loc"]) == (kind, ["body", *place])
    assert len(found) == 1
    assert simulator.state.ledger.lines() == []


def test_a_union_reports_every_choice(alice):
    found = refusals(alice, {**HELLO, "stop": [1]})
    assert [entry["loc"] for entry in found] == [
        ["body", "stop", "str"],
        ["body", "stop", "list[str]", 0],
    ]


def test_several_mistakes_come_together_with_unknown_fields_last(alice):
    found = refusals(alice, {"zzz": 1, "model": 1, "messages": [], "temperature": 9})
    assert [entry["loc"][-1] for entry in found] == ["model", "temperature", "zzz"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "missing"),
        (b"{", "json_invalid"),
        (b'{"model": "\xff"}', "json_invalid"),
        (b"NaN", "json_invalid"),
        (b"[" * 2000, "json_invalid"),
        (b"[]", "model_attributes_type"),
        (b"null", "model_attributes_type"),
        (b'"hi"', "model_attributes_type"),
    ],
)
def test_a_body_that_is_no_object_is_a_422(alice, content, kind):
    answer = alice.post(CHAT, content=content)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["type"] == kind


def test_the_wrapped_shape_can_be_chosen(as_key):
    client = as_key("valid", **{"x-sim-validation": "wrapped"})
    answer = client.post(CHAT, json={**HELLO, "x": 1})
    assert answer.status_code == 422
    assert answer.json()["type"] == "invalid_request_error"
    assert answer.json()["message"]["detail"][0]["type"] == "extra_forbidden"


def test_lax_numbers_are_read_as_numbers(alice):
    answer = alice.post(CHAT, json={**HELLO, "max_tokens": "3", "stream": "false", "n": 1.0})
    assert answer.json()["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("ChatCompletionRequest", schemas.CHAT),
        ("FIMCompletionRequest", schemas.FIM),
        ("EmbeddingRequest", schemas.EMBEDDINGS),
        ("ClassificationRequest", schemas.CLASSIFICATION),
        ("AgentsCompletionRequest", schemas.AGENTS),
        ("ChatModerationRequest", schemas.CHAT_MODERATION),
        ("ChatClassificationRequest", schemas.CHAT_CLASSIFICATION),
        ("OCRRequest", ocr.BODY),
        ("AppendConversationRequest", conversations.APPEND),
        ("RestartConversationRequest", conversations.RESTART),
        ("UpdateModelRequest", fine_tuning.BODY),
    ],
)
def test_the_fields_are_those_of_the_published_schema(name, schema):
    known = properties(name)
    _, findings = check_body(schema, dict.fromkeys([*known, "surprise"], object()))
    unknown = [entry["loc"][1] for entry in findings if entry["type"] == "extra_forbidden"]
    assert unknown == ["surprise"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "type", "content", "text", "function", "name", "url", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*properties("ChatCompletionRequest"), "x"]), JSON))
def test_no_body_whatever_breaks_the_checks(body):
    _, findings = check_body(schemas.CHAT, body)
    for entry in findings:
        assert entry["loc"][0] == "body"
        assert entry["msg"]
