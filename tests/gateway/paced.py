"""A pacer without network and ledger, and the picture of a model whose calls it lets through."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID

from tenants.common.models import new_id
from tenants.gateway.breaker import Breaker
from tenants.gateway.endpoints import ENDPOINTS, Endpoint, Kind
from tenants.gateway.lanes import Lane, Lanes
from tenants.gateway.pacing import Pacer
from tenants.gateway.permits import Permit
from tenants.gateway.requests import Request
from tenants.gateway.shared import Shared
from tenants.gateway.snapshots import Picture
from tenants.gateway.together import Together
from tenants.gateway.traffic import Traffic
from tenants.registry.snapshots import (
    KeyFacts,
    ModelFacts,
    OrganizationFacts,
    Snapshot,
    WorkspaceFacts,
)
from tenants.spend.calls import LimitMode, SubjectKind
from tenants.spend.pricebook import PriceBook
from tenants.spend.pricing import Bound
from tenants.spend.rates import RateLimit, Rates


@dataclass
class Clock:
    """Time that passes only when a test says so, in seconds."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


CHAT = ENDPOINTS["/v1/chat/completions"]


def picture(**rates) -> Picture:
    """The picture of a model whose organization has these rates."""
    organization = new_id()
    limit = RateLimit(SubjectKind.ORGANIZATION, organization, Rates(**rates), LimitMode.ENFORCE)
    return picture_of(organization, new_id(), limit)


def picture_of(organization: UUID, model: UUID, *limits: RateLimit) -> Picture:
    """The picture of a model with these limits above it."""
    snapshot = Snapshot(
        OrganizationFacts(organization, "active", "it", "Europe/Rome", "EUR"),
        WorkspaceFacts(new_id(), is_archived=False),
        ModelFacts(
            id=model,
            name="Assistente",
            mistral_model="mistral-small-latest",
            canonical_model="mistral-small-2603",
            base_model=None,
            context_length=32_000,
            context_size=None,
            timeout=None,
            defaults=MappingProxyType({}),
            is_retired=False,
        ),
        KeyFacts(new_id(), "valid", None, None, f"key:{new_id()}"),
        new_id(),
    )
    return Picture(snapshot, PriceBook([]), traffic=Traffic(limits))


def pacer(shared: Shared | None = None, clock: Callable[[], float] = time.monotonic) -> Pacer:
    """A process's pacer, which asks no ledger."""

    async def nothing_used(_lane: Lane) -> None:
        raise AssertionError("no month is limited here")

    return Pacer(Lanes(), Breaker(), Together(shared), nothing_used, clock)


async def go(
    pacer: Pacer,
    shown: Picture,
    message: str = "",
    *,
    patience: float = 30,
    endpoint: Endpoint = CHAT,
    tokens: int = 100,
) -> Permit:
    """Have a call let through."""
    generates = endpoint.kind is Kind.CHAT
    bound = Bound(0, context_length=32_000, max_tokens=tokens, generates=generates)
    until = pacer.clock() + patience
    return await pacer.admit(shown, Request(endpoint, b"", bound), message, nobody, until)


async def nobody() -> object:
    """A caller who stays."""
    return await asyncio.get_running_loop().create_future()
