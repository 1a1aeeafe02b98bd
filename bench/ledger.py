"""How many calls a second the meter opens and settles, by batch size; nothing else in the way."""

import time

from bench.report import Throughput
from bench.stage import Stage
from tenants.common.models import new_id
from tenants.spend import pricebook
from tenants.spend.calls import CallIntent, Outcome, Settlement, instant_of, period_of
from tenants.spend.meter import Meter
from tenants.spend.pricing import Bound, Quantities, cost, worst_case

BATCHES = (1, 16, 256)


def measure(stage: Stage, model: str, seconds: float) -> list[Throughput]:
    """Open and settle calls of one tenant with three limits."""
    meter = Meter()
    try:
        return [_measure(meter, stage, model, batch, seconds) for batch in BATCHES]
    finally:
        meter.close()


def _measure(meter: Meter, stage: Stage, model: str, batch: int, seconds: float) -> Throughput:
    opening, settling, rounds = 0.0, 0.0, 0
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or rounds < 2:
        calls = [intent_of(stage, model) for _ in range(batch)]
        began = time.perf_counter()
        verdicts = meter.open_calls(calls)
        opened = time.perf_counter()
        assert all(verdict.is_accepted for verdict in verdicts)
        settlements = [settlement_of(call) for call in calls]
        ready = time.perf_counter()
        meter.settle_calls(settlements)
        done = time.perf_counter()
        if rounds:
            opening += opened - began
            settling += done - ready
        rounds += 1
    return Throughput(batch, opening * 1000 / (rounds - 1), settling * 1000 / (rounds - 1))


def intent_of(stage: Stage, model: str) -> CallIntent:
    call_id = new_id()
    prices = pricebook.prices_for(model, "EUR", instant_of(call_id))
    return CallIntent(
        call_id=call_id,
        organization_id=stage.organization_id,
        workspace_id=stage.workspace_id,
        key_id=stage.key_id,
        model_id=stage.model_id,
        endpoint="/v1/chat/completions",
        requested_model=model,
        period=period_of(call_id, "Europe/Rome"),
        worst_case=worst_case(Bound(1000, context_length=131_072, max_tokens=64), prices),
    )


def settlement_of(call: CallIntent) -> Settlement:
    quantities = Quantities(prompt_tokens=52, completion_tokens=30)
    prices = pricebook.prices_for(call.requested_model, "EUR", instant_of(call.call_id))
    return Settlement(call, Outcome.COMPLETED, quantities, cost(quantities, prices), 200)
