"""Conversations and agents: what bounds a turn whose text and tools Mistral keeps.

A conversation with a model runs on the token's model and on no other. An agent runs on the model
that Mistral has for it: until it has answered once, its calls are held at the dearest prices.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tenants.common.problems import Forbidden, Invalid
from tenants.gateway import bounding, contents, references, requests, weighing
from tenants.gateway.addresses import Action, Place
from tenants.gateway.aftermaths import Heard, Kept, LearnedAgent, Several
from tenants.gateway.endpoints import Endpoint, Kind
from tenants.gateway.requests import Aftermath, Request
from tenants.gateway.shelf import Shelf
from tenants.registry.models import ResourceKind
from tenants.registry.resources import AUDIO_SECONDS, Owner
from tenants.registry.snapshots import ModelFacts
from tenants.spend.pricing import Bound

_CONVERSATION_ID = "conversation_id"
_ARGS = "completion_args"
_MOST_AGENTS = 20


async def agent(shelf: Shelf, owner: Owner, agent_id: str) -> Mapping[str, Any]:
    """Find what is known of an agent; nothing of one that nobody has used yet.

    Agents are made in Mistral's Studio: the first workspace of the organization that is answered by
    one keeps it.

    Raises:
        NotFound: another workspace has it, or no agent can have this id.
    """
    if not references.is_possible(agent_id):
        raise references.missing("Agent", agent_id)
    found = await shelf.among(owner, ResourceKind.AGENT, [agent_id])
    if agent_id in found:
        return found[agent_id].facts
    if await shelf.is_elsewhere(owner, ResourceKind.AGENT, agent_id):
        raise references.missing("Agent", agent_id)
    return {}


def of_an_agent(bound: Bound) -> Bound:
    """Widen a bound by what an agent may add: its instructions are at Mistral."""
    return replace(bound, unbounded_input=True, context_length=None)


async def start(
    endpoint: Endpoint, body: bytes, model: ModelFacts, owner: Owner, shelf: Shelf
) -> Request:
    """Read the start of a conversation, with the token's model or with an agent."""
    whose = owner.organization_id
    document = await weighing.apart(whose, len(body), requests.read_object, body)
    agent_id = document.get("agent_id")
    facts: Mapping[str, Any] = {}
    learns: list[Aftermath] = []
    if isinstance(agent_id, str):
        facts = await agent(shelf, owner, agent_id)
        learns.append(LearnedAgent(shelf, owner, agent_id, facts))
        changes = requests.named_model(document, model) if "model" in document else {}
    else:
        changes = {**requests.named_model(document, model), **_defaults(document, model)}
    body = await weighing.apart(whose, len(body), requests.rewritten, document, body, changes)
    is_agent, looks_up = isinstance(agent_id, str), bounding.looks_up(document)
    bound = await weighing.apart(whose, len(body), _bound, document, model, len(body))
    if document.get("store") is not False:
        kept: dict[str, Any] = {
            "model": "" if is_agent else model.mistral_model,
            "tools": is_agent or looks_up,
        }
        if bound.audio_seconds:
            kept[AUDIO_SECONDS] = bound.audio_seconds
        if isinstance(agent_id, str):
            kept["agent"] = agent_id
        learns.append(Kept(shelf, owner, ResourceKind.CONVERSATION, _CONVERSATION_ID, lambda: kept))
    return Request(
        endpoint,
        body,
        of_an_agent(bound) if is_agent else bound,
        priced_as=await _priced_as(document, facts, owner, shelf, is_agent=is_agent),
        calls_connectors=is_agent or looks_up,
        aftermath=Several(*learns),
        names_files=await weighing.apart(whose, len(body), requests.named_files, document, body),
        is_stream=requests.asks_for_a_stream(document),
    )


async def go_on(
    place: Place,
    body: bytes,
    *,
    model: ModelFacts,
    owner: Owner,
    shelf: Shelf,
    facts: Mapping[str, Any],
) -> Request:
    """Read more of a conversation, or a new beginning of one, which goes on as it was started.

    Each turn reads the whole conversation: the recordings that are in it are held once more.

    Raises:
        Forbidden: it runs on another model than the token's.
    """
    if facts["model"] not in {"", model.mistral_model}:
        raise Forbidden(
            "model_not_allowed",
            f"This conversation runs on {facts['model']}, and this token calls"
            f" {model.mistral_model} only.",
        )
    whose = owner.organization_id
    document = await weighing.apart(whose, len(body), requests.read_object, body)
    changes = _defaults(document, model) if facts["model"] else {}
    body = await weighing.apart(whose, len(body), requests.rewritten, document, body, changes)
    bound = await weighing.apart(whose, len(body), _bound, document, model, len(body))
    own = bound.audio_seconds
    heard = min(own + facts.get(AUDIO_SECONDS, 0), bounding.LARGEST_COUNT)
    bound = replace(bound, unbounded_input=True, audio_seconds=heard)
    known, learns = dict[str, Any](), list[Aftermath]()
    if agent_id := facts.get("agent"):
        known = dict(await agent(shelf, owner, agent_id))
        bound = of_an_agent(bound)
        learns.append(LearnedAgent(shelf, owner, agent_id, known))
    if document.get("store") is not False:
        # A restarted one has an id of its own; one that goes on is known already.
        if place.action is Action.RESTART:
            kept = {**facts, AUDIO_SECONDS: heard} if heard else facts
            kind = ResourceKind.CONVERSATION
            learns.append(Kept(shelf, owner, kind, _CONVERSATION_ID, lambda: kept))
        elif own:
            learns.append(Heard(shelf, owner, place.mistral_id, own))
    return Request(
        Endpoint(place.template, Kind.CONVERSATION),
        body,
        bound,
        target=place.path,
        priced_as=await _priced_as(document, known, owner, shelf, is_agent=bool(agent_id)),
        calls_connectors=bool(facts["tools"]) or bounding.looks_up(document),
        aftermath=Several(*learns),
        names_files=await weighing.apart(whose, len(body), requests.named_files, document, body),
        is_stream=requests.asks_for_a_stream(document),
    )


def _args(document: Mapping[str, Any]) -> dict[str, Any]:
    args = document.get(_ARGS)
    if args is not None and not isinstance(args, dict):
        raise Invalid.field(f"/{_ARGS}", "invalid_value", f"`{_ARGS}` is an object.")
    return args or {}


def _defaults(document: Mapping[str, Any], model: ModelFacts) -> dict[str, Any]:
    """Give the completion arguments with the model's defaults, where it has any to add."""
    args = _args(document)
    missing = {
        name: model.defaults[name]
        for name in ("temperature", "max_tokens")
        if name in model.defaults and args.get(name) is None
    }
    return {_ARGS: {**args, **missing}} if missing else {}


async def _priced_as(
    document: Mapping[str, Any],
    known: Mapping[str, Any],
    owner: Owner,
    shelf: Shelf,
    *,
    is_agent: bool,
) -> str | None:
    """Tell which model's prices hold a turn: of an agent that hands over, the dearest.

    Raises:
        NotFound: it is handed over to an agent of another workspace's.
        Invalid: no agent is asked, or there are too many of them.
    """
    others = set(contents.agents_in(document.get("inputs")))
    if others and (not is_agent or len(others) > _MOST_AGENTS):
        raise Invalid.field(
            "/inputs",
            "invalid_value",
            f"Only conversations with an agent are handed over, and to {_MOST_AGENTS} at most.",
        )
    for agent_id in others:
        await agent(shelf, owner, agent_id)
    if not is_agent:
        return None
    return "" if others else str(known.get("model", ""))


def _bound(document: Mapping[str, Any], model: ModelFacts, length: int) -> Bound:
    length = max(length, len(contents.dumped(document)))
    seen = contents.look(document.get("inputs"))
    bound = Bound(
        length + bounding.retold_in(document, seen),
        unbounded_input=bool(seen.others) or bounding.looks_up(document),
        context_length=model.context_length,
        max_tokens=bounding.cap_of(_args(document)),
    )
    return bounding.with_others(bound, seen.others)
