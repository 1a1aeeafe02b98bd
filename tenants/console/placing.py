"""Who works in a workspace: members are put in by their address, given another role, taken out."""

from uuid import UUID

from django import forms
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.access.pagination import page as page_of
from tenants.common import scope
from tenants.common.problems import Problem
from tenants.console import words
from tenants.console.door import Page, Visit, page
from tenants.console.forms import HouseForm, choices
from tenants.console.people import member_of, role_named
from tenants.console.undoing import undo
from tenants.organizations import members
from tenants.organizations.models import Member, WorkspaceMember
from tenants.organizations.roles import Role, WorkspaceRole

ROWS = 50
#: So many members are proposed to whoever adds one; the address of any other can be typed.
MOST_PROPOSED = 200


class AddForm(HouseForm):
    """Who is put into a workspace, and as what."""

    email = forms.EmailField(
        label=gettext_lazy("E-mail address of a member"),
        widget=forms.EmailInput(attrs={"list": "proposed", "autocomplete": "off"}),
    )
    role = forms.ChoiceField(
        choices=choices(words.WORKSPACE_ROLES, WorkspaceRole.values),
        label=gettext_lazy("Role here"),
    )


class WorkspaceMembers(Page):
    """``/workspaces/<id>/members``."""

    @page(TokenScope.MEMBERS_READ)
    def get(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """List who works here, and who could."""
        return _shown(visit, AddForm(initial={"role": WorkspaceRole.MEMBER}))

    @page(TokenScope.MEMBERS_WRITE)
    def post(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """Add somebody, give another role, or take somebody out."""
        said = visit.request.POST
        if said.get("action") == "add" and "member_id" not in said:
            return _added(visit)
        member = member_of(visit, _uuid(said.get("member_id", "")))
        with scope.tenant(visit.organization.pk):
            placed = WorkspaceMember.objects.filter(workspace=workspace_id, member=member).first()
        action, before = said.get("action", ""), placed.role if placed else ""
        is_lost = _gives_up(visit, member, action)
        if action == "add":
            members.add_to_workspace(
                actor=visit.actor,
                workspace=visit.workspace,
                member=member,
                role=role_named(WorkspaceRole, said.get("role", "")),
            )
        elif placed is None:
            raise not_found()
        elif is_lost and said.get("sure") != "yes":
            return visit.show("people/sure", member=member)
        elif action == "remove":
            members.remove_from_workspace(actor=visit.actor, placed=placed)
        else:
            role = role_named(WorkspaceRole, said.get("role", ""))
            members.change_workspace_role(actor=visit.actor, placed=placed, role=role)
        # Whoever was taken out comes back with the role that they had; a role is set back. What
        # people gave up themselves they cannot set back.
        back: list[tuple[str, str]] = []
        if placed is not None and not is_lost:
            again = "add" if action == "remove" else "role"
            back = [("action", again), ("member_id", str(member.pk)), ("role", before)]
        way = undo(visit.request.path, back)
        visit.tell(_("The members of the workspace were changed."), way)
        if is_lost and action == "remove" and member.role == Role.MEMBER:
            return visit.go("console-overview", organization_id=member.organization_id)
        return visit.go("console-workspace-members", workspace_id=workspace_id)


def _added(visit: Visit) -> HttpResponse:
    form = AddForm(visit.request.POST)
    if not form.is_valid():
        return _shown(visit, form, 422)
    with scope.tenant(visit.organization.pk):
        rows = Member.objects.select_related("person")
        member = rows.filter(person__email__iexact=form.cleaned_data["email"]).first()
    if member is None:
        form.add_error("email", _("No member of the organization has this address."))
        return _shown(visit, form, 422)
    try:
        members.add_to_workspace(
            actor=visit.actor,
            workspace=visit.workspace,
            member=member,
            role=WorkspaceRole(form.cleaned_data["role"]),
        )
    except Problem as problem:
        form.refuse(problem)
        return _shown(visit, form, problem.status)
    visit.tell(_("%(name)s works in this workspace now.") % {"name": member.person.called})
    return visit.go("console-workspace-members", workspace_id=visit.workspace.pk)


def _shown(visit: Visit, form: AddForm, status: int = 200) -> HttpResponse:
    cursor, may_write = visit.request.GET.get("cursor"), visit.may(TokenScope.MEMBERS_WRITE)
    with scope.tenant(visit.organization.pk):
        rows = WorkspaceMember.objects.select_related("member__person")
        found = page_of(rows.filter(workspace=visit.workspace.pk), limit=ROWS, cursor=cursor)
        proposed: list[Member] = []
        if may_write:
            inside = WorkspaceMember.objects.filter(workspace=visit.workspace.pk)
            others = Member.objects.select_related("person")
            others = others.exclude(pk__in=inside.values("member_id"))
            proposed = list(others.order_by("person__name", "pk")[: MOST_PROPOSED + 1])
    return visit.show(
        "people/workspace",
        status,
        placed=found.rows,
        next=found.next,
        proposed=proposed[:MOST_PROPOSED],
        has_more=len(proposed) > MOST_PROPOSED,
        form=form,
        may_write=may_write,
    )


def _gives_up(visit: Visit, member: Member, action: str) -> bool:
    """Tell whether people take from themselves what they cannot give themselves again."""
    is_own = member.person_id == visit.visitor.person.pk and member.role != Role.ADMIN
    is_demotion = visit.request.POST.get("role") == WorkspaceRole.MEMBER and action != "add"
    return is_own and (action == "remove" or is_demotion)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise not_found() from None
