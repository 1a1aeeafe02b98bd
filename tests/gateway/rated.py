"""Rates that a tenant is given, bursts of its calls, and when they reached Mistral."""

from concurrent.futures import ThreadPoolExecutor

import httpx

from tenants.spend import services
from tenants.spend.calls import LimitMode
from tenants.spend.rates import Rates
from tests.factories import ACTOR
from tests.gateway.tenancy import question
from tests.keys.keyring import name_of


def rate(tenant, level="organization", mode=LimitMode.ENFORCE, **rates):
    services.set_limit(
        actor=ACTOR,
        organization=tenant.organization,
        subject=getattr(tenant, level),
        monthly_spend=None,
        mode=mode,
        rates=Rates(**rates),
    )


def arrivals(mistral, tenant):
    """When calls of a tenant reached Mistral, and how each was answered."""
    key = name_of(tenant.plain)
    return [
        (record.at, record.status)
        for record in mistral.state.requests
        if record.key_name == key and record.path.endswith("completions")
    ]


def burst(gateway, tenant, count, **more):
    def one(number):
        headers = {**tenant.headers, **more.get("headers", {})}
        return httpx.post(
            f"{gateway.url}/v1/chat/completions",
            json=question(max_tokens=5),
            headers=headers,
            trust_env=False,
            timeout=60,
        )

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))
