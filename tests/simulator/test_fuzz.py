import json

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aisuru_mistral.simulator.agents import WELL_KNOWN_AGENTS
from aisuru_mistral.simulator.keys import WELL_KNOWN
from aisuru_mistral.simulator.server import SimulatorServer
from tests.simulator.schema import properties

SMALL = "mistral-small-latest"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "type", "content", "text", "function", "name", "url", "format", "messages"]
            ),
            inner
            | st.sampled_from(
                ["user", "assistant", "text", "message.input", "function.call", "function_call"]
            ),
            max_size=4,
        )
    ),
    max_leaves=8,
)
ENDPOINTS = {
    "/v1/agents/completions": (
        "AgentsCompletionRequest",
        {"agent_id": WELL_KNOWN_AGENTS["claims"]},
    ),
    "/v1/chat/moderations": ("ChatModerationRequest", {"model": "mistral-moderation-2603"}),
    "/v1/chat/classifications": ("ChatClassificationRequest", {"model": "mistral-moderation-2603"}),
    "/v1/ocr": ("OCRRequest", {"model": "mistral-ocr-latest"}),
    "/v1/audio/speech": ("SpeechRequest", {"input": "Ciao"}),
    "/v1/conversations": ("ConversationRequestBase", {"model": SMALL}),
    "/v1/batch/jobs": ("CreateBatchJobRequest", {"endpoint": "/v1/chat/completions"}),
    "/v1/responses": ("ChatCompletionRequest", {"model": SMALL}),
}
RESPONSES = ("input", "instructions", "text", "reasoning", "tools", "tool_choice")


@pytest.fixture(scope="module")
def client():
    headers = {"authorization": f"Bearer {WELL_KNOWN['valid']}", "content-type": "application/json"}
    with (
        SimulatorServer() as server,
        httpx.Client(base_url=server.url, headers=headers, verify=False) as opened,  # noqa: S501
    ):
        yield opened


@pytest.mark.parametrize("path", ENDPOINTS)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_body_whatever_is_a_fault_of_the_server(client, path, data):
    name, fixed = ENDPOINTS[path]
    fields = RESPONSES if path == "/v1/responses" else tuple(properties(name))
    body = data.draw(st.dictionaries(st.sampled_from(fields), VALUES)) | fixed
    answer = client.post(path, content=json.dumps(body))
    assert answer.status_code in {200, 400, 404, 422}, (body, answer.text)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=st.binary(max_size=60), boundary=st.text("x-", max_size=3))
def test_no_form_whatever_is_a_fault_of_the_server(client, body, boundary):
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    framed = f"--{boundary}\r\n".encode() + body + f"\r\n--{boundary}--".encode()
    for content in (body, framed):
        answer = client.post("/v1/files", content=content, headers=headers)
        assert answer.status_code in {200, 400, 422}, answer.text
