"""Every endpoint of inference: the answer is what Mistral sent, the bill is Mistral's bill."""

import base64

import pytest

from tests.gateway import tenancy
from tests.gateway.differential import Pair, events_of
from tests.mistral.far_side import answering

pytestmark = pytest.mark.slow

CHAT = [{"role": "user", "content": "Say hello to everybody in the office"}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
PDF = "data:application/pdf;pages=3;base64," + base64.b64encode(b"x" * 4000).decode()


@pytest.fixture
def pair(gateway, mistral, made_up):
    """Make a tenant of a model, and a twin that calls Mistral without us."""
    return lambda model, **row: Pair(gateway, mistral, made_up, model, **row)


@pytest.mark.parametrize(
    ("model", "path", "body"),
    [
        ("mistral-small-latest", "/v1/chat/completions", {"messages": CHAT}),
        ("mistral-small-latest", "/v1/chat/completions", {"messages": CHAT, "stream": True}),
        ("codestral-latest", "/v1/fim/completions", {"prompt": "def f("}),
        ("codestral-latest", "/v1/fim/completions", {"prompt": "def f(", "stream": True}),
        ("mistral-embed", "/v1/embeddings", {"input": ["one", "two and three"]}),
        ("mistral-embed", "/v1/embeddings", {"input": "a", "encoding_format": "base64"}),
        ("mistral-moderation-2603", "/v1/moderations", {"input": ["hello"]}),
        ("mistral-moderation-2603", "/v1/chat/moderations", {"input": CHAT}),
        ("mistral-moderation-2603", "/v1/classifications", {"input": ["hello", "you"]}),
        ("mistral-moderation-2603", "/v1/chat/classifications", {"input": {"messages": CHAT}}),
        ("mistral-small-latest", "/v1/responses", {"input": "hello", "instructions": "Be kind"}),
        ("mistral-small-latest", "/v1/responses", {"input": "hello", "stream": True}),
        ("voxtral-mini-tts-latest", "/v1/audio/speech", {"input": "Buongiorno! Come va, è già?"}),
        ("voxtral-mini-tts-latest", "/v1/audio/speech", {"input": "Ciao", "stream": True}),
        ("voxtral-mini-tts-latest", "/v1/audio/speech", {"input": "x", "voice_id": "gb_jane_sad"}),
    ],
)
def test_an_answer_has_mistrals_bytes_and_costs_mistrals_bill(pair, model, path, body):
    both = pair(model)
    both.same(path, json={"model": model, **body})
    event = both.billed()
    assert (event.estimate, event.endpoint, event.outcome) == ("", path, "completed")


WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize(
    ("model", "path", "body"),
    [
        ("mistral-small-latest", "/v1/chat/completions", {"messages": []}),
        ("mistral-small-latest", "/v1/chat/completions", {"messages": CHAT, "temperature": 9}),
        ("mistral-small-latest", "/v1/chat/completions", {"messages": CHAT, "invented": True}),
        ("codestral-latest", "/v1/fim/completions", {"prompt": None}),
        ("mistral-embed", "/v1/embeddings", {"input": ["x"], "output_dtype": "nothing"}),
        ("mistral-embed", "/v1/chat/completions", {"messages": CHAT}),
        ("mistral-moderation-2603", "/v1/moderations", {"input": 7}),
        ("mistral-ocr-latest", "/v1/ocr", {"document": {"type": "nothing"}}),
        ("voxtral-mini-tts-latest", "/v1/audio/speech", {"input": "x", "response_format": "x"}),
        ("mistral-small-latest", "/v1/conversations", {"inputs": 7}),
    ],
)
def test_what_mistral_refuses_it_refuses_in_its_own_words_and_marked(pair, model, path, body):
    both = pair(model)
    through, direct = both.send(path, json={"model": model, **body})
    assert direct.status_code >= 400
    assert through.status_code == direct.status_code, through.text
    said = through.json()
    assert said.pop("source") == "provider"
    assert said == direct.json()
    assert sum(event.cost or 0 for event in both.tenant.settled()) == 0


def test_tools_and_formats_pass_as_they_are(pair):
    both = pair("mistral-small-latest")
    for extra in (
        {"tools": [{"type": "function", "function": WEATHER}], "tool_choice": "any"},
        {"tools": [{"type": "function", "function": WEATHER}], "stream": True},
        {"response_format": SCHEMA},
        {"response_format": {"type": "json_object"}, "stream": True, "n": 2},
    ):
        body = {"model": both.model, "messages": CHAT, "random_seed": 7, **extra}
        both.same("/v1/chat/completions", json=body)
    both.billed(4)


def test_a_chat_that_repeats_itself_is_billed_with_its_cached_share(pair):
    both = pair("mistral-small-latest")
    long = [{"role": "user", "content": "The same beginning as always. " * 60}]
    for _ in range(3):
        both.same("/v1/chat/completions", json={"model": both.model, "messages": long})
    assert both.billed(3).cached_tokens > 0


def test_priority_costs_its_factor_also_when_streamed(pair):
    both = pair("mistral-small-latest", directives={"service_tier": "priority"})
    for stream in (True, False):
        body = {"messages": CHAT, "service_tier": "auto", "stream": stream}
        both.same("/v1/chat/completions", json={"model": both.model, **body})
    assert both.billed(2).factor > 1


@pytest.mark.parametrize(
    ("body", "pages", "annotated"),
    [
        ({"document": {"type": "document_url", "document_url": PDF}}, 3, 0),
        ({"document": {"type": "document_url", "document_url": PDF}, "pages": [0, 2]}, 2, 0),
        ({"document": {"type": "document_url", "document_url": PDF}, "pages": "1-2"}, 2, 0),
        ({"document": {"type": "image_url", "image_url": "https://x.example/1.png"}}, 1, 0),
        (
            {
                "document": {"type": "document_url", "document_url": "https://x.example/7-pages"},
                "document_annotation_format": SCHEMA,
            },
            0,
            7,
        ),
    ],
)
def test_pages_are_billed_plain_or_annotated(pair, body, pages, annotated):
    both = pair("mistral-ocr-latest")
    both.same("/v1/ocr", json={"model": both.model, **body})
    event = both.billed()
    assert (event.pages, event.annotated_pages, event.category) == (pages, annotated, "ocr")
    assert event.prompt_tokens == 0


def test_what_is_held_for_pages_is_what_was_chosen(pair):
    both = pair("mistral-ocr-latest")
    document = {"type": "document_url", "document_url": "https://x.example/900-pages.pdf"}
    both.tenant.limit("0.50")
    refused, _ = both.send("/v1/ocr", json={"document": document, "model": both.model})
    assert refused.status_code == 402
    chosen, _ = both.send(
        "/v1/ocr", json={"document": document, "model": both.model, "pages": "0-9"}
    )
    assert chosen.is_success
    (event,) = both.tenant.settled()
    assert (event.pages, event.excess) == (10, 0)


def test_counting_tokens_costs_nothing_and_passes_an_exhausted_limit(pair):
    both = pair("mistral-small-latest")
    both.tenant.limit("0.00")
    counted = both.same("/v1/responses/input_tokens", json={"model": both.model, "input": "hello"})
    assert counted.json()["input_tokens"] > 0
    event = both.tenant.settled()[0]
    assert (event.cost, event.category, event.prompt_tokens) == (0, "free", 0)


def test_characters_are_counted_as_people_count_them(pair):
    both = pair("voxtral-mini-tts-latest")
    text = "città 🙂 perché"
    both.same("/v1/audio/speech", json={"model": both.model, "input": text})
    event = both.billed()
    assert (event.characters, event.category, event.prompt_tokens) == (len(text), "audio", 0)


def test_the_end_of_a_response_tells_what_the_stream_used(pair):
    both = pair("mistral-small-latest")
    answer = both.same("/v1/responses", json={"model": both.model, "input": "x", "stream": True})
    usage = events_of(answer.content)[-1]["response"]["usage"]
    event = both.billed()
    assert event.completion_tokens == usage["output_tokens"]


OCR_PAGES = [{"index": 0, "markdown": "x"}, {"index": 1, "markdown": "y"}]


@pytest.mark.parametrize(
    ("told", "pages", "estimate"),
    [
        ({"usage_info": {"pages_processed": 2}, "pages": OCR_PAGES}, 2, ""),
        ({"usage_info": {"pages_processed": 0}, "pages": []}, 0, ""),
        ({"usage_info": {"pages_processed": 0}, "pages": OCR_PAGES}, 2, "usage_missing"),
        ({"usage_info": {"pages_processed": "many"}, "pages": OCR_PAGES}, 2, "usage_missing"),
        ({"pages": OCR_PAGES}, 2, "usage_missing"),
        ({}, 3, "usage_missing"),
        ("pages without a document", 3, "usage_missing"),
    ],
)
def test_absent_zero_and_positive_pages_are_three_things(scripted, made_up, told, pages, estimate):
    tenant = tenancy.make(made_up, mistral_model="mistral-ocr-latest")
    answer = {"model": "mistral-ocr-latest", **told} if isinstance(told, dict) else told
    scripted.script = answering(200, answer)
    source = {"type": "document_url", "document_url": "https://x.example/1"}
    body = {"document": source, "pages": [0, 1, 2]}
    assert tenancy.post(scripted.url, tenant, "/v1/ocr", body).is_success
    (event,) = tenant.settled()
    assert (event.pages, event.estimate) == (pages, estimate)
