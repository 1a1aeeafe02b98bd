"""Many callers, many kinds of calls at once: our ledger is Mistral's bill to the nano-unit."""

import base64
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
from tests.registry.steps import create
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


PDF = "data:application/pdf;pages=3;base64," + base64.b64encode(b"x" * 4000).decode()
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
DOCUMENT = {"document": {"type": "document_url", "document_url": PDF}}
#: Model, path, body, and what it is billed as.
KINDS = [
    ("mistral-small-latest", "/v1/chat/completions", question(LONG), "completion"),
    ("codestral-latest", "/v1/fim/completions", {"prompt": "def f("}, "completion"),
    ("mistral-small-latest", "/v1/responses", {"input": LONG, "stream": True}, "completion"),
    ("mistral-embed", "/v1/embeddings", {"input": ["one", "two and three"]}, "embeddings"),
    ("mistral-ocr-latest", "/v1/ocr", DOCUMENT, "ocr"),
    (
        "mistral-ocr-latest",
        "/v1/ocr",
        {**DOCUMENT, "document_annotation_format": SCHEMA},
        "ocr",
    ),
    ("voxtral-mini-tts-latest", "/v1/audio/speech", {"input": "Buongiorno! È già qui?"}, "audio"),
    ("mistral-moderation-2603", "/v1/moderations", {"input": ["hello"]}, "moderation"),
]


@pytest.mark.slow
def test_a_load_over_all_kinds_of_endpoints_is_mistrals_bill_in_every_meter(
    gateway, mistral, made_up
):
    tenant = tenancy.make(made_up, currency="USD")
    tokens = {tenant.model.mistral_model: tenant.token}
    for name in {model for model, *_ in KINDS} - set(tokens):
        _model, token = create(
            tenant.workspace, organization=tenant.organization, mistral_model=name, name=name
        )
        tokens[name] = token.reveal()
    tenant.limit("500.00")  # a document of nobody knows how many pages holds for a thousand

    def call(number: int) -> int:
        model, path, request, _category = KINDS[number % len(KINDS)]
        return httpx.post(
            f"{gateway.url}{path}",
            json=request,
            headers={"authorization": f"Bearer {tokens[model]}"},
            trust_env=False,
            timeout=30,
        ).status_code

    with ThreadPoolExecutor(CALLERS) as pool:
        assert set(pool.map(call, range(CALLS))) == {200}
    events = tenant.settled(CALLS)
    bill = mistral.state.ledger.total(key=name_of(tenant.plain))
    cost = sum((event.cost or Decimal(0) for event in events), Decimal(0))
    assert cost == bill.usd.quantize(Decimal("1e-9"))
    # Speech and pages tell tokens too, and are billed without them.
    for meter in ("cached_tokens", "pages", "annotated_pages", "characters"):
        assert sum(getattr(event, meter) for event in events) == getattr(bill, meter), meter
    assert {event.category for event in events} == {category for *_, category in KINDS}
    assert not any(event.estimate for event in events)
    assert tenant.balance().settled == cost
