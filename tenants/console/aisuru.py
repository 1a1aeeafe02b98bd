"""AIsuru: the login by which models get there, sealed in the browser, and how they stand."""

from uuid import UUID

from django import forms
from django.conf import settings
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.access.models import TokenScope
from tenants.access.pagination import page as page_of
from tenants.common import scope
from tenants.common.problems import Conflict, Problem
from tenants.console import publishing, sealing
from tenants.console.door import Page, Visit, page
from tenants.console.sealing import SealedForm
from tenants.keys.intake import Purpose
from tenants.registry import connections
from tenants.registry.models import AisuruConnection, ConnectionStatus, Publication

ROWS = 25
_WORDS = {
    ConnectionStatus.PENDING: (gettext_lazy("not used yet"), "wait"),
    ConnectionStatus.VALID: (gettext_lazy("accepted"), "good"),
    ConnectionStatus.REFUSED: (gettext_lazy("refused"), "bad"),
    ConnectionStatus.UNDECRYPTABLE: (gettext_lazy("cannot be opened"), "bad"),
}


class LoginForm(SealedForm):
    """A login at AIsuru."""

    tenant = forms.CharField(
        max_length=253,
        required=False,
        label=gettext_lazy("Tenant"),
        help_text=gettext_lazy(
            "AIsuru's name of the tenant, like www.example.com. Empty: the one in the settings."
        ),
    )


class Aisuru(Page):
    """``/organizations/<id>/aisuru``."""

    @page(TokenScope.KEYS_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Show what is known of the login, and what is there by it."""
        with scope.tenant(visit.organization.pk):
            connection = AisuruConnection.objects.first()
            rows = Publication.objects.select_related("model", "workspace")
            found = page_of(rows, limit=ROWS, cursor=visit.request.GET.get("cursor"))
        word, tone = _WORDS[ConnectionStatus(connection.status)] if connection else ("", "")
        return visit.show(
            "aisuru/one",
            connection=connection,
            word=word,
            tone=tone,
            tenant=_tenant(visit, connection),
            is_configured=settings.AISURU_API_URL is not None,
            standings=[publishing.in_words(row) for row in found.rows],
            next=found.next,
            may_write=visit.may(TokenScope.KEYS_WRITE),
        )


class Login(Page):
    """``/organizations/<id>/aisuru/login``."""

    @page(TokenScope.KEYS_WRITE)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Show the form."""
        with scope.tenant(visit.organization.pk):
            connection = AisuruConnection.objects.first()
        known = connection.tenant if connection else ""
        return _form(visit, LoginForm(initial={"tenant": known}))

    @page(TokenScope.KEYS_WRITE)
    def post(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Keep what came in sealed; what failed for want of a good login is tried again at once."""
        form = LoginForm(visit.request.POST)
        if form.is_valid():
            tenant = visit.screened(form)["tenant"]
            try:
                opened = form.opened(Purpose.AISURU_LOGIN, visit.organization.pk)
                connections.set_connection(
                    actor=visit.actor,
                    organization=visit.organization,
                    plain=opened.plain,
                    tenant=tenant,
                    envelope=opened.envelope,
                )
            except Problem as problem:
                form.refuse(problem)
            else:
                visit.tell(_("The login was stored, sealed. The next push says whether it works."))
                return visit.go("console-aisuru", organization_id=organization_id)
        return _form(visit, sealing.emptied(form), 422)


class RemoveLogin(Page):
    """``/organizations/<id>/aisuru/remove``: confirmed by naming what is left alone there."""

    @page(TokenScope.KEYS_WRITE)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Ask first."""
        return _removal(visit)

    @page(TokenScope.KEYS_WRITE)
    def post(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Shred it; with models there only if that was confirmed."""
        force = visit.request.POST.get("force") == "yes"
        try:
            connections.remove_connection(
                actor=visit.actor, organization=visit.organization, force=force
            )
        except Conflict as refusal:
            return _removal(visit, 409, refusal.detail)
        visit.tell(_("The login was removed and its secret destroyed."))
        return visit.go("console-aisuru", organization_id=organization_id)


def _tenant(visit: Visit, connection: AisuruConnection | None) -> str:
    return (connection.tenant if connection else "") or visit.organization.aisuru_tenant


def _form(visit: Visit, form: LoginForm, status: int = 200) -> HttpResponse:
    around = sealing.around(Purpose.AISURU_LOGIN, visit.organization.pk)
    return visit.show("aisuru/login", status, form=form, **around)


def _removal(visit: Visit, status: int = 200, refusal: str = "") -> HttpResponse:
    with scope.tenant(visit.organization.pk):
        rows = connections.held_by_login().select_related("model").order_by("model__name")
        models = [row.model for row in rows[:50]]
    return visit.show("aisuru/remove", status, models=models, refusal=refusal)
