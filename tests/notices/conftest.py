"""A receiver, an endpoint that leads to it, and schedules that do not wait."""

from datetime import timedelta

import psycopg
import pytest
from django.utils import timezone

from tenants.common import scope
from tenants.notices import delivering, publishing, services
from tenants.notices.models import Delivery, WebhookEndpoint
from tenants.organizations import outbox
from tests.factories import ACTOR
from tests.notices.receiver import Receiver
from tests.postgres import owner_url


@pytest.fixture(scope="package")
def shared_receiver():
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def receiver(shared_receiver, settings):
    settings.WEBHOOK_LOOPBACK = True
    shared_receiver.forget()
    return shared_receiver


class Hook:
    """An endpoint, its secret, and what becomes of it."""

    def __init__(self, organization, url: str, **facts) -> None:
        self.organization = organization
        self.row, secret = services.create_webhook(
            actor=ACTOR, organization=organization, url=url, **facts
        )
        self.secret = secret.reveal()

    def announce(self, kind: str = "key.validated", *, publish: bool = True, **data) -> None:
        with scope.tenant(self.organization.pk):
            outbox.announce(organization_id=self.organization.pk, kind=kind, data=data)
        if publish:
            publishing.publish(self.organization.pk)

    @property
    def deliveries(self) -> list[Delivery]:
        with scope.tenant(self.organization.pk):
            rows = Delivery.objects.filter(endpoint=self.row).order_by("id")
            return list(rows.select_related("announcement"))

    @property
    def endpoint(self) -> WebhookEndpoint:
        with scope.tenant(self.organization.pk):
            return WebhookEndpoint.objects.get(pk=self.row.pk)

    def change(self, **facts) -> None:
        with scope.tenant(self.organization.pk):
            WebhookEndpoint.objects.filter(pk=self.row.pk).update(**facts)

    def hurry(self) -> None:
        """Let whatever waits be due now, and nobody hold it."""
        past = timezone.now() - timedelta(seconds=1)
        with scope.tenant(self.organization.pk):
            Delivery.objects.filter(endpoint=self.row, due_at__isnull=False).update(
                due_at=past, held_until=None
            )
            WebhookEndpoint.objects.filter(pk=self.row.pk).update(rests_until=None)

    def deliver(self) -> None:
        self.hurry()
        delivering.deliver_due()


@pytest.fixture
def hook(organization, receiver):
    return Hook(organization, receiver.url)


@pytest.fixture(scope="package")
def owner():
    with psycopg.connect(owner_url(), autocommit=True) as found:
        yield found


@pytest.fixture(autouse=True)
def _nothing_of_others(owner):
    """What earlier tests left to be told is not this one's."""
    owner.execute(
        "UPDATE organizations_announcement SET published_at = now() WHERE published_at IS NULL"
    )
    for table in ("notices_delivery", "notices_notice"):
        owner.execute(
            f"UPDATE {table} SET status = 'failed', due_at = NULL, held_until = NULL"
            " WHERE due_at IS NOT NULL"
        )
