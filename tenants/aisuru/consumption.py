"""Reads AIsuru's consumption logs: tokens by model and agent, no cost.

Two shapes are known of the public client ``@memori.ai/memori-api-client`` (``types.ts``), and both
are read. A *log* (``ConsumptionLog``) is of one agent and month; its ``promptTokens`` and
``completionTokens`` say the tokens by key, as in ``{"mistral-small-latest": 120}``. An *item*
(``ConsumptionItem``) has plain numbers, and perhaps ``children``, whose sum it is. What a key
names, the provider's model or the configuration, is not documented.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

_LISTS = ("consumptionLogs", "children", "logs")
_NAMES = ("memoriName", "name", "key")
_MAX_DEPTH = 8
_MAX_COUNT = 2**48
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Consumption:
    """What was used under one key; chargeable and other usage together.

    Attributes:
        name: of the agent, or whatever the leaf of the tree is called.
        key: what the tokens are counted by: a model or a configuration; empty when not told.
        completions: of the whole log; told once, with its first key.
    """

    name: str
    key: str
    prompt_tokens: int
    completion_tokens: int
    completions: int


def read(document: Mapping[str, Any], month: date) -> tuple[Consumption, ...]:
    """Read the logs of a month, leaf by leaf; those of other months are left out.

    Args:
        document: AIsuru's answer.
        month: the first day of it.
    """
    return tuple(_leaves(document, "", "", month, _MAX_DEPTH))


def _leaves(
    node: Mapping[str, Any], name: str, key: str, month: date, depth: int
) -> Iterator[Consumption]:
    """Go down the tree: a node with children is their sum, so that only leaves count."""
    if not _is_of(node, month):
        return
    own = next((str(node[one]) for one in _NAMES if node.get(one)), name)[:_LONGEST]
    key = str(node.get("key") or key)[:_LONGEST]
    children = [child for one in _LISTS for child in _rows(node.get(one))]
    if children and depth:
        for child in children:
            yield from _leaves(child, own, key, month, depth - 1)
        return
    yield from _by_key(node, own, key)


def _by_key(node: Mapping[str, Any], name: str, key: str) -> Iterator[Consumption]:
    prompts = _tokens(node, key, "promptTokens", "nonChargeablePromptTokens")
    answers = _tokens(node, key, "completionTokens", "nonChargeableCompletionTokens")
    completions = _count(node.get("completions")) + _count(node.get("nonChargeableCompletions"))
    for one in [*prompts, *(other for other in answers if other not in prompts)] or [key]:
        found = Consumption(name, one, prompts.get(one, 0), answers.get(one, 0), completions)
        completions = 0
        if found.prompt_tokens or found.completion_tokens or found.completions:
            yield found


def _tokens(node: Mapping[str, Any], key: str, *names: str) -> dict[str, int]:
    """Add up the counts by key; a plain number counts for the node's own key."""
    counts: dict[str, int] = {}
    for name in names:
        value = node.get(name)
        for one, count in value.items() if isinstance(value, dict) else ((key, value),):
            counts[str(one)[:_LONGEST]] = counts.get(str(one)[:_LONGEST], 0) + _count(count)
    return {one: count for one, count in counts.items() if count}


def _is_of(node: Mapping[str, Any], month: date) -> bool:
    """Tell whether a log is of the month; one that does not say from when is.

    Its month may begin in another zone, a few hours before ours.
    """
    starts = node.get("from")
    if not isinstance(starts, str):
        return True
    try:
        day = datetime.fromisoformat(starts).date()
    except ValueError:
        return True
    next_month = (month + timedelta(days=31)).replace(day=1)
    return month - timedelta(days=1) <= day < next_month - timedelta(days=1)


def _rows(value: object) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value <= _MAX_COUNT else 0
