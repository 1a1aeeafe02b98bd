"""Webhooks: where announcements go, what was sent, and a test. A secret is shown once."""

from typing import Any
from uuid import UUID

from django import forms
from django.db.models.functions import Lower
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.access.pagination import page as page_of
from tenants.common import scope
from tenants.common.problems import Problem
from tenants.console.door import Page, Visit, page
from tenants.console.forms import HouseForm, Name
from tenants.console.sorting import CREATED, Column, sorted_page
from tenants.notices import services
from tenants.notices.kinds import KINDS, TEST
from tenants.notices.models import Delivery, DeliveryStatus, WebhookEndpoint

ROWS = 25
_COLUMNS = CREATED | {"address": Column(Lower("url"))}
_WORDS = {
    DeliveryStatus.PENDING: (gettext_lazy("on its way"), "wait"),
    DeliveryStatus.DELIVERED: (gettext_lazy("taken"), "good"),
    DeliveryStatus.FAILED: (gettext_lazy("given up"), "bad"),
}


class HookForm(HouseForm):
    """A new webhook."""

    url = forms.CharField(
        max_length=2000,
        widget=forms.URLInput,
        label=gettext_lazy("Address"),
        help_text=gettext_lazy("Where we post to, with https."),
    )
    description = Name(max_length=200, required=False, label=gettext_lazy("Description"))
    kinds = forms.MultipleChoiceField(
        required=False,
        choices=[(name, kind.meaning) for name, kind in KINDS.items() if name != TEST],
        widget=forms.CheckboxSelectMultiple,
        label=gettext_lazy("What it is told"),
        help_text=gettext_lazy("None ticked: everything, also what later versions tell."),
    )


class Hooks(Page):
    """``/organizations/<id>/webhooks``."""

    @page(TokenScope.WEBHOOKS_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """List them."""
        with scope.tenant(visit.organization.pk):
            rows = WebhookEndpoint.objects.all()
            found = sorted_page(rows, _COLUMNS, visit.request.GET, limit=ROWS)
        return visit.show(
            "hooks/list",
            hooks=found.rows,
            next=found.next,
            order=found.order,
            may_write=visit.may(TokenScope.WEBHOOKS_WRITE),
        )


class NewHook(Page):
    """``/organizations/<id>/webhooks/new``."""

    @page(TokenScope.WEBHOOKS_WRITE, is_dangerous=True)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Show the form."""
        return visit.show("hooks/new", form=HookForm())

    @page(TokenScope.WEBHOOKS_WRITE, is_dangerous=True)
    def post(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Make it; the answer is the only page that shows its secret."""
        form = HookForm(visit.request.POST)
        if form.is_valid():
            try:
                row, secret = services.create_webhook(
                    actor=visit.actor, organization=visit.organization, **visit.screened(form)
                )
            except Problem as problem:
                form.refuse(problem)
            else:
                return visit.show("hooks/made", 201, hook=row, secret=secret.reveal())
        return visit.show("hooks/new", 422, form=form)


class OneHook(Page):
    """``/organizations/<id>/webhooks/<id>``."""

    @page(TokenScope.WEBHOOKS_READ)
    def get(self, visit: Visit, organization_id: UUID, webhook_id: UUID) -> HttpResponse:
        """Show one, and what was sent to it lately."""
        hook = _find(visit, webhook_id)
        with scope.tenant(visit.organization.pk):
            rows = Delivery.objects.filter(endpoint=hook).defer("log", "response")
            found = page_of(rows, limit=ROWS, cursor=visit.request.GET.get("cursor"))
        deliveries: list[Any] = [(one, *_WORDS[DeliveryStatus(one.status)]) for one in found.rows]
        return visit.show(
            "hooks/one",
            hook=hook,
            deliveries=deliveries,
            is_waiting=any(one.status == DeliveryStatus.PENDING for one in found.rows),
            next=found.next,
            may_write=visit.may(TokenScope.WEBHOOKS_WRITE),
        )

    @page(TokenScope.WEBHOOKS_WRITE)
    def post(self, visit: Visit, organization_id: UUID, webhook_id: UUID) -> HttpResponse:
        """Send a test."""
        services.send_test(actor=visit.actor, endpoint=_find(visit, webhook_id))
        visit.tell(_("A test is on its way. What was answered shows here within seconds."))
        return visit.go("console-hook", organization_id=organization_id, webhook_id=webhook_id)


class DeleteHook(Page):
    """``/organizations/<id>/webhooks/<id>/delete``."""

    @page(TokenScope.WEBHOOKS_WRITE)
    def get(self, visit: Visit, organization_id: UUID, webhook_id: UUID) -> HttpResponse:
        """Ask first."""
        return visit.show("hooks/delete", hook=_find(visit, webhook_id))

    @page(TokenScope.WEBHOOKS_WRITE)
    def post(self, visit: Visit, organization_id: UUID, webhook_id: UUID) -> HttpResponse:
        """Delete it, with what waits for it."""
        services.delete_webhook(actor=visit.actor, endpoint=_find(visit, webhook_id))
        visit.tell(_("The webhook was deleted."))
        return visit.go("console-hooks", organization_id=organization_id)


def _find(visit: Visit, webhook_id: UUID) -> WebhookEndpoint:
    with scope.tenant(visit.organization.pk):
        found = WebhookEndpoint.objects.filter(pk=webhook_id).first()
    if found is None:
        raise not_found()
    return found
