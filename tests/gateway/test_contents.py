"""What is no text is held, wherever it stands in a request; and what a request hands over to."""

import base64
import json
import uuid
from decimal import Decimal

import httpx
import orjson
import pytest

from tenants.common.models import new_id
from tenants.common.problems import Invalid
from tenants.gateway import bounding, contents, references, requests
from tenants.gateway.endpoints import ENDPOINTS, Endpoint, Kind
from tenants.gateway.tally import Tally
from tenants.registry import resources
from tenants.registry.models import ResourceKind
from tenants.registry.resources import Owner
from tenants.registry.snapshots import ModelFacts
from tenants.spend.pricing import Meter, Modifier, Prices, UnitPrice, worst_case
from tests import factories
from tests.gateway import tenancy
from tests.gateway.tenancy import SMALL, post, question
from tests.mistral.far_side import answering

LONGEST = bounding.LONGEST_RECORDING
CONTEXT = 128_000
ONE = Decimal(1)
PICTURE = {"type": "image_url", "image_url": "https://x.example/a.png"}
SEEN = {"type": "input_image", "image_url": "https://x.example/a.png"}
TEXT = {"type": "text", "text": "hello"}
MODEL = ModelFacts(
    id=uuid.uuid4(),
    name="Assistente",
    mistral_model=SMALL,
    canonical_model="mistral-small-2603",
    base_model=None,
    context_length=CONTEXT,
    context_size=None,
    timeout=None,
    defaults={},
    is_retired=False,
)


def says(content: object, **more: object) -> dict[str, object]:
    return {"role": "user", "content": content, **more}


PLAIN = [
    None,
    "hello",
    ["a", "b"],
    [says("hello")],
    [says([TEXT, {"type": "thinking", "thinking": [TEXT]}])],
    [says("", tool_calls=[{"id": "1", "function": {"name": "f", "arguments": {"a": [1]}}}])],
    [{"type": "message.input", "role": "user", "content": "x"}],
    [{"type": "function_call_output", "call_id": "c", "output": "x"}],
    [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text"}]}],
    [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "x"}]}],
    [{"type": "message", "content": [{"type": "output_text", "annotations": [{"type": "x"}]}]}],
    {"messages": [says("hello")]},
    [{"messages": [says("hello")]}, {"messages": [says("you")]}],
    [[says("hello")], [says([TEXT])]],
]
NOT_PLAIN = [
    [says([PICTURE])],
    [says(PICTURE)],
    [says([{"image_url": "https://x.example/a.png", "role": "user"}])],
    [says([{**PICTURE, "type": ["text"]}])],
    [says([{"type": "thinking", "thinking": [PICTURE]}])],
    [{"type": "function_call_output", "call_id": "c", "output": [SEEN]}],
    [{"type": "function_call_output", "call_id": "c", "output": SEEN}],
    [{"type": "computer_call_output", "output": "x"}],
    {"messages": [says([TEXT, PICTURE])]},
    [{"messages": [says([PICTURE])]}],
    [[says("hello")], [says([PICTURE])]],
    [[[says([PICTURE])]]],
]


@pytest.mark.parametrize("given", PLAIN)
def test_text_is_bounded_by_its_bytes(given):
    assert contents.look(given).others == []
    tally = Tally()
    tally.add({"body": {"input": given}}, 100)
    assert tally.facts()["plain_lines"] == 1


@pytest.mark.parametrize("given", NOT_PLAIN)
def test_what_is_no_text_is_found_wherever_it_stands(given):
    assert contents.look(given).others != []
    for name in ("input", "messages", "inputs"):
        tally = Tally()
        tally.add({"body": {name: given}}, 100)
        assert tally.facts()["plain_lines"] == 0
    for path in ("/v1/responses", "/v1/chat/moderations", "/v1/chat/classifications"):
        bound = bounding.bound_of(ENDPOINTS[path], {"input": given}, MODEL, 100)
        assert bound.unbounded_input
        assert bound.context_length is not None
        assert bound.context_length >= CONTEXT


def test_each_chat_that_is_classified_has_a_context_of_its_own():
    chats = {"input": [[says([PICTURE])]] * 3}
    for path in ("/v1/chat/moderations", "/v1/chat/classifications"):
        bound = bounding.bound_of(ENDPOINTS[path], chats, MODEL, 100)
        assert bound.context_length == 3 * CONTEXT
    tally = Tally()
    tally.add({"body": chats}, 100)
    tally.add({"body": {"input": [says([PICTURE])] * 5}}, 100)
    assert (tally.facts()["lines"], tally.facts()["more_contexts"]) == (2, 2)


@pytest.mark.parametrize("path", ["/v1/chat/moderations", "/v1/chat/classifications"])
@pytest.mark.parametrize("is_batch", [False, True])
def test_a_picture_that_is_classified_does_not_pass_a_small_limit(
    scripted, made_up, path, is_batch
):
    tenant = tenancy.make(made_up)
    tenant.limit("0.001")
    scripted.script = answering(200, {"id": "r", "model": SMALL, "results": [], "status": "QUEUED"})
    body: dict[str, object] = {"input": {"messages": [says([PICTURE])]}}
    if is_batch:
        body = {"endpoint": path, "requests": [{"custom_id": "1", "body": body}]}
        path = "/v1/batch/jobs"
    refused = post(scripted.url, tenant, path, body)
    assert (refused.status_code, refused.json()["code"]) == (402, "spending_limit_reached")


def pdf(start: bytes = b"%PDF-1.7") -> dict[str, str]:
    data = base64.b64encode(start).decode()
    return {"type": "document_url", "document_url": f"data:application/pdf;base64,{data}"}


@pytest.mark.parametrize(
    ("part", "heard", "perhaps"),
    [
        (PICTURE, 0, 0),
        (SEEN, 0, 0),
        (pdf(), 0, 0),
        (pdf(b"ID3"), 0, LONGEST),
        ({"type": "document_url", "document_url": "https://x.example/a.mp3"}, 0, LONGEST),
        ({"type": "file", "file_id": "f"}, 0, LONGEST),
        ({"type": "resource", "uri": "x", "content": {"type": "input_audio"}}, 0, LONGEST),
        ({"input_audio": "AAAA"}, LONGEST, 0),
        ({"type": "input_audio", "input_audio": "AAAA"}, LONGEST, 0),
    ],
)
def test_what_could_be_a_recording_is_held_as_one(part, heard, perhaps):
    given = [says([part])]
    for endpoint, name in (
        (ENDPOINTS["/v1/chat/completions"], "messages"),
        (ENDPOINTS["/v1/responses"], "input"),
        (ENDPOINTS["/v1/chat/moderations"], "input"),
    ):
        bound = bounding.bound_of(endpoint, {name: given}, MODEL, 100)
        assert (bound.audio_seconds, bound.perhaps_seconds) == (heard, perhaps)
    tally = Tally()
    tally.add({"body": {"messages": given}}, 100)
    facts = tally.facts()
    assert (facts["audio_seconds"], facts["perhaps_seconds"]) == (heard, perhaps)


def test_a_document_is_held_as_a_recording_where_the_model_hears():
    document = {"messages": [says([{"type": "file", "file_id": "f"}])]}
    bound = bounding.bound_of(ENDPOINTS["/v1/chat/completions"], document, MODEL, 100)
    text = {Meter.INPUT: UnitPrice(1, ONE, 10**6), Meter.OUTPUT: UnitPrice(2, ONE, 10**6)}
    deaf = worst_case(bound, Prices(SMALL, "EUR", text))
    assert (deaf.quantities.audio_seconds, deaf.cost.missing) == (0, ())
    hearing = Prices(SMALL, "EUR", {**text, Meter.AUDIO_SECOND: UnitPrice(3, ONE, 10**4)})
    assert worst_case(bound, hearing).quantities.audio_seconds == LONGEST


@pytest.mark.parametrize(("cap", "held"), [(0, None), (-5, None), (7, 7), (None, None)])
def test_a_cap_of_nothing_is_none(cap, held):
    bound = bounding.bound_of(ENDPOINTS["/v1/chat/completions"], {"max_tokens": cap}, MODEL, 9)
    assert bound.max_tokens == held
    bound = bounding.bound_of(ENDPOINTS["/v1/responses"], {"max_output_tokens": cap}, MODEL, 9)
    assert bound.max_tokens == held
    tally = Tally()
    tally.add({"body": {"max_tokens": cap, "completion_args": {"max_tokens": cap}}}, 9)
    facts = tally.facts()
    assert (facts["output_caps"], facts["turn_caps"]) == (held or 0, held or 0)
    assert (facts["uncapped"], facts["uncapped_turns"]) == (not held, not held)


@pytest.mark.parametrize(
    ("tier", "modified"),
    [
        (None, ()),
        ("default", ()),
        ("standard_only", ()),
        ("auto", (Modifier.PRIORITY,)),
        ("priority", (Modifier.PRIORITY,)),
        (["auto"], (Modifier.PRIORITY,)),
    ],
)
def test_any_tier_but_the_usual_is_held_as_the_dearer_one(tier, modified):
    assert requests.modifiers({"service_tier": tier}) == modified
    tally = Tally()
    tally.add({"body": {"service_tier": tier}}, 100)
    assert tally.facts()["asks_priority"] == bool(modified)


def test_a_batch_holds_what_priority_costs_if_a_line_asks_for_it(scripted, made_up):
    amounts: list[tuple[Decimal, Decimal]] = []
    for number, tier in enumerate(({}, {"service_tier": "auto"})):
        tenant = tenancy.make(made_up)
        line = {"custom_id": "1", "body": question("hi", max_tokens=10_000) | tier}
        scripted.script = answering(200, {"id": f"0190-tier-{number}", "status": "QUEUED"})
        body = {"endpoint": "/v1/chat/completions", "requests": [line, {**line, "custom_id": "2"}]}
        assert post(scripted.url, tenant, "/v1/batch/jobs", body).is_success
        (hold,) = tenant.holds()
        assert hold.amount is not None
        assert hold.factor is not None
        amounts.append((hold.amount, Decimal(hold.factor)))
    assert amounts[1][1] == amounts[0][1] * 7 / 4
    assert amounts[1][0] > amounts[0][0] * 17 / 10


#: Numbers as they are sent, and as Python writes them for a model.
NUMBERS = ["1e15", "1", "-2.2250738585072014e-308", "1e-4", "5e-5", "1e16", "0.5", "-0.0"]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("where", ["parameters", "arguments", "text"])
def test_values_are_held_for_as_long_as_they_are_read(number, where):
    values = f'{{"enum":[{",".join([number] * 1000)}]}}'
    told = json.dumps(values) if where == "text" else values
    member = "parameters" if where == "parameters" else "arguments"
    call = f'[{{"type":"function","function":{{"name":"f","{member}":{told}}}}}]'
    message = '{"role":"assistant","content":""'
    if member == "arguments":
        body = f'{{"messages":[{message},"tool_calls":{call}}}]}}'
    else:
        body = f'{{"messages":[{message}}}],"tools":{call}}}'
    body = body.replace("{", "{ ", 1)  # not as we would write it
    read = len(body) + len(json.dumps(json.loads(values))) - len(values)
    document = orjson.loads(body)
    chat = ENDPOINTS["/v1/chat/completions"]
    held = requests.read(chat, body.encode(), MODEL).bound.request_bytes
    assert read <= held
    tally = Tally()
    tally.add({"body": document}, len(body))
    assert read <= tally.facts()["plain_bytes"]
    document["input"] = document.pop("messages")
    asked = orjson.dumps(document)
    bound = requests.read(ENDPOINTS["/v1/responses"], asked, MODEL).bound
    assert read - 10 <= bound.request_bytes
    if member == "arguments":
        bound = requests.read(ENDPOINTS["/v1/chat/moderations"], asked, MODEL).bound
        assert read - 10 <= bound.request_bytes < (bound.context_length or 0)


def test_prompts_and_ordinary_tools_are_held_as_before():
    prompt = {"messages": [says("1e15, 2.5: [3.5,4.5]" * 1000)]}
    chat = ENDPOINTS["/v1/chat/completions"]
    assert bounding.bound_of(chat, prompt, MODEL, 20_100).request_bytes == 20_100
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 0}}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}] * 10
    size = len(orjson.dumps(tools))
    bound = bounding.bound_of(chat, {**prompt, "tools": tools}, MODEL, size)
    assert size < bound.request_bytes < size * 1.25


def test_values_that_are_nested_too_deeply_are_refused_and_not_a_fault():
    deep: list[object] = []
    for _ in range(300):
        deep = [deep]
    document = {"tools": [{"type": "function", "function": {"parameters": deep}}]}
    with pytest.raises(Invalid):
        bounding.bound_of(ENDPOINTS["/v1/chat/completions"], document, MODEL, 9)
    with pytest.raises(Invalid):
        Tally().add({"body": document}, 9)


HANDOFF = {
    "type": "agent.handoff",
    "previous_agent_id": "ag_mine",
    "previous_agent_name": "a",
    "next_agent_id": "ag_next",
    "next_agent_name": "b",
}


def test_only_agents_hand_over_and_only_to_those_of_the_workspace(scripted, made_up):
    tenant = tenancy.make(made_up)
    told = {"conversation_id": f"conv_{uuid.uuid4().hex}", "outputs": [], "usage": {}}
    scripted.script = answering(200, told)
    line = {"custom_id": "1", "body": {"inputs": [HANDOFF]}}
    job = {"endpoint": "/v1/conversations", "requests": [line]}

    def ask(path: str, body: object) -> tuple[int, str]:
        answer = post(scripted.url, tenant, path, body)
        return answer.status_code, answer.json().get("code", "")

    assert ask("/v1/conversations", {"inputs": [HANDOFF]}) == (422, "invalid_value")
    by_agent = {"agent_id": "ag_mine", "inputs": [HANDOFF]}
    assert ask("/v1/conversations", by_agent) == (200, "")
    other = factories.workspace(tenant.organization)
    owner = Owner(tenant.organization.id, other.id, tenant.model.id, new_id())
    resources.keep(owner, ResourceKind.AGENT, {"ag_next": {"model": SMALL}})
    sent = len(scripted.far_side.requests)
    assert ask("/v1/conversations", by_agent) == (404, "resource_not_found")
    append = f"/v1/conversations/{told['conversation_id']}"
    assert ask(append, {"inputs": [HANDOFF]}) == (404, "resource_not_found")
    assert ask("/v1/batch/jobs", job) == (404, "resource_not_found")
    assert len(scripted.far_side.requests) == sent
    tally = Tally()
    tally.add(line, 100)
    assert tally.facts()["calls_connectors"]


@pytest.mark.parametrize("uri", ["mistral://file/1", "file:///etc/passwd", None, "library:1"])
def test_links_to_what_has_no_public_address_are_refused(uri):
    link = {"type": "resource_link", "uri": uri}
    document = {"messages": [says([TEXT, link])]}
    with pytest.raises(Invalid):
        bounding.bound_of(Endpoint("/v1/chat/completions", Kind.CHAT), document, MODEL, 9)
    with pytest.raises(Invalid):
        Tally().add({"body": document}, 9)
    link["uri"] = "HTTPS://x.example/a"
    assert bounding.bound_of(
        Endpoint("/v1/chat/completions", Kind.CHAT), document, MODEL, 9
    ).unbounded_input


@pytest.mark.parametrize(
    "item", [{"type": "item_reference", "id": "r1"}, {"id": "r1"}, {"type": None, "id": "r1"}]
)
def test_items_that_are_kept_at_mistral_are_nobodys(item):
    assert list(references.stored_in({"input": [says("x"), item]})) == [("Response", "r1")]
    assert list(references.stored_in({"input": [says("x"), {**says("x"), "id": "r1"}]})) == []


@pytest.mark.parametrize(
    ("body", "arrives"),
    [
        ('{"messages":[{"content":[%s],"content":"hi"}]}', '{"messages":[{"content":"hi"}]}'),
        (
            '{"messages":[{"content":[%s],"content":"\\u0022hi"}]}',
            '{"messages":[{"content":"\\"hi"}]}',
        ),
        (
            '{"messages":[{"content":[{"type":"image_url","type":"text","text":"x"}]}]}',
            '{"messages":[{"content":[{"type":"text","text":"x"}]}]}',
        ),
        ('{"messages": [{"content": "hi"}] }', None),
        ('{"messages": [{"content": "\\/\\u20ac\\u003c"}] }', None),
    ],
)
def test_what_comes_twice_goes_on_as_it_was_read(scripted, made_up, body, arrives):
    tenant = tenancy.make(made_up)
    scripted.script = answering(200, {"id": "r", "model": SMALL, "choices": []})
    head = f'{{"model":"{SMALL}",'
    sent = head + body.replace("%s", '{"type":"image_url"}')[1:]
    headers = tenant.headers | {"content-type": "application/json"}
    answer = httpx.post(
        f"{scripted.url}/v1/chat/completions",
        content=sent,
        headers=headers,
        trust_env=False,
        timeout=30,
    )
    assert answer.is_success, answer.text
    assert scripted.received.body.decode() == (sent if arrives is None else head + arrives[1:])
