"""Workspaces and the organization's own settings."""

import zoneinfo
from functools import cache
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.access.models import TokenScope
from tenants.common import scope
from tenants.common.problems import Problem
from tenants.common.text import normalise_email
from tenants.console.door import Page, Visit, page
from tenants.console.forms import ChangeForm, HouseForm, Name
from tenants.keys.models import MistralKey
from tenants.organizations import services
from tenants.organizations.models import Organization, Workspace
from tenants.registry import announcing
from tenants.registry.models import RegisteredModel

_ICONS = ("💬", "🛒", "🏭", "📚", "🧪", "🎓", "🏥", "⚖️", "🌍", "🔧")


@cache
def _zones() -> frozenset[str]:
    """List the time zones that places have; the folder of zones is read once."""
    names = {name for name in zoneinfo.available_timezones() if "/" in name} | {"UTC"}
    return frozenset(name for name in names if not name.startswith(("Etc/", "SystemV/")))


class WorkspaceForm(HouseForm):
    """What a workspace is called."""

    name = Name(max_length=120, label=gettext_lazy("Name"))
    icon = forms.ChoiceField(
        required=False,
        choices=[("", "\N{EN DASH}"), *((one, one) for one in _ICONS)],
        label=gettext_lazy("Icon"),
    )
    description = Name(max_length=500, required=False, label=gettext_lazy("Description"))

    def __init__(self, *args: Any, icon: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if icon and icon not in _ICONS:
            self.fields["icon"].choices.append((icon, icon))  # type: ignore[attr-defined]


class NewWorkspaceForm(WorkspaceForm):
    """A new workspace."""

    add_all_members = forms.BooleanField(
        required=False, label=gettext_lazy("Put all present members of the organization into it")
    )


class WorkspaceChange(ChangeForm, WorkspaceForm):
    """Another name of a workspace."""

    def __init__(self, *args: Any, workspace: Workspace) -> None:
        now = {name: getattr(workspace, name) for name in self.base_fields}
        super().__init__(*args, now=now, icon=workspace.icon)


class OrganizationForm(ChangeForm):
    """What may change of an organization; the currency may not, because past costs are in it."""

    name = Name(max_length=120, label=gettext_lazy("Name of the organization"))
    owner_email = forms.CharField(
        max_length=254,
        widget=forms.EmailInput,
        label=gettext_lazy("Address for notices"),
    )
    aisuru_tenant = forms.CharField(
        max_length=253,
        required=False,
        label=gettext_lazy("Tenant at AIsuru"),
        help_text=gettext_lazy("The host that your AIsuru answers at, like www.example.com."),
    )
    locale = forms.ChoiceField(
        choices=settings.LANGUAGES, label=gettext_lazy("Language of letters")
    )
    timezone = forms.ChoiceField(
        label=gettext_lazy("Time zone"),
        help_text=gettext_lazy("Days and months of reports and limits follow it."),
    )

    def __init__(self, *args: Any, organization: Organization) -> None:
        super().__init__(
            *args, now={name: getattr(organization, name) for name in self.base_fields}
        )
        zones = sorted({*_zones(), organization.timezone})
        self.fields["timezone"].choices = [(name, name) for name in zones]  # type: ignore[attr-defined]

    def clean_owner_email(self) -> str:
        """Bring it into its one spelling."""
        address = normalise_email(self.cleaned_data["owner_email"])
        if address is None:
            raise forms.ValidationError(_("This is not an e-mail address."), "email_invalid")
        return address


class Workspaces(Page):
    """``/organizations/<id>/workspaces``."""

    @page(TokenScope.WORKSPACES_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """List active ones, and archived ones below."""
        return _listed(visit, NewWorkspaceForm())

    @page(TokenScope.WORKSPACES_WRITE)
    def post(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Make one."""
        form = NewWorkspaceForm(visit.request.POST)
        if form.is_valid():
            try:
                made = services.create_workspace(
                    actor=visit.actor, organization=visit.organization, **visit.screened(form)
                )
            except Problem as problem:
                form.refuse(problem)
            else:
                visit.tell(_("The workspace was made."))
                return visit.go("console-workspace", workspace_id=made.pk)
        return _listed(visit, form, 422)


class EditWorkspace(Page):
    """``/workspaces/<id>/edit``."""

    @page(TokenScope.WORKSPACES_WRITE)
    def get(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """Show what it is called."""
        return visit.show("places/edit", form=WorkspaceChange(workspace=visit.workspace))

    @page(TokenScope.WORKSPACES_WRITE)
    def post(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """Change it."""
        workspace = visit.find(Workspace, workspace_id)
        form = WorkspaceChange(visit.request.POST, workspace=workspace)
        if form.is_valid():
            try:
                services.update_workspace(
                    actor=visit.actor, workspace=workspace, changes=visit.screened(form)
                )
            except Problem as problem:
                form.refuse(problem)
            else:
                now = WorkspaceChange(workspace=visit.find(Workspace, workspace_id))
                visit.tell(_("The workspace was changed."), form.way_back(visit.request.path, now))
                return visit.go("console-workspace", workspace_id=workspace_id)
        return visit.show("places/edit", form.refused, form=form)


class ArchiveWorkspace(Page):
    """``/workspaces/<id>/archive``: confirmed by naming what stops."""

    @page(TokenScope.WORKSPACES_WRITE)
    def get(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """Show what stops."""
        return _archive(visit)

    @page(TokenScope.WORKSPACES_WRITE)
    def post(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """Archive it."""
        try:
            services.archive_workspace(
                actor=visit.actor,
                workspace=visit.find(Workspace, workspace_id),
                tell=announcing.workspace_archived,
            )
        except Problem as problem:
            return _archive(visit, problem.status, problem.detail)
        visit.tell(_("The workspace was archived."))
        return visit.go("console-workspaces", organization_id=visit.organization.pk)


class Settings(Page):
    """``/organizations/<id>/settings``."""

    @page(TokenScope.ORGANIZATIONS_WRITE)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Show them."""
        form = OrganizationForm(organization=visit.organization)
        return visit.show("places/settings", form=form)

    @page(TokenScope.ORGANIZATIONS_WRITE)
    def post(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Change them."""
        organization = visit.find(Organization, organization_id)
        form = OrganizationForm(visit.request.POST, organization=organization)
        if form.is_valid():
            try:
                services.update_organization(
                    actor=visit.actor, organization=organization, changes=visit.screened(form)
                )
            except Problem as problem:
                form.refuse(problem)
            else:
                now = OrganizationForm(organization=visit.find(Organization, organization_id))
                visit.tell(_("The settings were changed."), form.way_back(visit.request.path, now))
                return visit.go("console-settings", organization_id=organization_id)
        return visit.show("places/settings", form.refused, form=form)


def _listed(visit: Visit, form: NewWorkspaceForm, status: int = 200) -> HttpResponse:
    search = visit.request.GET.get("search", "").strip()[:120]
    looked_for = search.casefold()
    found = [
        one
        for one in visit.here.workspaces
        if looked_for in one.name.casefold() or looked_for in one.description.casefold()
    ]
    with scope.tenant(visit.organization.pk):
        archived = list(Workspace.objects.exclude(archived_at=None).order_by("name"))
    return visit.show(
        "places/workspaces",
        status,
        workspaces=found,
        search=search,
        archived=archived,
        form=form,
        may_write=visit.may(TokenScope.WORKSPACES_WRITE),
    )


def _archive(visit: Visit, status: int = 200, refusal: str = "") -> HttpResponse:
    here = visit.workspace
    with scope.tenant(visit.organization.pk):
        keys = MistralKey.objects.filter(workspace=here, revoked_at=None).count()
        rows = RegisteredModel.objects.filter(workspace=here, retired_at=None)
        models = list(rows.order_by("name").values_list("name", flat=True)[:50])
    return visit.show("places/archive", status, keys=keys, models=models, refusal=refusal)
