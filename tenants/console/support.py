"""Letting the support staff in: for how long, how deep; who came, and why."""

from uuid import UUID

from django import forms
from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.assistance import services
from tenants.assistance.models import SupportGrant, SupportSession
from tenants.common import scope
from tenants.common.problems import Problem
from tenants.console.door import Page, Visit, page
from tenants.console.forms import HouseForm, Name
from tenants.console.undoing import undo
from tenants.organizations.models import Organization

ROWS = 50
_HOURS = (
    ("1", gettext_lazy("One hour")),
    ("4", gettext_lazy("Four hours")),
    ("24", gettext_lazy("A day")),
    ("168", gettext_lazy("A week")),
)


class GrantForm(HouseForm):
    """How the support staff is let in."""

    hours = forms.TypedChoiceField(
        choices=_HOURS, coerce=int, initial="4", label=gettext_lazy("For how long")
    )
    reason = Name(
        max_length=500,
        required=False,
        label=gettext_lazy("What it is about"),
        help_text=gettext_lazy("Like the number of your ticket. Never a key or a password."),
    )
    allows_changes = forms.BooleanField(
        required=False,
        label=gettext_lazy("Let them change things too, not only look"),
        help_text=gettext_lazy("Secrets are never shown to them."),
    )


class Support(Page):
    """``/organizations/<id>/support``."""

    @page(TokenScope.AUDIT_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Show who was let in, and who came."""
        return _shown(visit, GrantForm())

    @page(TokenScope.ORGANIZATIONS_WRITE, is_dangerous=True)
    def post(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Let them in; each page that they open is in the audit log."""
        form = GrantForm(visit.request.POST)
        if form.is_valid():
            try:
                grant = services.grant_access(
                    actor=visit.actor,
                    organization=visit.find(Organization, organization_id),
                    **visit.screened(form),
                )
            except Problem as problem:
                form.refuse(problem)
            else:
                address = reverse(
                    "console-withdraw-support",
                    kwargs={"organization_id": organization_id, "grant_id": grant.pk},
                )
                told = _("The support staff may come in. You can send them away any time.")
                visit.tell(told, undo(address, [("from", visit.request.path)]))
                return visit.go("console-support", organization_id=organization_id)
        return _shown(visit, form, 422)


class Withdraw(Page):
    """``/organizations/<id>/support/<id>/withdraw``."""

    @page(TokenScope.ORGANIZATIONS_WRITE)
    def post(self, visit: Visit, organization_id: UUID, grant_id: UUID) -> HttpResponse:
        """Send them away: sessions that the grant let in end at once."""
        with scope.tenant(visit.organization.pk):
            grant = SupportGrant.objects.filter(pk=grant_id).first()
        if grant is None:
            raise not_found()
        services.withdraw_access(actor=visit.actor, grant=grant)
        visit.tell(_("The support staff was sent away."))
        return visit.go("console-support", organization_id=organization_id)


def _shown(visit: Visit, form: GrantForm, status: int = 200) -> HttpResponse:
    now = timezone.now()
    with scope.tenant(visit.organization.pk):
        grants = list(SupportGrant.objects.all()[:ROWS])
        sessions = list(SupportSession.objects.all()[:ROWS])
    return visit.show(
        "support",
        status,
        form=form,
        grants=[(one, one.is_open(now)) for one in grants],
        sessions=[(one, one.ended_at or min(one.ends_at, now)) for one in sessions],
        now=now,
        may_write=visit.may(TokenScope.ORGANIZATIONS_WRITE),
    )
