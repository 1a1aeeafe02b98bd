"""Webhooks: where announcements go, whether they do, and with which secret. It is shown once."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.db.models.functions import Lower
from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.access.pagination import page as page_of
from tenants.common import scope
from tenants.common.problems import Problem
from tenants.console import deliveries
from tenants.console.door import Page, Visit, page
from tenants.console.forms import ChangeForm, HouseForm, Name
from tenants.console.once import once
from tenants.console.sorting import CREATED, Column, sorted_page
from tenants.console.undoing import undo
from tenants.notices import services
from tenants.notices.kinds import KINDS, TEST
from tenants.notices.models import Delivery, DeliveryStatus, WebhookEndpoint

ROWS = 25
_COLUMNS = CREATED | {"address": Column(Lower("url"))}
#: What is due later than this is not waited for on the page.
_SOON = timedelta(minutes=1)
_GRACES = (
    ("0", gettext_lazy("At once: the secret before signs nothing any more")),
    ("3600", gettext_lazy("In an hour")),
    ("86400", gettext_lazy("In a day")),
    ("604800", gettext_lazy("In a week")),
)


class HookForm(HouseForm):
    """What a webhook is made of."""

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


class HookChange(ChangeForm, HookForm):
    """What may change of a webhook."""


class SecretForm(HouseForm):
    """How to give a webhook another secret."""

    grace_seconds = forms.TypedChoiceField(
        choices=_GRACES,
        coerce=int,
        widget=forms.RadioSelect,
        label=gettext_lazy("When the present secret stops signing"),
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
        return visit.show("hooks/form", form=HookForm())

    @page(TokenScope.WEBHOOKS_WRITE, is_dangerous=True)
    @once("console-hooks")
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
        return visit.show("hooks/form", 422, form=form)


class OneHook(Page):
    """``/organizations/<id>/webhooks/<id>``."""

    @page(TokenScope.WEBHOOKS_READ)
    def get(self, visit: Visit, organization_id: UUID, webhook_id: UUID) -> HttpResponse:
        """Show one, and what was sent to it lately."""
        hook = find(visit, webhook_id)
        with scope.tenant(visit.organization.pk):
            rows = Delivery.objects.filter(endpoint=hook).defer("log", "response")
            found = page_of(rows, limit=ROWS, cursor=visit.request.GET.get("cursor"))
        soon = timezone.now() + _SOON
        return visit.show(
            "hooks/one",
            hook=hook,
            meanings=[KINDS[name].meaning if name in KINDS else name for name in hook.kinds],
            deliveries=[(one, *deliveries.in_words(one, hook)) for one in found.rows],
            is_waiting=hook.is_enabled
            and any(one.due_at is not None and one.due_at < soon for one in found.rows),
            next=found.next,
            may_write=visit.may(TokenScope.WEBHOOKS_WRITE),
        )

    @page(TokenScope.WEBHOOKS_WRITE)
    def post(self, visit: Visit, organization_id: UUID, webhook_id: UUID) -> HttpResponse:
        """Send a test."""
        services.send_test(actor=visit.actor, endpoint=find(visit, webhook_id))
        visit.tell(_("A test is on its way. What was answered shows here within seconds."))
        return visit.go("console-hook", organization_id=organization_id, webhook_id=webhook_id)


class EditHook(Page):
    """``/organizations/<id>/webhooks/<id>/edit``: address, description, what it is told."""

    @page(TokenScope.WEBHOOKS_WRITE, is_dangerous=True)
    def get(self, visit: Visit, organization_id: UUID, webhook_id: UUID) -> HttpResponse:
        """Show the form."""
        hook = find(visit, webhook_id)
        return visit.show("hooks/form", hook=hook, form=HookChange(now=_facts(hook)))

    @page(TokenScope.WEBHOOKS_WRITE, is_dangerous=True)
    def post(self, visit: Visit, organization_id: UUID, webhook_id: UUID) -> HttpResponse:
        """Change it; what waits goes to the new address at once."""
        hook = find(visit, webhook_id)
        form = HookChange(visit.request.POST, now=_facts(hook))
        if form.is_valid():
            try:
                services.update_webhook(
                    actor=visit.actor, endpoint=hook, changes=visit.screened(form)
                )
            except Problem as problem:
                form.refuse(problem)
            else:
                now = HookChange(now=_facts(find(visit, webhook_id)))
                visit.tell(_("The webhook was changed."), form.way_back(visit.request.path, now))
                return visit.go(
                    "console-hook", organization_id=organization_id, webhook_id=webhook_id
                )
        return visit.show("hooks/form", form.refused, hook=hook, form=form)


class SwitchHook(Page):
    """``/organizations/<id>/webhooks/<id>/switch``: off, or on again."""

    @page(TokenScope.WEBHOOKS_WRITE, is_dangerous=True)
    def get(self, visit: Visit, organization_id: UUID, webhook_id: UUID) -> HttpResponse:
        """Say what follows."""
        hook = find(visit, webhook_id)
        with scope.tenant(visit.organization.pk):
            rows = Delivery.objects.filter(endpoint=hook, status=DeliveryStatus.PENDING)
            waiting = rows.count()
        return visit.show("hooks/switch", hook=hook, waiting=waiting)

    @page(TokenScope.WEBHOOKS_WRITE, is_dangerous=True)
    def post(self, visit: Visit, organization_id: UUID, webhook_id: UUID) -> HttpResponse:
        """Do what the button said; done already is done."""
        is_on = visit.request.POST.get("to") == "on"
        hook = find(visit, webhook_id)
        way = undo(visit.request.path, [("to", "on" if hook.is_enabled else "off")])
        if hook.is_enabled == is_on:
            way = None
        services.update_webhook(actor=visit.actor, endpoint=hook, changes={"is_enabled": is_on})
        told = _("The webhook was switched on; what waited is being sent.")
        visit.tell(told if is_on else _("The webhook was switched off."), way)
        return visit.go("console-hook", organization_id=organization_id, webhook_id=webhook_id)


class NewSecret(Page):
    """``/organizations/<id>/webhooks/<id>/secret``."""

    @page(TokenScope.WEBHOOKS_WRITE, is_dangerous=True)
    def get(self, visit: Visit, organization_id: UUID, webhook_id: UUID) -> HttpResponse:
        """Ask when the present one stops."""
        form = SecretForm(initial={"grace_seconds": str(services.GRACE_SECONDS)})
        return visit.show("hooks/secret", hook=find(visit, webhook_id), form=form)

    @page(TokenScope.WEBHOOKS_WRITE, is_dangerous=True)
    @once("console-hook")
    def post(self, visit: Visit, organization_id: UUID, webhook_id: UUID) -> HttpResponse:
        """Make another; the answer is the only page that shows it."""
        hook = find(visit, webhook_id)
        form = SecretForm(visit.request.POST)
        if form.is_valid():
            try:
                secret = services.rotate_secret(
                    actor=visit.actor, endpoint=hook, **form.cleaned_data
                )
            except Problem as problem:
                form.refuse(problem)
            else:
                return visit.show("hooks/made", hook=hook, secret=secret.reveal())
        return visit.show("hooks/secret", 422, hook=hook, form=form)


class DeleteHook(Page):
    """``/organizations/<id>/webhooks/<id>/delete``."""

    @page(TokenScope.WEBHOOKS_WRITE)
    def get(self, visit: Visit, organization_id: UUID, webhook_id: UUID) -> HttpResponse:
        """Ask first."""
        return visit.show("hooks/delete", hook=find(visit, webhook_id))

    @page(TokenScope.WEBHOOKS_WRITE)
    def post(self, visit: Visit, organization_id: UUID, webhook_id: UUID) -> HttpResponse:
        """Delete it, with what waits for it."""
        services.delete_webhook(actor=visit.actor, endpoint=find(visit, webhook_id))
        visit.tell(_("The webhook was deleted."))
        return visit.go("console-hooks", organization_id=organization_id)


def _facts(hook: WebhookEndpoint) -> dict[str, Any]:
    return {"url": hook.url, "description": hook.description, "kinds": hook.kinds}


def find(visit: Visit, webhook_id: UUID) -> WebhookEndpoint:
    """Read a webhook of the organization where the page is.

    Raises:
        NotFound: there is none.
    """
    with scope.tenant(visit.organization.pk):
        found = WebhookEndpoint.objects.filter(pk=webhook_id).first()
    if found is None:
        raise not_found()
    return found
