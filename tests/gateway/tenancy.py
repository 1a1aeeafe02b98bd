"""A tenant of the gateway, made through the services, and its side of the ledger."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx

from tenants.common import scope
from tenants.keys.models import MistralKey
from tenants.organizations.models import Organization, Workspace
from tenants.registry.models import RegisteredModel
from tenants.spend import services as spend
from tenants.spend.models import Balance, Hold, UsageEvent
from tests import factories
from tests.factories import ACTOR
from tests.keys.keyring import checked, registered
from tests.registry.steps import create

SMALL = "mistral-small-latest"


@dataclass(frozen=True)
class Tenant:
    """Alice's organization with one key and one model."""

    organization: Organization
    workspace: Workspace
    key: MistralKey
    plain: str
    model: RegisteredModel
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What a caller sends."""
        return {"authorization": f"Bearer {self.token}"}

    def limit(self, amount: str, subject: Any = None) -> None:
        """Set what the organization, or another subject, may spend."""
        spend.set_limit(
            actor=ACTOR,
            organization=self.organization,
            subject=subject or self.organization,
            monthly_spend=Decimal(amount),
        )

    def is_impatient(self, seconds: int = 2) -> None:
        """Give Mistral so many seconds to answer; a call waits for its turn for half of them."""
        with scope.tenant(self.organization.id):
            RegisteredModel.objects.filter(pk=self.model.pk).update(timeout=seconds)

    def events(self) -> list[UsageEvent]:
        """What the ledger says, oldest first."""
        with scope.tenant(self.organization.id):
            return list(UsageEvent.objects.order_by("occurred_at", "id"))

    def holds(self) -> list[Hold]:
        """Calls that the ledger takes to be going on."""
        with scope.tenant(self.organization.id):
            return list(Hold.objects.all())

    def balance(self) -> Balance:
        """This month's balance of the organization."""
        with scope.tenant(self.organization.id):
            return Balance.objects.get(subject_kind="organization")

    def settled(self, count: int = 1, seconds: float = 10) -> list[UsageEvent]:
        """Wait until so many events are posted and nothing is held."""
        eventually(lambda: len(self.events()) >= count and not self.holds(), seconds)
        return self.events()


def make(
    made_up: Callable[..., str],
    *,
    mistral: dict[str, Any] | None = None,
    currency: str = "EUR",
    **facts,
) -> Tenant:
    """Make a tenant whose key is valid; ``mistral`` describes the key to the simulator."""
    organization = factories.organization(currency=currency)
    workspace = factories.default_workspace(organization)
    plain = made_up(**(mistral or {}))
    key = checked(registered(workspace, plain))
    assert key.status == "valid", key.status
    facts = {"organization": organization, "mistral_model": SMALL} | facts
    model, token = create(workspace, **facts)
    return Tenant(organization, workspace, key, plain, model, token.reveal())


def eventually(happens: Callable[[], object], seconds: float = 10) -> None:
    """Wait for something, for a bounded time."""
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def question(text: str = "Say hello", **more: Any) -> dict[str, Any]:
    """A chat request without a model."""
    return {"messages": [{"role": "user", "content": text}], **more}


def ask(url: str, tenant: Tenant, **more: Any) -> httpx.Response:
    """Ask the gateway a question, not as a stream."""
    return httpx.post(
        f"{url}/v1/chat/completions",
        json=question(**more),
        headers=tenant.headers,
        trust_env=False,
        timeout=30,
    )


def post(url: str, tenant: Tenant, path: str, body: Any, **headers: str) -> httpx.Response:
    """Post JSON to an endpoint of the gateway."""
    return httpx.post(
        f"{url}{path}",
        json=body,
        headers=tenant.headers | headers,
        trust_env=False,
        timeout=30,
    )
