"""POST /v1/agents/completions: a chat with a well-known agent.

Refuses agents of other workspaces as if they did not exist.

`model` of the answer is the agent's. Its instructions are a system message before the others, its
tools stand before those of the request.
"""

from typing import Any

from aisuru_mistral.simulator import schemas
from aisuru_mistral.simulator.admission import admitted_model
from aisuru_mistral.simulator.agents import Agent, find_agent
from aisuru_mistral.simulator.catalogue import CHAT
from aisuru_mistral.simulator.endpoints.chat import answer
from aisuru_mistral.simulator.resources import missing
from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.wire import Reply, StreamReply


def complete(call: Call) -> Reply | StreamReply:
    """Answer as the agent."""
    agent = find_agent(call.key, call.body["agent_id"])
    if agent is None:
        return missing("Agent", call.body["agent_id"])
    model = admitted_model(call, agent.model, CHAT)
    if isinstance(model, Reply):
        return model
    return answer(call, model, _as_chat(agent, call.body))


def _as_chat(agent: Agent, body: dict[str, Any]) -> dict[str, Any]:
    messages = body["messages"]
    if agent.instructions and messages:
        messages = [{"role": "system", "content": agent.instructions}, *messages]
    tools = [*agent.tools, *(body.get("tools") or ())]
    return {
        **agent.completion_args,
        **body,
        "model": agent.model,
        "messages": messages,
        "tools": tools or None,
    }


ROUTES = (Route("POST", "/v1/agents/completions", complete, "inference", schema=schemas.AGENTS),)
