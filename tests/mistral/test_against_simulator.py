"""Both clients against the bundled simulator, which another hand wrote from the same facts."""

import json

import pytest

from aisuru_mistral.simulator.keys import WELL_KNOWN
from aisuru_mistral.simulator.server import SimulatorServer
from tenants.common.secrets import Secret
from tenants.mistral import errors
from tenants.mistral.classification import FIRST_FAILURE, classify
from tenants.mistral.client import ClientTimeouts, MistralClient
from tenants.mistral.headers import read_rate_limits
from tenants.mistral.masking import mask_key_shaped
from tenants.mistral.pool import UpstreamPool
from tenants.mistral.sse import StreamObserver
from tenants.mistral.wire import ModelType, Quantity, read_answer
from tests.mistral.test_classification import ENTRIES

HEADERS = {"content-type": "application/json"}
CHAT = "/v1/chat/completions"
HELLO = {"model": "mistral-small-latest", "messages": [{"role": "user", "content": "Hello there"}]}
CLASSES = {entry["name"]: entry["class"] for entry in ENTRIES}
# Called on a path that is not the Admin API's.
CLASSES["admin_key_required"] = "key_invalid"


@pytest.fixture(scope="module")
def simulator():
    with SimulatorServer() as server:
        yield server


def key(name="valid"):
    return Secret(WELL_KNOWN[name])


def client(simulator, name="valid"):
    timeouts = ClientTimeouts(connect=5.0, read=0.5, total=5.0)
    return MistralClient(simulator.url, key(name), timeouts=timeouts)


async def sent(simulator, document, name="valid", path=CHAT, **directives):
    headers = {**HEADERS, **{f"x-sim-{word}": value for word, value in directives.items()}}
    async with (
        UpstreamPool(simulator.url) as pool,
        pool.send("POST", path, headers, json.dumps(document).encode(), key=key(name)) as response,
    ):
        return response, await response.read(1_000_000)


async def streamed(simulator, name="valid"):
    observer, passed = StreamObserver(), b""
    body = json.dumps({**HELLO, "stream": True}).encode()
    async with UpstreamPool(simulator.url) as pool:
        try:
            async with pool.send("POST", CHAT, HEADERS, body, key=key(name)) as response:
                while chunk := await response.next_chunk():
                    observer.feed(chunk)
                    passed += chunk
        except errors.AnswerLostError as error:
            return observer.finish(), passed, error
    return observer.finish(), passed, None


def test_a_valid_key_lists_models_with_aliases_and_fine_tuned_ones(simulator):
    with client(simulator) as asking:
        rows = {row.id: row for row in asking.list_models()}

    assert rows["mistral-small-latest"].canonical_name
    assert "completion_chat" in rows["mistral-small-latest"].capabilities
    assert any(row.type is ModelType.FINE_TUNED and row.root for row in rows.values())


@pytest.mark.parametrize("name", ["valid", "identity_by_bearer", "identity_by_x_api_key"])
def test_whichever_header_works_the_key_says_whom_it_belongs_to(simulator, name):
    with client(simulator, name) as asking:
        identity = asking.whoami()

    assert identity.organization
    assert identity.workspace
    assert identity.api_key


@pytest.mark.parametrize(
    ("name", "error_type"),
    [
        ("unauthorized", errors.KeyRefusedError),
        ("unauthorized_quoting_key", errors.KeyRefusedError),
        ("billing_inactive", errors.BillingError),
        ("rate_limited_retry_after", errors.QuotaError),
        ("hang", errors.AnswerLostError),
        ("reset", errors.AnswerLostError),
        ("cut_body", errors.AnswerLostError),
        ("garbage", errors.WireError),
        ("cut_json", errors.WireError),
        ("empty_body", errors.WireError),
        ("html_page", errors.WireError),
        ("wrong_shape", errors.WireError),
    ],
)
def test_a_key_in_trouble_raises_its_family(simulator, name, error_type):
    with client(simulator, name) as asking, pytest.raises(errors.MistralError) as caught:
        asking.list_models()

    assert type(caught.value) is error_type
    assert WELL_KNOWN[name] not in repr(caught.value)


@pytest.mark.parametrize("name", sorted(CLASSES))
async def test_every_refusal_of_the_simulator_gets_its_class_and_quotes_no_key(simulator, name):
    response, body = await sent(simulator, HELLO, error=name)

    failure = classify(response.status, response.headers, body, path=CHAT)
    masked = mask_key_shaped(body, secrets=[key()])

    assert failure.error_class == CLASSES[name]
    assert failure.correlation_id == response.correlation_id
    assert (failure.retry_after_seconds == 2) is name.endswith("retry_after")
    assert WELL_KNOWN["valid"].encode() not in masked
    assert name == "bad_gateway" or json.loads(masked)


async def test_a_chat_answer_is_metered(simulator):
    response, body = await sent(simulator, HELLO)

    answer = read_answer(body)
    document = json.loads(body)
    assert response.status < FIRST_FAILURE
    assert answer.usage.prompt_tokens == document["usage"]["prompt_tokens"]
    assert answer.model == document["model"]
    assert answer.delivered >= len(document["choices"][0]["message"]["content"]) > 0
    assert any("minute" in reading.window for reading in read_rate_limits(response.headers))


async def test_embeddings_are_metered(simulator):
    _, body = await sent(
        simulator, {"model": "mistral-embed", "input": ["a", "b"]}, path="/v1/embeddings"
    )

    assert read_answer(body).usage.prompt_tokens


@pytest.mark.parametrize("name", ["valid", "stream_split_bytes", "stream_keep_alive"])
async def test_a_stream_is_metered_however_it_is_cut(simulator, name):
    outcome, passed, error = await streamed(simulator, name)

    lines = [line.removeprefix("data: ") for line in passed.decode().split("\n")]
    chunks = [json.loads(line) for line in lines if line.startswith("{")]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert error is None
    assert outcome.done
    assert outcome.usage.quantity is Quantity.POSITIVE
    assert outcome.usage.completion_tokens == chunks[-1]["usage"]["completion_tokens"]
    assert outcome.delivered >= len(text) > 0
    assert outcome.finish_reasons == (chunks[-1]["choices"][0]["finish_reason"],)
    assert outcome.bytes_seen == len(passed)


@pytest.mark.parametrize(("name", "lost"), [("stream_without_usage", False), ("stream_cut", True)])
async def test_a_stream_without_usage_leaves_the_delivered_text_to_estimate_from(
    simulator, name, lost
):
    outcome, _, error = await streamed(simulator, name)

    assert outcome.usage.quantity is Quantity.ABSENT
    assert outcome.delivered > 0
    assert (error is not None) is lost
    assert outcome.done is not lost
