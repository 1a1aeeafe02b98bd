"""Where a person comes in: the front door, terms, first organization, invitations, own facts."""

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.access import sessions
from tenants.access.authentication import Visitor
from tenants.access.errors import not_found
from tenants.access.permissions import require_terms
from tenants.access.sessions import principal_of_session
from tenants.common import scope
from tenants.common.problems import Conflict, Forbidden, NotFound, Problem
from tenants.console import frame
from tenants.console.chrome import remember
from tenants.console.door import Page, Visit, page, see_other
from tenants.console.forms import HouseForm, Name
from tenants.organizations import invitations, joining, members, roles
from tenants.organizations.invitations import Shown
from tenants.organizations.members import Membership
from tenants.organizations.models import Member, Organization
from tenants.people import services

#: Short addresses, as letters and the onboarding name them, and the pages that they lead to.
SHORT = {
    "start": "console-start",
    "billing": "console-billing",
    "limits": "console-limits",
    "members": "console-members",
    "workspaces": "console-workspaces",
    "spend": "console-spend",
    "keys": "console-keys",
    "models": "console-models",
}
_IN_WORKSPACE = {"console-keys", "console-models"}


class FoundingForm(HouseForm):
    """A new organization."""

    name = Name(max_length=120, label=gettext_lazy("Name of the organization"))


class ProfileForm(HouseForm):
    """What a person may change of themselves."""

    name = Name(max_length=120, label=gettext_lazy("Your name"))
    locale = forms.ChoiceField(choices=settings.LANGUAGES, label=gettext_lazy("Language"))


class Home(Page):
    """``/``: on to where the person works, or to signing in."""

    def dispatch(self, request: HttpRequest, *args: Any, **ids: Any) -> HttpResponseBase:
        """Send strangers to the sign-in without a way back: this is the way back."""
        if request.method in {"GET", "HEAD"} and principal_of_session(request) is None:
            return see_other(reverse("account_login"))
        return super().dispatch(request, *args, **ids)

    @page(is_personal=True)
    def get(self, visit: Visit) -> HttpResponse:
        """Lead to the organization that was chosen last, in the person's language."""
        current = require_terms(visit.principal).current
        if current is None:
            return visit.go("console-welcome")
        response = _landing(visit, current)
        remember(response, settings.LANGUAGE_COOKIE_NAME, visit.visitor.person.locale)
        return response


class Short(Page):
    """``/keys`` and the like: the page of the organization and workspace where the person is."""

    @page(is_personal=True)
    def get(self, visit: Visit, name: str) -> HttpResponse:
        """Lead there."""
        current = require_terms(visit.principal).current
        if current is None:
            return visit.go("console-welcome")
        target = SHORT[name]
        if target not in _IN_WORKSPACE:
            return visit.go(target, organization_id=current.organization_id)
        workspace = frame.workspace_of(visit.request, current)
        if workspace is None:
            return visit.go("console-overview", organization_id=current.organization_id)
        return visit.go(target, workspace_id=workspace.pk)


class Terms(Page):
    """``/terms``: the terms changed, or were never accepted."""

    @page(is_personal=True)
    def get(self, visit: Visit) -> HttpResponse:
        """Ask."""
        return visit.show("terms", version=services.TERMS_VERSION, next=_next(visit.request))

    @page(is_personal=True)
    def post(self, visit: Visit) -> HttpResponse:
        """Accept the version that was shown."""
        version = visit.request.POST.get("version", "")
        services.accept_terms(person=visit.visitor.person, version=version)
        return see_other(_next(visit.request))


class Welcome(Page):
    """``/welcome``: make an organization, accept an invitation, or ask to join."""

    @page(is_personal=True)
    def get(self, visit: Visit) -> HttpResponse:
        """Show the ways in."""
        return _welcome(visit, FoundingForm())

    @page(is_personal=True)
    def post(self, visit: Visit) -> HttpResponse:
        """Make an organization."""
        visitor = require_terms(visit.principal)
        form = FoundingForm(visit.request.POST)
        if form.is_valid():
            try:
                made = joining.found(
                    actor=visit.actor, person=visitor.person, name=form.cleaned_data["name"]
                )
            except Problem as problem:
                form.refuse(problem)
            else:
                sessions.choose(visit.request, made.pk)
                return visit.go("console-start", organization_id=made.pk)
        return _welcome(visit, form, 422)


class Organizations(Page):
    """``/organizations``: where the person is a member, and what is open."""

    @page(is_personal=True)
    def get(self, visit: Visit) -> HttpResponse:
        """List them."""
        return _welcome(visit, FoundingForm(), template="organizations")

    @page(is_personal=True)
    def post(self, visit: Visit) -> HttpResponse:
        """Work in one of them from now on."""
        membership = _membership(visit.visitor, visit.request.POST.get("organization_id", ""))
        sessions.choose(visit.request, membership.organization_id)
        return _landing(visit, membership)


class Leave(Page):
    """``/organizations/<id>/leave``."""

    @page(is_personal=True)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Say what is lost."""
        return _leaving(visit, organization_id)

    @page(is_personal=True)
    def post(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Leave it; the last administrator cannot."""
        membership = _membership(visit.visitor, str(organization_id))
        with scope.tenant(organization_id):
            member = Member.objects.filter(pk=membership.member_id).first()
        if member is None:
            raise not_found()
        try:
            members.remove_member(actor=visit.actor, member=member)
        except Problem as problem:
            return _leaving(visit, organization_id, problem.status, refusal=problem.detail)
        visit.tell(_("You left the organization."))
        return visit.go("console-organizations")


class AskToJoin(Page):
    """``/join-requests``."""

    @page(is_personal=True)
    def post(self, visit: Visit) -> HttpResponse:
        """Ask; an administrator decides."""
        visitor = require_terms(visit.principal)
        wanted = _id(visit.request.POST.get("organization_id", ""))
        joining.ask(actor=visit.actor, person=visitor.person, organization_id=wanted)
        visit.tell(_("The administrators were asked. You get in as soon as one of them agrees."))
        return visit.go("console-welcome" if visitor.current is None else "console-organizations")


class AcceptInvitation(Page):
    """``/invitations/<token>``: the link of the mail."""

    @page(is_personal=True)
    def get(self, visit: Visit, token: str) -> HttpResponse:
        """Ask before joining: whatever follows links by itself must not join anybody."""
        seen = invitations.shown_to(visit.visitor.person, token)
        return _invitation(visit, seen, 200 if seen else 404)

    @page(is_personal=True)
    def post(self, visit: Visit, token: str) -> HttpResponse:
        """Join; who sent this twice is led to where the first one led."""
        person = require_terms(visit.principal).person
        try:
            member = invitations.accept(actor=visit.actor, person=person, token=token)
        except (NotFound, Conflict, Forbidden) as problem:
            seen = invitations.shown_to(person, token)
            if seen and seen.is_member:
                return _entered(visit, seen.organization.pk)
            return _invitation(visit, seen, problem.status if seen else 404)
        return _entered(visit, member.organization_id)


class AcceptOwnInvitation(Page):
    """``/invitations``: one that the person sees in the list of their own."""

    @page(is_personal=True)
    def post(self, visit: Visit) -> HttpResponse:
        """Join."""
        visitor = require_terms(visit.principal)
        wanted = _id(visit.request.POST.get("invitation_id", ""))
        member = invitations.accept(actor=visit.actor, person=visitor.person, invitation_id=wanted)
        return _entered(visit, member.organization_id)


class Profile(Page):
    """``/profile``: name and language."""

    @page(is_personal=True)
    def get(self, visit: Visit) -> HttpResponse:
        """Show them."""
        person = visit.visitor.person
        facts = {"name": person.name, "locale": person.locale}
        return visit.show("profile", form=ProfileForm(initial=facts))

    @page(is_personal=True)
    def post(self, visit: Visit) -> HttpResponse:
        """Change them."""
        form = ProfileForm(visit.request.POST)
        if not form.is_valid():
            return visit.show("profile", 422, form=form)
        services.update_person(person=visit.visitor.person, changes=form.cleaned_data)
        response = visit.go("console-profile")
        remember(response, settings.LANGUAGE_COOKIE_NAME, form.cleaned_data["locale"])
        return response


def _welcome(
    visit: Visit, form: FoundingForm, status: int = 200, template: str = "welcome"
) -> HttpResponse:
    visitor = visit.visitor
    return visit.show(
        template,
        status,
        form=form,
        memberships=[_named(one) for one in visitor.memberships],
        invitations=invitations.open_for(visitor.person),
        joinable=joining.joinable_for(visitor.person),
    )


def _leaving(
    visit: Visit, organization_id: UUID, status: int = 200, refusal: str = ""
) -> HttpResponse:
    name, membership = _named(_membership(visit.visitor, str(organization_id)))
    return visit.show("leave", status, name=name, membership=membership, refusal=refusal)


def _landing(visit: Visit, membership: Membership) -> HttpResponseRedirect:
    """Lead to the organization; who works in single workspaces, to the one looked at last."""
    workspace = None
    if not roles.sees_every_workspace(membership.role):
        workspace = frame.workspace_of(visit.request, membership)
    if workspace is not None:
        return visit.go("console-workspace", workspace_id=workspace.pk)
    return visit.go("console-overview", organization_id=membership.organization_id)


def _named(membership: Membership) -> tuple[str, Membership]:
    with scope.tenant(membership.organization_id):
        return Organization.objects.get().name, membership


def _invitation(visit: Visit, seen: Shown | None, status: int) -> HttpResponse:
    """Show what a link stands for to its own reader; all others are told that it is not theirs."""
    return visit.show("invitation", status, seen=seen)


def _entered(visit: Visit, organization_id: UUID) -> HttpResponse:
    sessions.choose(visit.request, organization_id)
    return visit.go("console-overview", organization_id=organization_id)


def _membership(visitor: Visitor, text: str) -> Membership:
    for one in visitor.memberships:
        if str(one.organization_id) == text:
            return one
    raise not_found()


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise not_found() from None


def _next(request: HttpRequest) -> str:
    """Read where the person wanted to go; only within this service."""
    said = request.POST.get("next") or request.GET.get("next") or "/"
    is_ours = said.startswith("/") and url_has_allowed_host_and_scheme(said, None)
    return said if is_ours else "/"
