"""One turn of a conversation: what the model does, and what it costs.

Refuses to keep conversations.

The prompt is the whole conversation, counted as a chat with its tools (tokens.py). A built-in tool
or connector is called once when the last message names it ("web_search" or "web search"), or as
often as the directive `connectors` says; each call is 256 connector tokens. `usage` as Mistral's
ConversationUsageInfo: `total_tokens` = prompt + completion + connector tokens, no cached tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from aisuru_mistral.simulator import tokens
from aisuru_mistral.simulator.catalogue import Model
from aisuru_mistral.simulator.completions import Choice
from aisuru_mistral.simulator.conversations import Conversation, as_messages, entry, now_text
from aisuru_mistral.simulator.directives import Usage
from aisuru_mistral.simulator.generation import chat_choices
from aisuru_mistral.simulator.ledger import Line
from aisuru_mistral.simulator.routing import Call
from aisuru_mistral.simulator.wire import Reply, StreamReply, json_reply, named_event

CONNECTOR_TOKENS = 256


@dataclass(slots=True)
class Turn:
    """The model's turn in a conversation that already holds what was said to it."""

    call: Call
    model: Model
    conversation: Conversation
    tools: list[dict[str, Any]]
    prompt: str
    choice: Choice
    connectors: dict[str, int]
    outputs: list[dict[str, Any]] = field(default_factory=list)

    def reply(self, *, stream: bool) -> Reply | StreamReply:
        """Write the outputs into the conversation, bill, and answer."""
        self.outputs = [*self._executions(), self._said()]
        self.conversation.extend(self.outputs)
        usage = self._usage()
        call = self.call
        line = call.line(self.model.id)
        line.calls += 1
        line.prompt_tokens += usage["prompt_tokens"]
        line.connector_tokens += usage["connector_tokens"] or 0
        line.connector_calls += sum(self.connectors.values())
        call.use(usage["total_tokens"])
        if stream:
            return StreamReply(self._events(usage, line))
        line.completion_tokens += usage["completion_tokens"]
        payload = {
            "object": "conversation.response",
            "conversation_id": self.conversation.id,
            "outputs": self.outputs,
            "usage": usage,
            "guardrails": None,
        }
        reply = json_reply(200, payload)
        reply.headers = call.state.rate_limits.headers(call.key, usage["total_tokens"])
        return reply

    def _usage(self) -> dict[str, Any]:
        dictated = self.call.directives.usage or Usage()
        prompt = dictated.prompt
        if prompt is None:
            prompt = tokens.rendered_tokens(self.prompt)
        completion = self.choice.tokens if dictated.completion is None else dictated.completion
        connector = CONNECTOR_TOKENS * sum(self.connectors.values())
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion + connector,
            "connector_tokens": connector or None,
            "connectors": self.connectors or None,
        }

    def _by(self) -> dict[str, Any]:
        conversation = self.conversation
        if conversation.agent_id is not None:
            return {"agent_id": conversation.agent_id, "model": conversation.model}
        return {"model": conversation.model}

    def _executions(self) -> list[dict[str, Any]]:
        arguments = orjson.dumps({"query": "what was asked"}).decode()
        return [
            entry("tool.execution", name=name, arguments=arguments, info={}, **self._by())
            for name, times in self.connectors.items()
            for _ in range(times)
        ]

    def _said(self) -> dict[str, Any]:
        called = self.choice.tool_call
        if called is None:
            message = self.choice.message()
            return entry(
                "message.output", role="assistant", content=message["content"], **self._by()
            )
        return entry(
            "function.call",
            tool_call_id=called["id"],
            name=called["function"]["name"],
            arguments=called["function"]["arguments"],
            **self._by(),
        )

    def _events(self, usage: dict[str, Any], line: Line) -> Iterator[tuple[bytes, int]]:
        """The events, each billed when it is taken; a whole stream costs what its usage says."""
        yield _event("conversation.response.started", conversation_id=self.conversation.id), 0
        *executions, said = self.outputs
        for at, execution in enumerate(executions):
            yield from _execution_events(at, execution)
        fail_after = self.call.directives.fail_after
        for sent, (fields, spent) in enumerate(self._deltas(len(executions), said)):
            if fail_after is not None and sent >= fail_after:
                message = "Service unavailable."
                yield _event("conversation.response.error", message=message, code=1000), 0
                return
            line.completion_tokens += spent
            yield _event(**fields), spent
        line.completion_tokens += usage["completion_tokens"] - self.choice.tokens
        if self.call.directives.omit_usage:
            yield _event("conversation.response.done"), 0
        else:
            yield _event("conversation.response.done", usage=usage), 0

    def _deltas(self, at: int, said: dict[str, Any]) -> Iterator[tuple[dict[str, Any], int]]:
        shared = {"output_index": at, "id": said["id"], **self._by()}
        if said["type"] == "function.call":
            names = ("name", "tool_call_id", "arguments")
            fields = {name: said[name] for name in names}
            yield {"kind": "function.call.delta", **shared, **fields}, self.choice.tokens
            return
        shared |= {"kind": "message.output.delta", "role": "assistant", "content_index": 0}
        for delta, spent in self.choice.deltas(self.call.directives.chunk_tokens or 1):
            content = delta["content"]
            yield {**shared, "content": content[0] if isinstance(content, list) else content}, spent


def begin_turn(
    call: Call, model: Model, conversation: Conversation, args: dict[str, Any]
) -> Turn | Reply:
    """What the model will do now, or why it cannot; `args` are this turn's completion_args."""
    messages = as_messages(conversation.instructions, conversation.entries)
    if not messages:
        return call.refuse("bad_message_order")
    functions = [tool for tool in conversation.tools if "function" in tool]
    prompt = tokens.render_chat({"messages": messages, "tools": conversation.tools})
    if tokens.rendered_tokens(prompt) > model.context:
        return call.refuse("prompt_too_large", model=conversation.model)
    body = {
        **conversation.completion_args,
        **args,
        "model": conversation.model,
        "messages": messages,
        "tools": functions,
    }
    choice = chat_choices(body, prompt, call.directives)[0]
    last = messages[-1]
    said = tokens.text_of(last.get("content")) if last["role"] == "user" else ""
    connectors = _connectors(call, conversation.tools, said)
    return Turn(call, model, conversation, conversation.tools, prompt, choice, connectors)


def _connectors(call: Call, tools: list[dict[str, Any]], said: str) -> dict[str, int]:
    dictated = call.directives.connectors
    if dictated is not None:
        return {name: times for name, times in dictated.items() if times}
    names = [tool.get("connector_id") or tool["type"] for tool in tools if "function" not in tool]
    words = said.lower().replace(" ", "_")
    return dict.fromkeys((name for name in names if name.lower() in words), 1)


def _execution_events(at: int, execution: dict[str, Any]) -> Iterator[tuple[bytes, int]]:
    shared = {"output_index": at, "id": execution["id"], "name": execution["name"]}
    arguments = execution["arguments"]
    yield _event("tool.execution.started", **shared, arguments=""), 0
    yield _event("tool.execution.delta", **shared, arguments=arguments), 0
    yield _event("tool.execution.done", **shared, info={}), 0


def _event(kind: str, **fields: Any) -> bytes:
    return named_event(kind, {"type": kind, "created_at": now_text(), **fields})
