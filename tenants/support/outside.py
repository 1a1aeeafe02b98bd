"""What an organization is told elsewhere: its webhooks, their deliveries, its models in AIsuru.

Of an endpoint only the host is shown: the rest of its address may be as good as a password. What an
endpoint answered is its owner's business.
"""

from urllib.parse import urlsplit
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from tenants.assistance.staff import Staff
from tenants.assistance.visiting import Visit, visit
from tenants.notices.models import Delivery, DeliveryStatus, WebhookEndpoint
from tenants.registry.models import Publication
from tenants.support import pages, words
from tenants.support.door import closed
from tenants.support.pages import NOTHING, Button, Section, when
from tenants.support.words import told

_MANY = 50
_FEW = 20


def outside(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """Show webhooks, the deliveries that did not arrive, and publications."""
    with visit(staff=staff, organization_id=organization_id, page="outside") as found:
        endpoints = {one.pk: one for one in WebhookEndpoint.objects.all()[:_MANY]}
        deliveries = Delivery.objects.exclude(status=DeliveryStatus.DELIVERED).defer("response")
        publications = Publication.objects.select_related("model").order_by("-pk")[:_MANY]
        sections = [
            _webhooks(endpoints),
            _deliveries(found, endpoints, list(deliveries[:_FEW])),
            _publications(found, list(publications)),
        ]
        return pages.page(request, staff, _("Webhooks and AIsuru"), sections, visit=found)


def _webhooks(endpoints: dict[UUID, WebhookEndpoint]) -> Section:
    return Section(
        _("Webhooks"),
        headers=[_("Host"), _("State"), _("Failures in a row"), _("Since")],
        rows=[
            [
                urlsplit(one.url).hostname or NOTHING,
                _("on") if one.is_enabled else _("off: %(why)s") % {"why": one.disabled_reason},
                one.failures,
                when(one.failing_since),
            ]
            for one in endpoints.values()
        ],
    )


def _deliveries(
    found: Visit, endpoints: dict[UUID, WebhookEndpoint], rows: list[Delivery]
) -> Section:
    return Section(
        _("Deliveries that have not arrived"),
        headers=[_("What"), _("Host"), _("Status"), _("Attempts"), _("Answer"), _("Next")],
        rows=[
            [
                one.kind,
                urlsplit(endpoints[one.endpoint_id].url).hostname
                if one.endpoint_id in endpoints
                else NOTHING,
                told(words.DELIVERIES, one.status),
                one.attempts,
                one.status_code or one.error or NOTHING,
                when(one.due_at),
            ]
            for one in rows
        ],
        buttons=[
            Button(
                _("Deliver %(kind)s again") % {"kind": one.kind},
                reverse("admin:delivery_replay", args=[found.organization.pk, one.pk]),
            )
            for one in rows
            if found.may("delivery:replay")
        ],
    )


def _publications(found: Visit, rows: list[Publication]) -> Section:
    return Section(
        _("Models in AIsuru"),
        headers=[_("Model"), _("Status"), _("Why"), _("Published"), _("Checked")],
        rows=[
            [
                one.model.name,
                told(words.PUBLICATIONS, one.status),
                one.failure or NOTHING,
                when(one.published_at),
                when(one.checked_at),
            ]
            for one in rows
        ],
        buttons=[
            Button(
                _("Publish %(name)s again") % {"name": one.model.name},
                reverse("admin:model_publish", args=[found.organization.pk, one.model_id]),
            )
            for one in rows
            if found.may("model:publish") and one.model.retired_at is None
        ],
    )


OUTSIDE = closed(outside)
