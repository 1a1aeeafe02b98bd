"""A call through a regional host of Mistral's costs a tenth more, in the hold and in the bill."""

import asyncio
import socket
from decimal import Decimal
from urllib.parse import urlsplit

import httpx
import pytest

from tenants.common.money import rounded
from tenants.gateway.app import Gateway
from tenants.gateway.writer import Writer
from tenants.spend import pricebook
from tenants.spend.pricing import Meter
from tests.gateway.tenancy import question

HOST = "api.eu.mistral.ai"


@pytest.fixture
def regional(mistral, settings, monkeypatch):
    """Have the name of Mistral's European host lead to the simulator, in this process."""
    port = urlsplit(mistral.url).port
    settings.MISTRAL_API_URL = f"http://{HOST}:{port}"
    look_up = socket.getaddrinfo

    def on_loopback(host, *more, **facts):
        return look_up("127.0.0.1" if host == HOST else host, *more, **facts)

    monkeypatch.setattr(socket, "getaddrinfo", on_loopback)


def test_hold_and_bill_of_a_regional_call_are_a_tenth_higher(regional, tenant, monkeypatch):
    holds = []
    opening = Writer.open

    async def noted(writer, intent):
        holds.append(intent.worst_case)
        return await opening(writer, intent)

    monkeypatch.setattr(Writer, "open", noted)

    async def call() -> httpx.Response:
        gateway = Gateway()
        gateway.start()
        try:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(gateway), base_url="http://gateway"
            ) as client:
                # The gateway asks Python's resolver for the address.
                body = question(stream=True, max_tokens=5)
                return await client.post(
                    "/v1/chat/completions", json=body, headers=tenant.headers, timeout=30
                )
        finally:
            await gateway.stop()

    answer = asyncio.run(call())
    assert answer.status_code == 200, answer.text
    (event,) = tenant.settled()
    (hold,) = holds
    prices = pricebook.prices_for("mistral-small-2603", "EUR", event.occurred_at).meters

    def plain(tokens_in: int, tokens_out: int) -> Decimal:
        told = ((Meter.INPUT, tokens_in), (Meter.OUTPUT, tokens_out))
        return sum(
            (prices[meter].amount * count / prices[meter].per for meter, count in told), Decimal(0)
        )

    assert event.prompt_tokens > 0
    assert event.estimate == ""
    assert event.cost == rounded(plain(event.prompt_tokens, 5) * Decimal("1.1"))
    most = hold.quantities
    expected = plain(most.prompt_tokens, most.completion_tokens) * Decimal("1.1")
    assert (hold.cost.amount, hold.cost.factor) == (rounded(expected), Decimal("1.1"))
