"""Members, invitations and requests to join."""

import re
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import CharField, F, Q, Value
from django.db.models.functions import Coalesce, Lower, NullIf
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.access.permissions import require_sudo
from tenants.common import scope
from tenants.common.problems import Problem
from tenants.console import words
from tenants.console.door import Page, Visit, page
from tenants.console.forms import HouseForm, choices
from tenants.console.once import once
from tenants.console.sorting import CREATED, Column, sorted_page
from tenants.console.undoing import undo
from tenants.organizations import invitations, joining, members
from tenants.organizations.invitations import MOST_ADDRESSES, Outcome
from tenants.organizations.models import (
    Invitation,
    InvitationStatus,
    JoinRequest,
    JoinRequestStatus,
    Member,
)
from tenants.organizations.roles import Role, WorkspaceRole

ROWS = 50
_COLUMNS = CREATED | {
    "name": Column(
        Lower(
            Coalesce(NullIf("person__name", Value("")), "person__email", output_field=CharField())
        )
    ),
    "email": Column(Lower("person__email")),
    "role": Column(F("role")),
}
_SEPARATORS = re.compile(r"[\s,;]+")
_TOLD = {
    Outcome.INVITED: gettext_lazy("invited"),
    Outcome.ALREADY_MEMBER: gettext_lazy("is a member already"),
    Outcome.ALREADY_INVITED: gettext_lazy("was invited already"),
    Outcome.INVALID: gettext_lazy("is not an e-mail address"),
}


class InviteForm(HouseForm):
    """Whom to invite, and what they become."""

    emails = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=320 * MOST_ADDRESSES,
        label=gettext_lazy("E-mail addresses"),
        help_text=gettext_lazy("As many as you like, with commas, spaces or lines between them."),
    )
    role = forms.ChoiceField(choices=choices(words.ROLES, Role.values), label=gettext_lazy("Role"))
    workspaces = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=gettext_lazy("Workspaces"),
        help_text=gettext_lazy("Admin and Billing see all of them anyway."),
    )
    nowhere = forms.BooleanField(
        required=False, label=gettext_lazy("Invite into no workspace for now")
    )

    def __init__(self, *args: Any, visit: Visit, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        named = [(str(one.pk), f"{one.icon} {one.name}".strip()) for one in visit.here.workspaces]
        self.fields["workspaces"].choices = named  # type: ignore[attr-defined]
        if len(named) == 1:
            self.fields["workspaces"].initial = [named[0][0]]

    @property
    def asks_for_a_place(self) -> bool:
        """Whether people would come in and see nothing, so that this is asked about."""
        return self.is_bound and (self.has_error("workspaces", "nowhere") or self["nowhere"].data)

    def clean_emails(self) -> list[str]:
        """Take them apart; whether each is one is told per address."""
        found = [one for one in _SEPARATORS.split(self.cleaned_data["emails"]) if one]
        if len(found) > MOST_ADDRESSES:
            detail = _("Name at most %(most)d addresses at once.") % {"most": MOST_ADDRESSES}
            raise forms.ValidationError(detail, "max_length")
        return found

    def clean(self) -> None:
        """Ask before Members are invited who would find nothing here."""
        said = self.cleaned_data
        is_nowhere = said.get("role") == Role.MEMBER and not said.get("workspaces", ["?"])
        if is_nowhere and not said.get("nowhere"):
            detail = _(
                "A Member without a workspace sees nothing after joining. Choose one, or confirm"
                " below."
            )
            self.add_error("workspaces", forms.ValidationError(detail, "nowhere"))


class Members(Page):
    """``/organizations/<id>/members``."""

    @page(TokenScope.MEMBERS_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """List members, open invitations and requests to join."""
        return _members(visit, InviteForm(visit=visit, initial={"role": Role.MEMBER}))

    @page(TokenScope.MEMBERS_WRITE)
    @once("console-members")
    def post(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Invite; each address gets a result of its own."""
        form = InviteForm(visit.request.POST, visit=visit)
        if not form.is_valid():
            return _members(visit, form, 422)
        role = Role(form.cleaned_data["role"])
        if role == Role.ADMIN:
            require_sudo(visit.principal)
        places = {UUID(one): WorkspaceRole.MEMBER for one in form.cleaned_data["workspaces"]}
        try:
            results = invitations.invite(
                actor=visit.actor,
                organization=visit.organization,
                addresses=form.cleaned_data["emails"],
                role=role,
                workspaces=places,
            )
        except Problem as problem:
            form.refuse(problem)
            return _members(visit, form, problem.status)
        told = [(one.email, _TOLD[one.outcome], one.outcome == Outcome.INVITED) for one in results]
        wrong = [one.email for one in results if one.outcome == Outcome.INVALID]
        again = {"emails": "\n".join(wrong), "role": role}
        if wrong:  # what is left to be put right goes where the others went
            again["workspaces"] = form.cleaned_data["workspaces"]
        return _members(visit, InviteForm(visit=visit, initial=again), results=told)


class OneMember(Page):
    """``/organizations/<id>/members/<id>``: another role, or out."""

    @page(TokenScope.MEMBERS_WRITE, is_dangerous=True)
    def get(self, visit: Visit, organization_id: UUID, member_id: UUID) -> HttpResponse:
        """Show what can be done."""
        return _one(visit, member_of(visit, member_id))

    @page(TokenScope.MEMBERS_WRITE, is_dangerous=True)
    def post(self, visit: Visit, organization_id: UUID, member_id: UUID) -> HttpResponse:
        """Do it, removing after a question; the last administrator stays one."""
        member, said = member_of(visit, member_id), visit.request.POST
        if said.get("action") == "remove" and said.get("sure") != "yes":
            return visit.show("people/remove", member=member)
        try:
            if said.get("action") == "remove":
                members.remove_member(actor=visit.actor, member=member)
                visit.tell(_("%(name)s was removed.") % {"name": member.person.called})
            else:
                role, before = role_named(Role, said.get("role", "")), member.role
                members.change_role(actor=visit.actor, member=member, role=role)
                way = undo(visit.request.path, [("role", before)])
                visit.tell(_("The role was changed."), way if before != role else None)
        except Problem as problem:
            return _one(visit, member, problem.status, refusal=problem.detail)
        return visit.go("console-members", organization_id=organization_id)


class OneInvitation(Page):
    """``/organizations/<id>/invitations/<id>``: send again, or take back."""

    @page(TokenScope.MEMBERS_WRITE)
    def post(self, visit: Visit, organization_id: UUID, invitation_id: UUID) -> HttpResponse:
        """Do it."""
        with scope.tenant(visit.organization.pk):
            invitation = Invitation.objects.filter(pk=invitation_id).first()
        if invitation is None:
            raise not_found()
        if visit.request.POST.get("action") == "revoke":
            invitations.revoke(actor=visit.actor, invitation=invitation)
            visit.tell(_("The invitation was taken back; its link stopped."))
        else:
            invitations.send_again(actor=visit.actor, invitation=invitation)
            visit.tell(_("The invitation was sent again, with a new link."))
        return visit.go("console-members", organization_id=organization_id)


class OneRequest(Page):
    """``/organizations/<id>/join-requests/<id>``: let in, or not."""

    @page(TokenScope.MEMBERS_WRITE)
    def post(self, visit: Visit, organization_id: UUID, join_request_id: UUID) -> HttpResponse:
        """Decide."""
        with scope.tenant(visit.organization.pk):
            rows = JoinRequest.objects.select_related("person")
            request = rows.filter(pk=join_request_id).first()
        if request is None:
            raise not_found()
        if visit.request.POST.get("action") == "approve":
            joining.approve(actor=visit.actor, request=request, role=Role.MEMBER, workspaces={})
            visit.tell(_("%(name)s is a member now.") % {"name": request.person.called})
        else:
            joining.decline(actor=visit.actor, request=request)
            visit.tell(_("The request was declined."))
        return visit.go("console-members", organization_id=organization_id)


def _members(
    visit: Visit, form: InviteForm, status: int = 200, results: list[Any] | None = None
) -> HttpResponse:
    search = visit.request.GET.get("search", "").strip()[:120]
    with scope.tenant(visit.organization.pk):
        rows = Member.objects.select_related("person")
        if search:
            by_name = Q(person__name__icontains=search)
            rows = rows.filter(by_name | Q(person__email__icontains=search))
        total = rows.count()
        found = sorted_page(rows, _COLUMNS, visit.request.GET, limit=ROWS)
        invited = list(invitations.with_status(InvitationStatus.PENDING).order_by("-pk")[:ROWS])
        open_requests = JoinRequest.objects.filter(status=JoinRequestStatus.PENDING)
        asking = list(open_requests.select_related("person")[:ROWS])
    return visit.show(
        "people/members",
        status,
        members=found.rows,
        total=total,
        search=search,
        next=found.next,
        order=found.order,
        invitations=invited,
        requests=asking,
        form=form,
        results=results,
        may_write=visit.may(TokenScope.MEMBERS_WRITE),
    )


def _one(visit: Visit, member: Member, status: int = 200, refusal: str = "") -> HttpResponse:
    return visit.show(
        "people/one",
        status,
        member=member,
        roles=choices(words.ROLES, Role.values),
        refusal=refusal,
    )


def member_of(visit: Visit, member_id: UUID) -> Member:
    """Find a member of the organization that a page is of.

    Raises:
        NotFound: there is none with this id.
    """
    with scope.tenant(visit.organization.pk):
        found = Member.objects.select_related("person").filter(pk=member_id).first()
    if found is None:
        raise not_found()
    return found


def role_named[R: (Role, WorkspaceRole)](kind: type[R], text: str) -> R:
    """Read a role that a form names.

    Raises:
        NotFound: there is none of this name.
    """
    try:
        return kind(text)
    except ValueError:
        raise not_found() from None
