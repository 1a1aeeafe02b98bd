"""Tokens of the organization, for scripts: issue, list, revoke. A token is shown once."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django import forms
from django.db.models import F
from django.db.models.functions import Lower
from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.access import services
from tenants.access.errors import not_found
from tenants.access.models import OrganizationToken, TokenScope
from tenants.common import scope
from tenants.common.problems import Problem
from tenants.console import words
from tenants.console.door import Page, Visit, page
from tenants.console.forms import Day, HouseForm, Name
from tenants.console.once import once
from tenants.console.sorting import CREATED, Column, sorted_page
from tenants.keys import expiry

ROWS = 50
_COLUMNS = CREATED | {
    "name": Column(Lower("name")),
    "expires": Column(F("expires_at"), is_nullable=True),
}


class TokenForm(HouseForm):
    """A new token."""

    name = Name(
        max_length=120,
        label=gettext_lazy("Name"),
        help_text=gettext_lazy("What uses it, like “Nightly export”."),
    )
    scopes = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple, label=gettext_lazy("What it may do")
    )
    expires_on = Day(required=False, label=gettext_lazy("Its last day"))

    def __init__(self, *args: Any, held: frozenset[str], today: date, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.today = today
        named = [
            (one.value, words.SCOPES.get(one.value, one.value)) for one in TokenScope if one in held
        ]
        self.fields["scopes"].choices = named  # type: ignore[attr-defined]

    def clean_expires_on(self) -> Any:
        """Refuse a day that is over."""
        day = self.cleaned_data["expires_on"]
        if day is not None and day < self.today:
            raise forms.ValidationError(_("This day is over."), "expired_already")
        return day


class Tokens(Page):
    """``/organizations/<id>/tokens``."""

    @page(TokenScope.TOKENS_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """List them, revoked and expired ones too."""
        with scope.tenant(visit.organization.pk):
            rows = OrganizationToken.objects.all()
            found = sorted_page(rows, _COLUMNS, visit.request.GET, limit=ROWS)
        return visit.show(
            "tokens/list",
            tokens=found.rows,
            next=found.next,
            order=found.order,
            now=timezone.now(),
            may_write=visit.may(TokenScope.TOKENS_WRITE),
        )


class NewToken(Page):
    """``/organizations/<id>/tokens/new``."""

    @page(TokenScope.TOKENS_WRITE, is_dangerous=True)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Show the form."""
        return visit.show("tokens/new", form=_form(visit))

    @page(TokenScope.TOKENS_WRITE, is_dangerous=True)
    @once("console-tokens")
    def post(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Issue it; the answer is the only page that shows it."""
        held, form = visit.principal.scopes, _form(visit, visit.request.POST)
        if form.is_valid():
            said = visit.screened(form)
            try:
                row, token = services.issue_organization_token(
                    actor=visit.actor,
                    organization=visit.organization,
                    name=said["name"],
                    scopes=said["scopes"],
                    grantable=held,
                    expires_at=_end_of(said["expires_on"], visit.organization.timezone),
                )
            except Problem as problem:
                form.refuse(problem)
            else:
                return visit.show("tokens/made", 201, row=row, token=token.reveal())
        return visit.show("tokens/new", 422, form=form)


class RevokeToken(Page):
    """``/organizations/<id>/tokens/<id>/revoke``."""

    @page(TokenScope.TOKENS_WRITE)
    def get(self, visit: Visit, organization_id: UUID, token_id: UUID) -> HttpResponse:
        """Say what stops."""
        return visit.show("tokens/revoke", row=_find(visit, token_id))

    @page(TokenScope.TOKENS_WRITE)
    def post(self, visit: Visit, organization_id: UUID, token_id: UUID) -> HttpResponse:
        """Revoke it."""
        token = _find(visit, token_id)
        services.revoke_organization_token(actor=visit.actor, token=token)
        visit.tell(_("The token was revoked and stopped at once."))
        return visit.go("console-tokens", organization_id=organization_id)


def _form(visit: Visit, *args: Any) -> TokenForm:
    today = expiry.today(visit.organization.timezone, timezone.now())
    return TokenForm(*args, held=visit.principal.scopes, today=today)


def _find(visit: Visit, token_id: UUID) -> OrganizationToken:
    with scope.tenant(visit.organization.pk):
        token = OrganizationToken.objects.filter(pk=token_id).first()
    if token is None:
        raise not_found()
    return token


def _end_of(day: Any, zone: str) -> datetime | None:
    """Give the instant at which a day is over in a zone."""
    if day is None:
        return None
    return datetime.combine(day + timedelta(days=1), time.min, ZoneInfo(zone))
