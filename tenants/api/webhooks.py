"""Webhooks over HTTP: where announcements are posted to. A secret is shown once, when made."""

from typing import Any
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse
from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.access.pagination import page
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, PageQuery, Reply, endpoint, page_of
from tenants.common import scope
from tenants.notices import messages, services
from tenants.notices.kinds import KINDS, TEST
from tenants.notices.models import (
    Delivery,
    DeliveryStatus,
    DisabledReason,
    WebhookEndpoint,
    WebhookSecret,
)
from tenants.notices.targets import LONGEST_URL
from tenants.organizations.models import Organization

_KINDS = tuple(name for name in KINDS if name != TEST)


class WebhookIn(In):
    """A webhook."""

    url = fields.Text(max_length=LONGEST_URL, help_text="A public https address.")
    kinds = fields.Several(
        child=fields.Text(max_length=64),
        max_length=len(KINDS),
        required=False,
        help_text=f"Empty, or left out: everything. Among: {', '.join(_KINDS)}.",
    )
    description = fields.Text(max_length=200, required=False, allow_blank=True)
    enabled = fields.Flag(required=False, source="is_enabled")


class SecretRotationIn(In):
    """How a webhook's secret is replaced."""

    grace_seconds = fields.Whole(
        min_value=0,
        required=False,
        help_text="For so long the secret before signs too; a day without it, 30 days at most.",
    )


class DeliveriesQuery(PageQuery):
    """Which deliveries."""

    status = fields.OneOf(choices=DeliveryStatus.choices, required=False)


class WebhookOut(Out):
    """A webhook, without its secret."""

    id = serializers.UUIDField()
    url = serializers.CharField()
    kinds = serializers.ListField(
        child=serializers.CharField(), help_text="Empty: everything, kinds of later versions too."
    )
    description = serializers.CharField()
    enabled = serializers.BooleanField(source="is_enabled")
    disabled_reason = serializers.ChoiceField(
        choices=DisabledReason.choices, allow_blank=True, help_text="Empty while it is enabled."
    )
    failing_since = serializers.DateTimeField(
        allow_null=True, help_text="Since when it has taken nothing; null if it took the last one."
    )
    secrets_in_force = serializers.SerializerMethodField(
        help_text="How many secrets sign: more than one in the grace after a rotation."
    )
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()

    def get_secrets_in_force(self, row: WebhookEndpoint) -> int:
        """Count them as they were read along."""
        in_force: int = getattr(row, "in_force", 1)
        return in_force


class WebhookWithSecretOut(WebhookOut):
    """A webhook whose secret was just made."""

    secret = serializers.CharField(help_text="Shown only here; `whsec_` and base64.")


class DeliveryOut(Out):
    """An event on its way to a webhook."""

    id = serializers.UUIDField()
    webhook_id = serializers.UUIDField(source="endpoint_id")
    message_id = serializers.SerializerMethodField(
        help_text="The header `webhook-id`: the same in every attempt."
    )
    kind = serializers.CharField()
    status = serializers.ChoiceField(choices=DeliveryStatus.choices)
    attempts = serializers.IntegerField(help_text="Since it was made, or replayed.")
    next_attempt_at = serializers.DateTimeField(source="due_at", allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)
    status_code = serializers.IntegerField(
        allow_null=True, help_text="What the last attempt was answered; null for no answer."
    )
    error = serializers.CharField(help_text="Why the last attempt had no answer; else empty.")
    created_at = serializers.DateTimeField()

    def get_message_id(self, row: Delivery) -> str:
        """Write it as receivers see it."""
        return messages.id_of(row.announcement_id)


class AttemptOut(Out):
    """One attempt to deliver."""

    at = serializers.DateTimeField()
    status_code = serializers.IntegerField(allow_null=True)
    error = serializers.CharField()
    milliseconds = serializers.IntegerField()


class DeliveryDetailOut(DeliveryOut):
    """An event on its way to a webhook, with what was sent and answered."""

    log = AttemptOut(many=True, help_text="The latest attempts, oldest first.")
    response = serializers.CharField(
        help_text="The beginning of what the last attempt was answered; secrets are masked."
    )
    body = serializers.SerializerMethodField(help_text="What is sent, to the letter.")

    def get_body(self, row: Delivery) -> str:
        """Write it as it is signed."""
        return messages.body_of(row.announcement)


class Webhooks(ApiView):
    """``/organizations/{organization_id}/webhooks``."""

    @endpoint(
        "list_webhooks",
        TokenScope.WEBHOOKS_READ,
        summary="List webhooks",
        query=PageQuery,
        gives={200: page_of(WebhookOut)},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """Those that are switched off, too."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            found = page(WebhookEndpoint.objects.all(), **call.page)
            _count_secrets(*found.rows)
        return Reply(found)

    @endpoint(
        "create_webhook",
        TokenScope.WEBHOOKS_WRITE,
        summary="Create a webhook",
        takes=WebhookIn,
        gives={201: WebhookWithSecretOut},
        refuses=(409, 503),
        example={
            "url": "https://example.com/webhooks/mistral",
            "kinds": ["key.invalid", "key.expiring", "spend.limit_reached"],
        },
        is_dangerous=True,
    )
    def post(self, call: Call, organization_id: UUID) -> Reply:
        """Events are signed by Standard Webhooks; what happens from now on is sent."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        row, secret = services.create_webhook(
            actor=call.actor, organization=organization, **call.data
        )
        shown: Any = row
        shown.secret = secret.reveal()
        return Reply(shown, 201, _address(row))


class OneWebhook(ApiView):
    """``/organizations/{organization_id}/webhooks/{webhook_id}``."""

    @endpoint(
        "get_webhook",
        TokenScope.WEBHOOKS_READ,
        summary="Read a webhook",
        gives={200: WebhookOut},
    )
    def get(self, call: Call, organization_id: UUID, webhook_id: UUID) -> Reply:
        """Without its secret, which is never shown again."""
        return Reply(_find(call, organization_id, webhook_id))

    @endpoint(
        "update_webhook",
        TokenScope.WEBHOOKS_WRITE,
        summary="Change a webhook",
        takes=WebhookIn,
        gives={200: WebhookOut},
        example={"enabled": True},
        is_dangerous=True,
    )
    def patch(self, call: Call, organization_id: UUID, webhook_id: UUID) -> Reply:
        """What is waiting goes out at once when it is enabled or moved to another address."""
        row = _find(call, organization_id, webhook_id)
        services.update_webhook(actor=call.actor, endpoint=row, changes=call.data)
        return Reply(_find(call, organization_id, webhook_id))

    @endpoint(
        "delete_webhook",
        TokenScope.WEBHOOKS_WRITE,
        summary="Delete a webhook",
        gives={204: None},
    )
    def delete(self, call: Call, organization_id: UUID, webhook_id: UUID) -> Reply:
        """Its deliveries go with it."""
        row = _find(call, organization_id, webhook_id)
        services.delete_webhook(actor=call.actor, endpoint=row)
        return Reply(None, 204)


class RotateWebhookSecret(ApiView):
    """``/organizations/{organization_id}/webhooks/{webhook_id}/secret``."""

    @endpoint(
        "rotate_webhook_secret",
        TokenScope.WEBHOOKS_WRITE,
        summary="Replace a webhook's secret",
        takes=SecretRotationIn,
        gives={200: WebhookWithSecretOut},
        refuses=(503,),
        example={"grace_seconds": 86_400},
        is_dangerous=True,
        is_action=True,
    )
    def post(self, call: Call, organization_id: UUID, webhook_id: UUID) -> Reply:
        """Until the grace is over both sign, so that receivers can change over in their time."""
        row = _find(call, organization_id, webhook_id)
        secret = services.rotate_secret(actor=call.actor, endpoint=row, **call.data)
        shown: Any = _find(call, organization_id, webhook_id)
        shown.secret = secret.reveal()
        return Reply(shown)


class TestWebhook(ApiView):
    """``/organizations/{organization_id}/webhooks/{webhook_id}/test``."""

    @endpoint(
        "test_webhook",
        TokenScope.WEBHOOKS_WRITE,
        summary="Send a test event",
        gives={202: DeliveryOut},
        refuses=(409,),
        is_action=True,
    )
    def post(self, call: Call, organization_id: UUID, webhook_id: UUID) -> Reply:
        """A `webhook.test`, tried once; its delivery says what the endpoint answered."""
        row = _find(call, organization_id, webhook_id)
        delivery = services.send_test(actor=call.actor, endpoint=row)
        return Reply(delivery, 202, _delivery_address(delivery))


class Deliveries(ApiView):
    """``/organizations/{organization_id}/webhooks/{webhook_id}/deliveries``."""

    @endpoint(
        "list_deliveries",
        TokenScope.WEBHOOKS_READ,
        summary="List what was sent to a webhook",
        query=DeliveriesQuery,
        gives={200: page_of(DeliveryOut)},
    )
    def get(self, call: Call, organization_id: UUID, webhook_id: UUID) -> Reply:
        """Those of the last 30 days."""
        row = _find(call, organization_id, webhook_id)
        rows = Delivery.objects.filter(organization=row.organization_id, endpoint=row)
        if status := call.query.get("status"):
            rows = rows.filter(status=status)
        with scope.tenant(row.organization_id):
            return Reply(page(rows.defer("log", "response"), **call.page))


class OneDelivery(ApiView):
    """``/organizations/{organization_id}/webhooks/{webhook_id}/deliveries/{delivery_id}``."""

    @endpoint(
        "get_delivery",
        TokenScope.WEBHOOKS_READ,
        summary="Read a delivery",
        gives={200: DeliveryDetailOut},
    )
    def get(self, call: Call, organization_id: UUID, webhook_id: UUID, delivery_id: UUID) -> Reply:
        """With what is sent, its attempts, and what the last one was answered."""
        return Reply(_find_delivery(call, organization_id, webhook_id, delivery_id))


class ReplayDelivery(ApiView):
    """``/organizations/{organization_id}/webhooks/{webhook_id}/deliveries/{delivery_id}/replay``."""

    @endpoint(
        "replay_delivery",
        TokenScope.WEBHOOKS_WRITE,
        summary="Send a delivery once more",
        gives={202: DeliveryOut},
        refuses=(409,),
    )
    def post(self, call: Call, organization_id: UUID, webhook_id: UUID, delivery_id: UUID) -> Reply:
        """With the `webhook-id` it had, whatever became of it; it is retried like a new one."""
        row = _find_delivery(call, organization_id, webhook_id, delivery_id)
        row = services.replay(actor=call.actor, delivery=row)
        return Reply(row, 202, _delivery_address(row))


def _find(call: Call, organization_id: UUID, webhook_id: UUID) -> WebhookEndpoint:
    organization = tenancy.find(call.principal, Organization, organization_id)
    with scope.tenant(organization.pk):
        row = WebhookEndpoint.objects.filter(pk=webhook_id).first()
        if row is not None:
            _count_secrets(row)
    if row is None:
        raise not_found()
    return row


def _find_delivery(
    call: Call, organization_id: UUID, webhook_id: UUID, delivery_id: UUID
) -> Delivery:
    endpoint_row = _find(call, organization_id, webhook_id)
    with scope.tenant(endpoint_row.organization_id):
        rows = Delivery.objects.select_related("announcement")
        row = rows.filter(pk=delivery_id, endpoint=endpoint_row).first()
    if row is None:
        raise not_found()
    return row


def _count_secrets(*rows: WebhookEndpoint) -> None:
    """Put beside each how many secrets sign, in one query."""
    in_force = WebhookSecret.objects.filter(Q(ends_at=None) | Q(ends_at__gt=Now()))
    signing = list(
        in_force.filter(endpoint__in=rows).values_list("endpoint_id", flat=True).order_by()
    )
    for row in rows:
        shown: Any = row
        shown.in_force = signing.count(row.pk)


def _address(row: WebhookEndpoint) -> str:
    ids = {"organization_id": row.organization_id, "webhook_id": row.pk}
    return reverse("webhook", kwargs=ids)


def _delivery_address(row: Delivery) -> str:
    ids = {
        "organization_id": row.organization_id,
        "webhook_id": row.endpoint_id,
        "delivery_id": row.pk,
    }
    return reverse("webhook_delivery", kwargs=ids)
