"""Verbs on lost second factors of members, and what the page of people shows of them."""

from collections.abc import Sequence
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.assistance import resets
from tenants.assistance.models import FactorReset, ResetStatus
from tenants.assistance.staff import Staff
from tenants.assistance.visiting import Visit, authorise
from tenants.organizations.models import Member
from tenants.support.door import closed
from tenants.support.pages import Button, Section, when
from tenants.support.verbs import done


def ask(request: HttpRequest, staff: Staff, organization_id: UUID, member_id: UUID) -> HttpResponse:
    """Ask that a member's second factors be forgotten."""
    visit = authorise(staff=staff, organization_id=organization_id, capability="factor:ask")
    resets.ask(visit=visit, member_id=member_id)
    said = _("The member is told by mail. In a day another person of the staff can confirm it.")
    return done(request, "admin:people", organization_id, said)


def confirm(
    request: HttpRequest, staff: Staff, organization_id: UUID, reset_id: UUID
) -> HttpResponse:
    """Forget second factors, as somebody else asked."""
    visit = authorise(staff=staff, organization_id=organization_id, capability="factor:confirm")
    resets.confirm(visit=visit, reset_id=reset_id)
    said = _("The second factors are forgotten: the password alone signs them in.")
    return done(request, "admin:people", organization_id, said)


def refuse(
    request: HttpRequest, staff: Staff, organization_id: UUID, reset_id: UUID
) -> HttpResponse:
    """Refuse what somebody asked for, or take one's own back."""
    visit = authorise(staff=staff, organization_id=organization_id, capability="factor:confirm")
    resets.refuse(visit=visit, reset_id=reset_id)
    return done(request, "admin:people", organization_id, _("The reset is refused."))


def ask_buttons(found: Visit, members: Sequence[Member]) -> list[Button]:
    """Have a member's second factors forgotten."""
    if not found.may("factor:ask"):
        return []
    return [
        Button(
            _("Ask to forget the second factors of %(email)s") % {"email": one.person.email},
            reverse("admin:reset_ask", args=[found.organization.pk, one.pk]),
            is_grave=True,
        )
        for one in members
    ]


def waiting(found: Visit) -> Section:
    """Show what waits for the day to pass, or for another person."""
    now = timezone.now()
    rows = FactorReset.objects.filter(status=ResetStatus.WAITING, expires_at__gt=now)
    shown = list(rows.select_related("person"))
    return Section(
        _("Second factors to be forgotten"),
        headers=[_("E-mail"), _("Asked by"), _("Can be confirmed from"), _("Until")],
        rows=[
            [one.person.email, one.asked_by_name, when(one.ready_at), when(one.expires_at)]
            for one in shown
        ],
        buttons=_buttons(found, shown) if found.may("factor:confirm") else [],
    )


def _buttons(found: Visit, shown: Sequence[FactorReset]) -> list[Button]:
    words = [
        ("admin:reset_confirm", _("Forget the second factors of %(email)s"), True),
        ("admin:reset_refuse", _("Refuse it for %(email)s"), False),
    ]
    return [
        Button(
            said % {"email": one.person.email},
            reverse(name, args=[found.organization.pk, one.pk]),
            is_grave=is_grave,
        )
        for one in shown
        for name, said, is_grave in words
    ]


ASK = closed(ask, "POST")
CONFIRM = closed(confirm, "POST")
REFUSE = closed(refuse, "POST")
