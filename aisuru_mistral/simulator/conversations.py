"""A conversation as Mistral keeps it, and how its entries read as a chat.

Refuses to answer.

Ids: conversations `conv_`, messages `msg_`, function calls and results `fc_`, tool executions
`tool_exec_`, each with 32 hexadecimal digits.
"""

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

PREFIXES = {
    "message.input": "msg_",
    "message.output": "msg_",
    "function.call": "fc_",
    "function.result": "fc_",
    "tool.execution": "tool_exec_",
    "agent.handoff": "handoff_",
}


def new_id(prefix: str) -> str:
    """An id of this kind."""
    return prefix + uuid.uuid4().hex


def now_text() -> str:
    """The present moment as in `created_at`."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat().replace("+00:00", "Z")


def entry(kind: str, **fields: Any) -> dict[str, Any]:
    """A new entry, complete."""
    moment = now_text()
    return {
        "object": "entry",
        "type": kind,
        "created_at": moment,
        "completed_at": moment,
        "id": new_id(PREFIXES[kind]),
        **fields,
    }


def input_entries(inputs: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a caller said, as entries; what Mistral adds to each is added."""
    if isinstance(inputs, str):
        return [entry("message.input", role="user", content=inputs, prefix=False)]
    made = []
    for given in inputs:
        kind = given.get("type", "message.input")
        made.append({**entry(kind), **given})
    return made


@dataclass(slots=True)
class Conversation:
    """A conversation with a model, or with an agent (then `agent_id` is set)."""

    model: str
    agent_id: str | None = None
    agent_version: str | int | None = None
    instructions: str | None = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    completion_args: dict[str, Any] = field(default_factory=dict)
    guardrails: list[dict[str, Any]] | None = None
    name: str | None = None
    description: str | None = None
    metadata: dict[str, Any] | None = None
    entries: list[dict[str, Any]] = field(default_factory=list)
    id: str = field(default_factory=lambda: new_id("conv_"))
    created_at: str = field(default_factory=now_text)
    updated_at: str = field(default_factory=now_text)

    def described(self) -> dict[str, Any]:
        """AgentConversation or ModelConversation of the OpenAPI file."""
        shared = {
            "object": "conversation",
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "metadata": self.metadata,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }
        if self.agent_id is not None:
            return {**shared, "agent_id": self.agent_id, "agent_version": self.agent_version}
        return {
            **shared,
            "model": self.model,
            "instructions": self.instructions,
            "tools": self.tools,
            "completion_args": self.completion_args,
            "guardrails": self.guardrails,
        }

    def extend(self, entries: Iterable[dict[str, Any]]) -> None:
        """More was said."""
        self.entries.extend(entries)
        self.updated_at = now_text()


def as_messages(
    instructions: str | None, entries: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The entries as messages of a chat; what tools and agents did among themselves is left out."""
    messages: list[dict[str, Any]] = []
    if instructions:
        messages.append({"role": "system", "content": instructions})
    for each in entries:
        kind = each["type"]
        if kind == "message.input":
            messages.append({"role": each["role"], "content": each["content"]})
        elif kind == "message.output":
            messages.append({"role": "assistant", "content": each["content"]})
        elif kind == "function.call":
            function = {"name": each["name"], "arguments": each["arguments"]}
            messages.append({"role": "assistant", "tool_calls": [{"function": function}]})
        elif kind == "function.result":
            messages.append({"role": "tool", "content": each["result"]})
    return messages
