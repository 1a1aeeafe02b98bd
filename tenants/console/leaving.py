"""Taking everything of an organization away, and erasing it: confirmed by saying what goes."""

from uuid import UUID

from django import forms
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy

from tenants.access import erasure, exporting, services, streaming, throttling
from tenants.access.models import OrganizationToken, TokenScope
from tenants.common import scope
from tenants.common.problems import Problem
from tenants.console.door import Page, Visit, page
from tenants.console.forms import HouseForm
from tenants.keys.models import MistralKey
from tenants.organizations.models import Member, Organization
from tenants.registry.models import RegisteredModel

_NDJSON = "application/x-ndjson"


class EraseForm(HouseForm):
    """The name of what is to be erased, typed by whoever wants it."""

    confirm = forms.CharField(
        max_length=60,
        label=gettext_lazy("Type the short name above"),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class Export(Page):
    """``/organizations/<id>/export``."""

    @page(TokenScope.ORGANIZATIONS_EXPORT)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Say what is in it."""
        return visit.show("leaving/export")

    @page(TokenScope.ORGANIZATIONS_EXPORT, is_dangerous=True)
    def post(self, visit: Visit, organization_id: UUID) -> HttpResponseBase:
        """Stream it, as long as it takes; it is written down that it was taken."""
        throttling.count(visit.principal, strictly="export").require()
        organization = visit.find(Organization, organization_id)
        services.note_export(actor=visit.actor, organization=organization)
        return streaming.response(
            visit.request,
            exporting.lines(organization.pk),
            media_type=_NDJSON,
            file_name=f"{organization.slug}.ndjson",
        )


class Erase(Page):
    """``/organizations/<id>/erase``."""

    @page(TokenScope.ORGANIZATIONS_WRITE, is_dangerous=True)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Say what goes and what stays."""
        return _asked(visit, EraseForm())

    @page(TokenScope.ORGANIZATIONS_WRITE, is_dangerous=True)
    def post(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Erase it; the answer is the only page that shows the certificate."""
        form = EraseForm(visit.request.POST)
        if not form.is_valid():
            return _asked(visit, form, 422)
        try:
            certificate = erasure.erase_organization(
                actor=visit.actor,
                organization=visit.find(Organization, organization_id),
                confirm=form.cleaned_data["confirm"],
            )
        except Problem as problem:
            form.refuse(problem)
            return _asked(visit, form, problem.status)
        return visit.show("leaving/erased", certificate=certificate, name=visit.organization.name)


def _asked(visit: Visit, form: EraseForm, status: int = 200) -> HttpResponse:
    with scope.tenant(visit.organization.pk):
        goes = {
            "keys": MistralKey.objects.filter(revoked_at=None).count(),
            "models": RegisteredModel.objects.filter(retired_at=None).count(),
            "tokens": OrganizationToken.objects.filter(revoked_at=None).count(),
            "members": Member.objects.count(),
        }
    return visit.show("leaving/erase", status, form=form, goes=goes)
