"""Every address of the management API, under ``/api/v1/``."""

from django.urls import path

from tenants.api import documentation, organizations, tokens, workspaces

_ORGANIZATION = "organizations/<uuid:organization_id>"
_WORKSPACE = "workspaces/<uuid:workspace_id>"

urlpatterns = [
    path("organizations", organizations.Organizations.as_view(), name="organizations"),
    path(_ORGANIZATION, organizations.OneOrganization.as_view(), name="organization"),
    path(f"{_ORGANIZATION}/workspaces", workspaces.Workspaces.as_view(), name="workspaces"),
    path(f"{_ORGANIZATION}/tokens", tokens.Tokens.as_view(), name="tokens"),
    path(f"{_ORGANIZATION}/tokens/<uuid:token_id>", tokens.OneToken.as_view(), name="token"),
    path(_WORKSPACE, workspaces.OneWorkspace.as_view(), name="workspace"),
    path(f"{_WORKSPACE}/archive", workspaces.ArchiveWorkspace.as_view(), name="archive_workspace"),
    path("schema", documentation.Schema.as_view(), name="schema"),
    path("docs", documentation.Docs.as_view(), name="docs"),
    path("problems/<slug:code>", documentation.problem, name="problem"),
]
