"""What a long answer tells is found without reading all of it, and is the same."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.gateway import usage
from tenants.gateway.digging import NEAR, dig, own_model
from tenants.gateway.endpoints import Kind
from tenants.gateway.usage import Observation
from tenants.mistral.told import read_told
from tenants.mistral.wire import Usage

USAGE = {"prompt_tokens": 40, "completion_tokens": 30, "total_tokens": 70}
FORGED = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
LONG = 'long \\ " ' * 20_000
TEXT = st.text(st.sampled_from('"\\{}[]:, usagemodel\u00e8'), max_size=20)
JSON = st.recursive(
    TEXT | st.integers(-9, 9) | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXT | st.sampled_from(["usage", "model"]), inner, max_size=3)
        | st.just({"usage": FORGED, "model": "forged"})
    ),
)


def noted(body: bytes, kind: Kind = Kind.CHAT) -> Observation:
    seen = Observation(is_unseen=True)
    usage.note(kind, body, seen)
    return seen


def read(body: bytes) -> tuple[Usage, str | None]:
    """Read all of it."""
    document = orjson.loads(body)
    return read_told(document.get("usage")), document.get("model")


@given(
    st.lists(st.tuples(TEXT.filter(bool), JSON), max_size=4),
    st.permutations(["long", "model", "usage", "more"]),
    JSON,
)
def test_a_long_answer_tells_the_same_in_whatever_order(before, order, more):
    parts = {"long": LONG, "model": "mistral-small-2603", "usage": USAGE, "more": more}
    others = {name: part for name, part in before if name not in parts}
    seen = noted(body := orjson.dumps(others | {name: parts[name] for name in order}))
    assert (seen.usage, seen.model) == read(body)
    assert not seen.is_unseen


@given(JSON, JSON)
def test_what_is_not_the_answers_own_is_not_taken_for_it(first, last):
    body = orjson.dumps({"first": first, "long": LONG, "last": last})
    assert dig(body[-NEAR:], b'"usage"', {1}) is None
    assert own_model(body) is None


def test_of_an_answer_that_ends_with_what_was_asked_the_usage_is_read(monkeypatch):
    parsed: list[bytes] = []

    def read_json(body: bytes) -> object:
        parsed.append(body)
        return orjson.loads(body)

    monkeypatch.setattr(usage, "read_json", read_json)
    tools = [{"function": {"name": "f", "parameters": {"usage": FORGED, "model": "forged"}}}] * 3
    answer = {"model": "m", "output": LONG, "usage": USAGE, "tools": tools, "metadata": FORGED}
    assert noted(orjson.dumps(answer)).usage == read_told(USAGE)
    assert parsed == []
    answer["tools"] = tools * 900  # beyond what is looked at
    assert noted(orjson.dumps(answer)).usage == read_told(USAGE)
    assert len(parsed) == 1


@pytest.mark.parametrize(("told", "pages"), [(7, 7), (0, 0), ("7", None)])
def test_pages_of_a_long_answer(told, pages):
    listed = [{"index": 0, "markdown": LONG}]
    body = {"pages": listed, "model": "mistral-ocr-latest", "usage_info": {"pages_processed": told}}
    seen = noted(orjson.dumps(body), Kind.OCR)
    assert (seen.pages, seen.model, seen.is_unseen) == (pages, "mistral-ocr-latest", False)
    assert (seen.delivered == 1) is not bool(pages), "listed pages count only where none are told"


def test_where_no_usage_is_told_what_was_delivered_is_weighed():
    body = orjson.dumps({"model": "m", "choices": [{"message": {"content": "word " * 20_000}}]})
    seen = noted(body)
    assert (seen.model, seen.usage) == ("m", Usage())
    assert seen.delivered > 10_000
