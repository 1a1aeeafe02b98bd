"""Many callers, many kinds of calls at once: our ledger is Mistral's bill to the nano-unit."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from random import Random

import httpx
import pytest
from django.db.models import Sum

from tenants.common import scope
from tenants.common.months import Month
from tenants.spend import reports, rollups
from tenants.spend.models import SpendLine
from tests.gateway import tenancy
from tests.gateway.tenancy import question
from tests.keys.keyring import name_of
from tests.spend import made

CALLERS, CALLS = 8, 48
LONG = "The same beginning of a long question, again and again. " * 40


def body(number: int) -> dict[str, object]:
    """Describe a call: short or long, streamed or not, several answers, or one that is refused."""
    random = Random(number)
    kind = number % 6
    if kind == 0:
        return question(LONG, prompt_cache_key="again", max_tokens=random.randint(1, 60))
    if kind == 1:
        return question(stream=True, max_tokens=random.randint(1, 60))
    if kind == 2:
        return question("Say " + "ciao " * random.randint(1, 30), n=2, max_tokens=20)
    if kind == 3:
        return question(LONG, stream=True, prompt_cache_key="again")
    if kind == 4:
        return question(temperature="hot")  # Mistral refuses it
    return question("Say " + "x" * random.randint(1, 500))


@pytest.mark.slow
def test_a_mixed_load_costs_what_mistral_bills_in_events_lines_balances_and_reports(
    gateway, mistral, made_up
):
    tenant = tenancy.make(made_up, currency="USD")
    tenant.limit("5.00")

    def call(number: int) -> int:
        return httpx.post(
            f"{gateway.url}/v1/chat/completions",
            json=body(number),
            headers=tenant.headers,
            trust_env=False,
            timeout=30,
        ).status_code

    with ThreadPoolExecutor(CALLERS) as pool:
        statuses = list(pool.map(call, range(CALLS)))
    assert statuses.count(200) == CALLS * 5 // 6
    events = tenant.settled(CALLS)
    bill = mistral.state.ledger.total(key=name_of(tenant.plain))
    assert bill.cached_tokens > 0, "nothing was cached: the test proves less"
    cost = sum((event.cost or Decimal(0) for event in events), Decimal(0))
    assert cost == bill.usd
    for meter in ("prompt_tokens", "completion_tokens", "cached_tokens"):
        assert sum(getattr(event, meter) for event in events) == getattr(bill, meter), meter
    assert not any(event.estimate for event in events)
    assert tenant.balance().settled == cost
    made.roll_up(tenant.organization)
    assert rollups.rebuild(tenant.organization.id).changed == 0
    with scope.tenant(tenant.organization.id):
        lines = SpendLine.objects.aggregate(cost=Sum("cost"), events=Sum("events"))
    assert lines == {"cost": cost, "events": CALLS}
    (month,) = {event.period for event in events}
    report = reports.spend_report(
        organization=tenant.organization,
        month=Month(month.year, month.month, "Europe/Rome"),
        group_by=["day", "model"],
    )
    assert report.total == sum(group.amount for group in report.groups) == cost
