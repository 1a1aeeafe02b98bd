"""What a call needs of each limit that it must keep to, and how one refuses it."""

import math
from collections.abc import Sequence

from tenants.common.problems import Forbidden, TooMany, Unavailable
from tenants.gateway.buckets import MISTRAL, PAUSE, Bucket, Rule
from tenants.gateway.endpoints import Kind
from tenants.gateway.line import Need, Ticket
from tenants.gateway.requests import Request
from tenants.gateway.windows import Counter
from tenants.mistral.windows import INFERRED, REQUESTS

_OF_TOKENS = frozenset({Kind.CHAT, Kind.TEXTS, Kind.RESPONSES, Kind.CONVERSATION})
_LONGEST_RETRY = 3600


def beside_models(rules: Sequence[Rule]) -> Sequence[Rule]:
    """Give the rules for what asks nothing of a model: configured ones, of requests."""
    return [rule for rule in rules if rule.source != MISTRAL and rule.meter == REQUESTS]


def needed(rule: Rule, tokens: float, share: int = 1) -> Need:
    """Give what a call of so many tokens needs of a limit, counted so many times."""
    units = share if rule.meter == REQUESTS else tokens * share
    return Need(rule.counter, min(float(units), rule.counter.limit))


def expect(request: Request, bucket: Bucket) -> float:
    """Tell how many tokens a call is expected to use; pages and characters are none."""
    if request.endpoint.kind not in _OF_TOKENS:
        return 0.0
    bound = request.bound
    return bucket.expect(bound.request_bytes, bound.max_tokens if bound.generates else 0)


def rule_of(counter: Counter | None, ticket: Ticket) -> Rule:
    """Find the rule that a counter belongs to; the first if it is not known."""
    rules: Sequence[Rule] = ticket.rules
    return next((rule for rule in rules if rule.counter is counter), rules[0])


def too_many(rule: Rule, retry_in: float, now: float) -> TooMany:
    """Say which limit has no room, and in how many seconds it has."""
    limit = rule.counter.limit
    retry_after = min(max(math.ceil(min(retry_in, _LONGEST_RETRY)), 1), _LONGEST_RETRY)
    if rule.name == PAUSE:
        said = "The pause after Mistral's refusal of calls to this model and workspace"
    elif rule.name == INFERRED:
        said = (
            "Mistral has long refused calls to this model and workspace without telling a limit;"
            f" what went through in the minute before (`{rule.name}`) is taken as one, and"
        )
    elif rule.source == MISTRAL:
        said = f"Mistral's limit `{rule.name}` on this model and workspace"
    else:
        said = f"The limit `{rule.name}` of the {rule.source}"
    return TooMany(
        "rate_limited",
        f"{said} leaves no room for this call in the time that it can wait. Nothing was sent to"
        f" Mistral, and it costs nothing. Try again in {retry_after} seconds.",
        retry_after=retry_after,
        limited=rule.source,
        rate=rule.name,
        limit=int(limit) if limit == int(limit) else limit,
        used=round(rule.counter.used(now)),
    )


def outside_plan(model: str) -> Forbidden:
    """Say that the plan has nothing for a model."""
    return Forbidden(
        "model_not_in_plan",
        f"The plan of this Mistral account gives {model} no quota: Mistral told a limit of 0."
        " Choose another model, or change the plan at Mistral. It is asked again in some minutes.",
    )


def unavailable(said: str, wait: float) -> Unavailable:
    """Say that Mistral is left alone for so many seconds, and why."""
    return Unavailable(
        "mistral_unavailable",
        f"{said} Nothing was sent, and this call costs nothing. Try again.",
        retry_after=math.ceil(wait),
    )
