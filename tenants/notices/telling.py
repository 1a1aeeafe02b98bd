"""What a letter is written from: an announcement, its surroundings, and how figures are said."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import NoReverseMatch, reverse
from django.utils.formats import number_format
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from tenants.common.days import say_day, say_instant
from tenants.common.months import Month
from tenants.organizations.models import Announcement, Organization, Workspace

_SIGNS = {"EUR": "€", "USD": "US$"}
_NBSP = "\u00a0"


@dataclass(frozen=True, slots=True)
class Told:
    """An announcement that a letter is written about, in its tenant's scope.

    Attributes:
        announcement: what happened.
        organization: where.
        workspace: the name of the workspace concerned; empty for the whole organization.
        is_owner: the reader is whom the organization was made for; nobody is a member yet.
    """

    announcement: Announcement
    organization: Organization
    workspace: str
    is_owner: bool = False

    @classmethod
    def about(cls, announcement: Announcement, organization: Organization) -> "Told":
        """Look up what surrounds it, inside the organization's scope."""
        workspace_id = announcement.workspace_id
        workspace = Workspace.objects.filter(pk=workspace_id).first() if workspace_id else None
        return cls(announcement, organization, workspace.name if workspace else "")

    @property
    def data(self) -> dict[str, Any]:
        """What was announced."""
        facts: dict[str, Any] = self.announcement.data
        return facts

    @property
    def where(self) -> str:
        """The workspace, or else the organization."""
        return self.workspace or self.organization.name

    def id(self, name: str) -> UUID:
        """Read an id."""
        return UUID(self.data[name])

    def day(self, name: str) -> str:
        """Say a day, as in 26 November 2026; empty where there is none."""
        value = self.data.get(name)
        return say_day(date.fromisoformat(value)) if value else ""

    def instant(self, name: str) -> str:
        """Say an instant in the organization's zone, and the zone."""
        return say_instant(datetime.fromisoformat(self.data[name]), self.organization.timezone)

    def month(self) -> str:
        """Say the month that it is about, as in November 2026."""
        month = Month.parse(self.data["month"], self.organization.timezone)
        return say_day(month.first_day, "F Y")

    def money(self, name: str) -> str:
        """Say an amount with its currency."""
        return amount(self.data[name], self.data.get("currency", self.organization.currency))

    def facts(self, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
        """List what it is about, and where; what is empty is left out."""
        all_facts = (
            *more,
            (_("Workspace"), self.workspace),
            (_("Organization"), self.organization.name),
        )
        return tuple((name, value) for name, value in all_facts if value)

    def small(self) -> tuple[str, ...]:
        """Say why one gets it."""
        facts = {"organization": self.organization.name}
        if self.is_owner:
            detail = _(
                "You get this message because %(organization)s was set up with your address and"
                " has no members yet. Accept the invitation to choose who is told."
            )
            return (detail % facts,)
        return (_("You get this message because of your role in %(organization)s.") % facts,)


def amount(value: str, currency: str) -> str:
    """Say an amount of money: cents, and more places where it has them."""
    exact = Decimal(value).normalize()
    places = max(2, -int(exact.as_tuple().exponent))
    number = number_format(exact, places, use_l10n=True, force_grouping=True)
    sign = _SIGNS.get(currency, currency)
    return f"{number}{_NBSP}{sign}" if get_language() == "it" else f"{sign}{number}"


def count(number: int) -> str:
    """Say a number, grouped as the language does."""
    return number_format(number, use_l10n=True, force_grouping=True)


def page(name: str, **ids: UUID | str) -> str:
    """Write the address of a page of the console; of its first one where there is no such page."""
    try:
        return settings.PUBLIC_URL + reverse(name, kwargs=ids)
    except NoReverseMatch:
        return f"{settings.PUBLIC_URL}/"
