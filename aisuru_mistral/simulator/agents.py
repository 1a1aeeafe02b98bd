"""The agents of data/agents.json; refuses those of other workspaces as if they did not exist.

`WELL_KNOWN_AGENTS` maps the name of an agent ("claims", "researcher", "support", "routes") to its
id.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from aisuru_mistral.simulator.keys import REGISTER, Key

DATA = Path(__file__).parent / "data" / "agents.json"


@dataclass(frozen=True, slots=True)
class Agent:
    """A model with instructions, tools and settings; `workspace` is an id."""

    id: str
    name: str
    workspace: str
    model: str
    instructions: str | None = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    completion_args: dict[str, Any] = field(default_factory=dict)
    version: int = 1


def find_agent(key: Key, identifier: str) -> Agent | None:
    """The agent, if the key's workspace has it."""
    agent = _AGENTS.get(identifier)
    return agent if agent is not None and agent.workspace == key.workspace.id else None


def _read(row: Mapping[str, Any]) -> Agent:
    fields = dict(row)
    place = (fields.pop("organization"), fields.pop("workspace"))
    return Agent(**fields, workspace=REGISTER.workspaces[place].id)


_AGENTS: dict[str, Agent] = {
    row["id"]: _read(row) for row in orjson.loads(DATA.read_bytes())["agents"]
}
WELL_KNOWN_AGENTS: dict[str, str] = {agent.name: agent.id for agent in _AGENTS.values()}
