"""Figures of the gateway for Prometheus: bounded labels only, never a tenant, a model or a token.

They are counted where a batch of settlements reaches the ledger, off the path of a call. Counters
are of this process; what they say of money is for graphs, the ledger is what counts.
"""

from collections import defaultdict
from collections.abc import Sequence

from prometheus_client import Counter, Gauge, Histogram

from tenants.registry.status import BlockedReason
from tenants.spend.calls import ABANDONED, Estimate, Settlement, is_metered

_OTHER = "other"
_UNOPENED = BlockedReason.KEY_UNDECRYPTABLE.value

UNDER_WAY = Gauge(
    "aim_gateway_calls_under_way",
    "Calls in the gateway now.",
    multiprocess_mode="livesum",
)
CALLS = Counter(
    "aim_gateway_calls",
    "Calls that are in the ledger, by how they ended and what Mistral answered.",
    ["endpoint", "outcome", "upstream"],
)
SECONDS = Histogram(
    "aim_gateway_call_seconds",
    "From a call's first byte to its last.",
    ["endpoint"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600),
)
TOKENS = Counter("aim_gateway_tokens", "Tokens that Mistral metered.", ["kind"])
COST = Counter("aim_gateway_cost", "Settled cost, in units of the currency.", ["currency"])
ESTIMATES = Counter("aim_gateway_estimates", "Calls settled by an estimate.", ["reason"])
REFUSALS = Counter("aim_gateway_refusals", "Calls that the gateway itself refused.", ["code"])
# What is rare is there from the start: a rate would miss the first, and a ratio have no value.
for code in ("internal_error", "metering_unavailable", "vault_unavailable", _UNOPENED, "busy"):
    REFUSALS.labels(code)
for reason in filter(None, set(Estimate) - ABANDONED):
    ESTIMATES.labels(reason.value)


def note_settled(batch: Sequence[Settlement]) -> None:
    """Count settlements that are in the ledger; added up first, as each count takes a lock."""
    calls: dict[tuple[str, str, str], int] = defaultdict(int)
    costs: dict[str, float] = defaultdict(float)
    prompt = cached = completion = 0
    for one in batch:
        endpoint = one.intent.endpoint if is_metered(one.intent.endpoint) else _OTHER
        calls[endpoint, one.outcome.value, _class_of(one.http_status)] += 1
        SECONDS.labels(endpoint).observe(one.duration.total_seconds())
        prompt += one.quantities.prompt_tokens
        cached += one.quantities.cached_tokens
        completion += one.quantities.completion_tokens
        if one.cost.amount is not None:
            costs[one.cost.currency] += float(one.cost.amount)
        if one.estimate:
            ESTIMATES.labels(one.estimate.value).inc()
    for labels, times in calls.items():
        CALLS.labels(*labels).inc(times)
    TOKENS.labels("prompt").inc(prompt)
    TOKENS.labels("cached").inc(cached)
    TOKENS.labels("completion").inc(completion)
    for currency, amount in costs.items():
        COST.labels(currency).inc(amount)


def note_refused(code: str, reason: object = None) -> None:
    """Count a refusal of ours; codes are those of docs/problems.md.

    A model is blocked by what its owners did, or Mistral; a key that does not open is a fault of
    ours, and counts apart.
    """
    REFUSALS.labels(_UNOPENED if reason == _UNOPENED else code).inc()


def _class_of(status: int | None) -> str:
    """Name Mistral's answer by its class: 2xx, 429 by itself, none where nobody answered."""
    if status is None:
        return "none"
    return "429" if status == 429 else f"{status // 100}xx"  # noqa: PLR2004 - too many requests
