"""What the ledger says is what Mistral bills: exact where it told, flagged where it did not."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import httpx
import pytest

from tenants.spend import pricebook
from tenants.spend.pricing import Meter
from tests.gateway import tenancy
from tests.gateway.tenancy import SMALL, ask, post, question
from tests.gateway.test_transcriptions import recording
from tests.keys.keyring import name_of
from tests.mistral.far_side import Script, answering


def stream(url, tenant, **more) -> bytes:
    with httpx.stream(
        "POST",
        f"{url}/v1/chat/completions",
        json=question(stream=True, **more),
        headers=tenant.headers,
        trust_env=False,
        timeout=30,
    ) as answer:
        return answer.read()


def streaming(status: int, body: object) -> Script:
    """Answer with a stream of one event."""
    text = f"data: {json.dumps(body)}\n\ndata: [DONE]\n\n"
    head = f"HTTP/1.1 {status} OK\r\ncontent-type: text/event-stream\r\n"
    whole = f"{head}content-length: {len(text)}\r\n\r\n{text}".encode()
    return lambda _, connection: connection.sendall(whole)


def test_the_ledger_equals_mistrals_bill_for_a_mixed_load(gateway, mistral, tenant):
    def call(number: int) -> None:
        text = f"Question {number % 7} " * (1 + number % 5) * 40
        if number % 3:
            assert ask(gateway.url, tenant, text=text, max_tokens=1 + number % 20).is_success
        else:
            stream(gateway.url, tenant, text=text, max_tokens=1 + number % 20)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(60)))
    events = tenant.settled(60)
    bill = mistral.state.ledger.total(key=name_of(tenant.plain))
    assert len(events) == bill.calls == 60
    assert sum(event.prompt_tokens for event in events) == bill.prompt_tokens
    assert sum(event.completion_tokens for event in events) == bill.completion_tokens
    assert sum(event.cached_tokens for event in events) == bill.cached_tokens
    assert bill.cached_tokens > 0
    assert {event.estimate for event in events} == {""}
    assert tenant.balance().settled == sum(event.cost for event in events)
    assert tenant.balance().held == 0


def test_a_call_costs_its_tokens_times_the_price_of_the_model_that_answered(gateway, tenant):
    usage = ask(gateway.url, tenant, max_tokens=5).json()["usage"]
    (event,) = tenant.settled()
    prices = pricebook.prices_for("mistral-small-2603", "EUR", event.occurred_at).meters
    expected = sum(
        Decimal(usage[member]) * prices[meter].amount / prices[meter].per
        for member, meter in (("prompt_tokens", Meter.INPUT), ("completion_tokens", Meter.OUTPUT))
    )
    assert event.cost == expected
    assert event.mistral_model.startswith("mistral-small")


def test_the_calls_of_one_message_carry_its_id(gateway, tenant):
    for message_id in ("msg-1", "msg-1", "msg-2"):
        answer = httpx.post(
            f"{gateway.url}/v1/chat/completions",
            json=question(),
            headers=tenant.headers | {"x-message-id": message_id},
            trust_env=False,
        )
        assert answer.is_success
    assert [event.message_id for event in tenant.settled(3)] == ["msg-1", "msg-1", "msg-2"]


TOLD = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
ZERO = {"prompt_tokens": 0, "completion_tokens": 0}
NONSENSE = {"prompt_tokens": -1, "completion_tokens": "many"}


def used(scripted, tenant, usage, text):
    body = {"model": SMALL, "choices": [{"message": {"content": text}}], "usage": usage}
    scripted.script = answering(200, body)
    assert ask(scripted.url, tenant).is_success
    (event,) = tenant.settled()
    return event


@pytest.mark.parametrize(("usage", "text"), [(TOLD, "hello you"), (ZERO, "")])
def test_usage_that_mistral_told_is_believed_also_when_it_is_zero(scripted, tenant, usage, text):
    event = used(scripted, tenant, usage, text)
    assert event.estimate == ""
    assert event.prompt_tokens == usage["prompt_tokens"]
    assert event.completion_tokens == usage["completion_tokens"]


@pytest.mark.parametrize(
    ("usage", "prompt", "completion"),
    [
        ({"prompt_tokens": 10, "total_tokens": 30}, 10, 20),
        ({"completion_tokens": 10, "total_tokens": 30}, 20, 10),
        ({"prompt_tokens": 10, "total_tokens": 10}, 10, 0),
    ],
)
def test_what_a_total_leaves_is_the_part_that_was_not_told(
    scripted, tenant, usage, prompt, completion
):
    event = used(scripted, tenant, usage, "hello you")
    assert (event.prompt_tokens, event.completion_tokens) == (prompt, completion)
    assert event.estimate == ""


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("usage", "billed"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}, (10, 30)),
        ({"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 30}, (10, 20)),
        # More than the output could be is input; more than was held for both is left out.
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 200}, (100, 100)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 999_999}, (None, 100)),
        # What is told by itself is billed, however much was held.
        ({"prompt_tokens": 10, "completion_tokens": 500, "total_tokens": 600}, (100, 500)),
    ],
)
def test_what_a_total_has_beyond_both_parts_is_output_as_far_as_it_could_be(
    scripted, tenant, usage, billed, is_stream
):
    said = {"content": "hello you"}
    body = {"model": SMALL, "choices": [{"message": said, "delta": said}], "usage": usage}
    scripted.script = (streaming if is_stream else answering)(200, body)
    assert ask(scripted.url, tenant, stream=is_stream, max_tokens=100).is_success
    (event,) = tenant.settled()
    assert event.estimate == "usage_missing"
    prompt, completion = billed
    assert event.completion_tokens == completion
    assert event.prompt_tokens == (prompt or event.prompt_tokens)
    assert event.prompt_tokens < 2000
    assert event.excess == 0 or usage["completion_tokens"] > 100


def test_what_a_total_of_sound_has_beyond_both_parts_is_billed_by_its_seconds(scripted, made_up):
    tenant = tenancy.make(made_up, mistral_model="voxtral-small-latest")
    sound = base64.b64encode(recording(3)).decode()
    content = [{"type": "input_audio", "input_audio": sound}]
    for told in ({"prompt_audio_seconds": 3}, {"prompt_audio_seconds": 0}):
        usage = {"prompt_tokens": 6, "completion_tokens": 2, "total_tokens": 383, **told}
        scripted.script = answering(200, {"choices": [], "usage": usage})
        messages = [{"role": "user", "content": content}]
        assert ask(scripted.url, tenant, messages=messages, max_tokens=100).is_success
    for event in tenant.settled(2):
        assert (event.estimate, event.prompt_tokens, event.completion_tokens) == ("", 6, 2)


@pytest.mark.parametrize("odd", [{}, {"prompt_audio_seconds": None}, {"prompt_audio_seconds": -1}])
def test_seconds_that_are_not_told_are_those_of_the_recording_and_flagged(scripted, made_up, odd):
    tenant = tenancy.make(made_up, mistral_model="voxtral-small-latest")
    sound = base64.b64encode(recording(3)).decode()
    usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13, **odd}
    scripted.script = answering(200, {"choices": [], "usage": usage})
    content = [{"type": "input_audio", "input_audio": sound}]
    assert ask(scripted.url, tenant, messages=[{"role": "user", "content": content}]).is_success
    (event,) = tenant.settled()
    assert event.estimate == "usage_missing"
    assert 3 <= event.audio_seconds <= 4
    assert (event.prompt_tokens, event.completion_tokens) == (10, 3)


@pytest.mark.parametrize("is_stream", [False, True])
def test_an_interim_answer_is_a_lost_one(scripted, tenant, is_stream):
    scripted.script = answering(101, b"")
    told = ask(scripted.url, tenant, stream=is_stream)
    assert (told.status_code, told.json()["code"]) == (502, "mistral_broke_off")
    (event,) = tenant.settled()
    assert (event.outcome, event.estimate) == ("failed", "broken_answer")


def test_what_a_total_of_what_writes_nothing_has_beyond_its_input_is_input(scripted, made_up):
    tenant = tenancy.make(made_up, mistral_model="mistral-embed")
    usage = {"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 12}
    scripted.script = answering(200, {"model": "mistral-embed", "usage": usage})
    assert post(scripted.url, tenant, "/v1/embeddings", {"input": "hello"}).is_success
    (event,) = tenant.settled()
    assert (event.estimate, event.prompt_tokens, event.completion_tokens) == ("", 12, 0)


def test_a_rest_that_is_guessed_costs_what_the_tier_does_that_is_told(scripted, tenant):
    for tier in ("standard", "priority"):
        counts = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}
        usage = {**counts, "service_tier": tier}
        scripted.script = answering(200, {"model": SMALL, "choices": [], "usage": usage})
        assert ask(scripted.url, tenant, service_tier="auto").is_success
    standard, priority = tenant.settled(2)
    assert priority.cost == (standard.cost * Decimal("1.75")).quantize(priority.cost)


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_total_alone_is_shared_out_and_flagged(scripted, tenant, is_stream):
    content = {"content": "hello you" * 10}
    body: dict[str, object] = {"model": SMALL}
    body |= {"choices": [{"message": content, "delta": content}], "usage": {"total_tokens": 300}}
    scripted.script = (streaming if is_stream else answering)(200, body)
    assert ask(scripted.url, tenant, stream=is_stream).is_success
    (event,) = tenant.settled()
    assert event.estimate == "usage_missing"
    assert event.prompt_tokens + event.completion_tokens == 300
    assert event.completion_tokens >= 18
    assert event.cost > 0


def test_a_total_of_what_writes_nothing_is_its_input(scripted, made_up):
    tenant = tenancy.make(made_up, mistral_model="mistral-embed")
    scripted.script = answering(200, {"model": "mistral-embed", "usage": {"total_tokens": 12}})
    assert post(scripted.url, tenant, "/v1/embeddings", {"input": "hello"}).is_success
    (event,) = tenant.settled()
    assert (event.estimate, event.prompt_tokens, event.completion_tokens) == ("", 12, 0)


CACHED = {"num_cached_tokens": 9}


@pytest.mark.parametrize(
    ("usage", "prompt", "metered"),
    [
        (TOLD | CACHED, 5, (2, 5, "")),
        ({"prompt_tokens": "many", "completion_tokens": 4000}, 0, (4000, 0, "usage_missing")),
        ({"prompt_tokens": 4000, "completion_tokens": -1}, 4000, (3, 0, "usage_missing")),
    ],
)
def test_a_figure_that_cannot_be_read_takes_no_other_with_it(
    scripted, tenant, usage, prompt, metered
):
    event = used(scripted, tenant, usage, "hello you")
    assert event.prompt_tokens == prompt or (not prompt and 10 < event.prompt_tokens < 100)
    assert (event.completion_tokens, event.cached_tokens, event.estimate) == metered


@pytest.mark.parametrize("usage", [None, {}, NONSENSE, ZERO])
def test_absent_usage_and_zero_for_delivered_text_become_a_flagged_estimate(
    scripted, tenant, usage
):
    event = used(scripted, tenant, usage, "hello you")
    assert event.estimate == "usage_missing"
    assert event.prompt_tokens > 0
    assert 2 <= event.completion_tokens <= 9
    assert event.cost > 0


def test_a_priority_answer_costs_its_factor(scripted, tenant):
    usage = {"prompt_tokens": 1000, "completion_tokens": 10, "service_tier": "priority"}
    scripted.script = answering(200, {"model": SMALL, "choices": [], "usage": usage})
    assert ask(scripted.url, tenant, service_tier="auto").is_success
    usage["service_tier"] = "standard"
    assert ask(scripted.url, tenant, service_tier="auto").is_success
    priority, standard = tenant.settled(2)
    assert priority.cost == (standard.cost * Decimal("1.75")).quantize(priority.cost)


def test_refusals_of_mistrals_cost_nothing_and_are_recorded(scripted, tenant):
    tenant.is_impatient()  # else what is over its rate is tried again
    for status, outcome in ((422, "refused"), (503, "failed"), (302, "refused"), (429, "refused")):
        scripted.script = answering(status, {"detail": "no"})
        assert ask(scripted.url, tenant).status_code == status
        event = tenant.settled()[-1]
        assert (event.http_status, event.outcome, event.cost) == (status, outcome, 0)
    assert len(tenant.settled(4)) == 4
    assert tenant.balance().settled == 0


def test_a_free_model_needs_no_headroom(gateway, made_up):
    judge = tenancy.make(made_up, mistral_model="mistral-moderation-2603")
    judge.limit("0.00")
    answer = httpx.post(
        f"{gateway.url}/v1/moderations",
        json={"input": ["hello"]},
        headers=judge.headers,
        trust_env=False,
    )
    assert answer.is_success
    assert answer.headers["x-aim-cost"] == "0.000000 EUR"
    assert judge.settled()[0].cost == 0


def test_nothing_of_a_request_or_an_answer_is_written_down(scripted, tenant):
    canary = "zanzibar-canary-prompt"
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    reply = {"model": SMALL, "choices": [{"message": {"content": f"answer-{canary}"}}]}
    scripted.script = answering(200, {**reply, "usage": usage})
    assert ask(scripted.url, tenant, text=canary).is_success
    scripted.script = answering(500, {"message": canary})
    assert ask(scripted.url, tenant, text=canary).status_code == 500
    events = tenant.settled(2)
    assert canary not in json.dumps([vars(event) for event in events], default=str)
    assert canary not in scripted.gateway.log
