"""/v1/conversations: start, append, restart, read, list, delete.

Refuses other workspaces' conversations as if they did not exist. With `store: false` the answer is
all that remains. How a turn goes is written in turns.py.
"""

import copy
from typing import Any

from aisuru_mistral.simulator import schemas
from aisuru_mistral.simulator.admission import admitted_model
from aisuru_mistral.simulator.agents import find_agent
from aisuru_mistral.simulator.catalogue import CHAT
from aisuru_mistral.simulator.conversations import Conversation, input_entries, new_id, now_text
from aisuru_mistral.simulator.resources import invalid, missing, page_of
from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.turns import begin_turn
from aisuru_mistral.simulator.validation import (
    REQUIRED,
    boolean,
    either,
    integer,
    list_of,
    mapping,
    nullable,
    number,
    one_of,
    record,
    string,
    tagged,
)
from aisuru_mistral.simulator.wire import Reply, StreamReply, json_reply

MESSAGES = frozenset({"message.input", "message.output"})


def _entry(**fields: Any) -> Any:
    return record({name: (checker, REQUIRED) for name, checker in fields.items()}, extra=True)


_CHUNKS = {**schemas.CHUNK_KINDS, "tool_file": mapping, "tool_reference": mapping}
_CONTENT = either(
    {"str": string, "list[ContentChunk]": list_of(tagged("type", _CHUNKS, default="text"))}
)
_INPUTS = either(
    {
        "str": string,
        "list[Entry]": list_of(
            tagged(
                "type",
                {
                    "message.input": _entry(role=one_of("assistant", "user"), content=_CONTENT),
                    "message.output": _entry(content=_CONTENT),
                    "function.result": _entry(tool_call_id=string, result=string),
                    "function.call": _entry(
                        tool_call_id=string,
                        name=string,
                        arguments=either({"dict": mapping, "str": string}),
                    ),
                    "tool.execution": _entry(name=string, arguments=string),
                    "agent.handoff": mapping,
                },
                default="message.input",
            )
        ),
    }
)
_ARGS = record(
    {
        "stop": schemas.SAMPLING["stop"],
        "presence_penalty": schemas.PENALTY,
        "frequency_penalty": schemas.PENALTY,
        "temperature": (nullable(number(least=0, most=1)), None),
        "top_p": (nullable(number(least=0, most=1)), None),
        "max_tokens": (nullable(integer(least=0)), None),
        "random_seed": (nullable(integer(least=0)), None),
        "prediction": (nullable(schemas.PREDICTION), None),
        "response_format": (nullable(schemas.RESPONSE_FORMAT), None),
        "tool_choice": (one_of("auto", "none", "any", "required"), None),
        "reasoning_effort": (
            nullable(one_of("none", "minimal", "low", "medium", "high", "xhigh")),
            None,
        ),
    }
)
_SHARED = {
    "stream": (nullable(boolean), False),
    "store": (nullable(boolean), True),
    "handoff_execution": (nullable(one_of("client", "server")), None),
    "completion_args": (nullable(_ARGS), None),
}
_VERSION = (nullable(either({"str": string, "int": integer()})), None)
_GUARDRAILS = (nullable(list_of(mapping)), None)
_METADATA = (nullable(mapping), None)
START = record(
    {
        **_SHARED,
        "inputs": (_INPUTS, REQUIRED),
        "instructions": schemas.OPTIONAL_STRING,
        "tools": (nullable(schemas.TOOLS), None),
        "guardrails": _GUARDRAILS,
        "name": schemas.OPTIONAL_STRING,
        "description": schemas.OPTIONAL_STRING,
        "metadata": _METADATA,
        "agent_id": schemas.OPTIONAL_STRING,
        "agent_version": _VERSION,
        "model": schemas.OPTIONAL_STRING,
    },
    extra=True,
)
APPEND = record(
    {
        **_SHARED,
        "inputs": (_INPUTS, None),
        "tool_confirmations": (nullable(list_of(mapping)), None),
    }
)
RESTART = record(
    {
        **_SHARED,
        "inputs": (_INPUTS, None),
        "guardrails": _GUARDRAILS,
        "metadata": _METADATA,
        "from_entry_id": (string, REQUIRED),
        "agent_version": _VERSION,
    }
)


def start(call: Call) -> Reply | StreamReply:
    """A new conversation, with a model or an agent."""
    body = call.body
    model, agent_id = body.get("model"), body.get("agent_id")
    told = {
        name: copy.deepcopy(body[name])
        for name in ("guardrails", "name", "description", "metadata")
        if body.get(name) is not None
    }
    args = body.get("completion_args") or {}
    if agent_id is not None:
        agent = find_agent(call.key, agent_id)
        if agent is None:
            return missing("Agent", agent_id)
        conversation = Conversation(
            model=agent.model,
            agent_id=agent.id,
            agent_version=body.get("agent_version") or agent.version,
            instructions=body.get("instructions") or agent.instructions,
            tools=[*agent.tools, *(body.get("tools") or ())],
            completion_args={**agent.completion_args, **args},
            **told,
        )
    elif model is not None:
        conversation = Conversation(
            model=model,
            instructions=body.get("instructions"),
            tools=body.get("tools") or [],
            completion_args=args,
            **told,
        )
    else:
        return invalid("Either model or agent_id is required")
    return _turn(call, conversation)


def append(call: Call) -> Reply | StreamReply:
    """More is said."""
    conversation = call.state.conversations.find(call.key, call.tail)
    return missing("Conversation", call.tail) if conversation is None else _turn(call, conversation)


def restart(call: Call) -> Reply | StreamReply:
    """A new conversation that shares the beginning of another, up to and with an entry."""
    source = call.state.conversations.find(call.key, call.tail)
    if source is None:
        return missing("Conversation", call.tail)
    wanted = call.body["from_entry_id"]
    ids = [entry["id"] for entry in source.entries]
    if wanted not in ids:
        return missing("Entry", wanted)
    conversation = copy.deepcopy(source)
    conversation.id = new_id("conv_")
    conversation.created_at = conversation.updated_at = now_text()
    del conversation.entries[ids.index(wanted) + 1 :]
    if call.body.get("metadata") is not None:
        conversation.metadata = call.body["metadata"]
    return _turn(call, conversation)


def _turn(call: Call, conversation: Conversation) -> Reply | StreamReply:
    body = call.body
    model = admitted_model(call, conversation.model, CHAT)
    if isinstance(model, Reply):
        return model
    # On a copy: a refused turn leaves the conversation as it was.
    changed = copy.copy(conversation)
    changed.entries = [*conversation.entries, *input_entries(body.get("inputs") or [])]
    turn = begin_turn(call, model, changed, body.get("completion_args") or {})
    if isinstance(turn, Reply):
        return turn
    reply = turn.reply(stream=bool(body.get("stream")))
    if body.get("store", True) is not False:
        call.state.conversations.put(call.key, changed.id, changed)
    return reply


def show(call: Call) -> Reply:
    """What a conversation is, without what was said."""
    conversation = call.state.conversations.find(call.key, call.tail)
    if conversation is None:
        return missing("Conversation", call.tail)
    return json_reply(200, conversation.described())


def list_conversations(call: Call) -> Reply:
    """The workspace's conversations, newest first."""
    found = call.state.conversations.all(call.key)[::-1]
    return json_reply(200, [conversation.described() for conversation in page_of(call, found)])


def history(call: Call) -> Reply:
    """Every entry."""
    conversation = call.state.conversations.find(call.key, call.tail)
    if conversation is None:
        return missing("Conversation", call.tail)
    return json_reply(
        200,
        {
            "object": "conversation.history",
            "conversation_id": conversation.id,
            "entries": conversation.entries,
        },
    )


def messages(call: Call) -> Reply:
    """The entries that are messages."""
    conversation = call.state.conversations.find(call.key, call.tail)
    if conversation is None:
        return missing("Conversation", call.tail)
    return json_reply(
        200,
        {
            "object": "conversation.messages",
            "conversation_id": conversation.id,
            "messages": [entry for entry in conversation.entries if entry["type"] in MESSAGES],
        },
    )


def delete(call: Call) -> Reply:
    """Forget a conversation."""
    if call.state.conversations.remove(call.key, call.tail) is None:
        return missing("Conversation", call.tail)
    return Reply(status=204, body=b"")


_ONE = "/v1/conversations/{id}"
ROUTES = (
    Route("POST", "/v1/conversations", start, "inference", schema=START),
    Route("GET", "/v1/conversations", list_conversations, "resources"),
    Route("GET", "/v1/conversations/", show, "resources"),
    Route("POST", "/v1/conversations/", append, "inference", schema=APPEND),
    Route("DELETE", "/v1/conversations/", delete, "resources"),
    Route("GET", f"{_ONE}/history", history, "resources"),
    Route("GET", f"{_ONE}/messages", messages, "resources"),
    Route("POST", f"{_ONE}/restart", restart, "inference", schema=RESTART),
)
