"""Every address of the console. Names begin with ``console-``; ids are named as on ``/api/v1``."""

from django.urls import path

from tenants.access import converters  # noqa: F401 - it makes <id:…> known
from tenants.console import (
    aisuru,
    billing,
    calls,
    chrome,
    deliveries,
    home,
    hooks,
    keys,
    leaving,
    letters,
    limits,
    overview,
    people,
    places,
    placing,
    publishing,
    quoting,
    registered,
    spending,
    start,
    statements,
    support,
    tokens,
    trail,
)

_ORGANIZATION = "organizations/<id:organization_id>"
_HOOK = f"{_ORGANIZATION}/webhooks/<id:webhook_id>"
_WORKSPACE = "workspaces/<id:workspace_id>"
_KEY = "keys/<id:key_id>"
_MODEL = "models/<id:model_id>"

_PAGES = {
    # of a person
    "": (home.Home, "home"),
    "looks": (chrome.Looks, "console-looks"),
    "terms": (home.Terms, "console-terms"),
    "welcome": (home.Welcome, "console-welcome"),
    "profile": (home.Profile, "console-profile"),
    "organizations": (home.Organizations, "console-organizations"),
    f"{_ORGANIZATION}/leave": (home.Leave, "console-leave"),
    "join-requests": (home.AskToJoin, "console-join"),
    "invitations": (home.AcceptOwnInvitation, "console-invitations"),
    "invitations/<str:token>": (home.AcceptInvitation, "console-invitation"),
    # of an organization
    _ORGANIZATION: (overview.Overview, "console-overview"),
    f"{_ORGANIZATION}/start": (start.Start, "console-start"),
    f"{_ORGANIZATION}/start/<slug:key>": (start.Confirm, "console-confirm-step"),
    f"{_ORGANIZATION}/spend": (spending.Spend, "console-spend"),
    f"{_ORGANIZATION}/spend.csv": (spending.SpendTable, "console-spend-table"),
    f"{_ORGANIZATION}/calls": (calls.Calls, "console-calls"),
    f"{_ORGANIZATION}/calls.csv": (calls.CallsTable, "console-calls-table"),
    f"{_ORGANIZATION}/statements": (statements.Statements, "console-statements"),
    f"{_ORGANIZATION}/statements/<month:month>": (statements.OneStatement, "console-statement"),
    f"{_ORGANIZATION}/statements/<month:month>.<form:form>": (
        statements.StatementFile,
        "console-statement-file",
    ),
    f"{_ORGANIZATION}/limits": (limits.Limits, "console-limits"),
    f"{_ORGANIZATION}/limits/reset": (limits.ResetRates, "console-limits-reset"),
    f"{_ORGANIZATION}/members": (people.Members, "console-members"),
    f"{_ORGANIZATION}/members/<id:member_id>": (people.OneMember, "console-member"),
    f"{_ORGANIZATION}/invitations/<id:invitation_id>": (
        people.OneInvitation,
        "console-one-invitation",
    ),
    f"{_ORGANIZATION}/join-requests/<id:join_request_id>": (
        people.OneRequest,
        "console-join-request",
    ),
    f"{_ORGANIZATION}/workspaces": (places.Workspaces, "console-workspaces"),
    f"{_ORGANIZATION}/billing": (billing.Billing, "console-billing"),
    f"{_ORGANIZATION}/billing/plan": (billing.PlanFacts, "console-plan"),
    f"{_ORGANIZATION}/tokens": (tokens.Tokens, "console-tokens"),
    f"{_ORGANIZATION}/tokens/new": (tokens.NewToken, "console-new-token"),
    f"{_ORGANIZATION}/tokens/<id:token_id>/revoke": (tokens.RevokeToken, "console-revoke-token"),
    f"{_ORGANIZATION}/webhooks": (hooks.Hooks, "console-hooks"),
    f"{_ORGANIZATION}/webhooks/new": (hooks.NewHook, "console-new-hook"),
    _HOOK: (hooks.OneHook, "console-hook"),
    f"{_HOOK}/delete": (hooks.DeleteHook, "console-delete-hook"),
    f"{_HOOK}/edit": (hooks.EditHook, "console-edit-hook"),
    f"{_HOOK}/switch": (hooks.SwitchHook, "console-switch-hook"),
    f"{_HOOK}/secret": (hooks.NewSecret, "console-hook-secret"),
    f"{_HOOK}/deliveries/<id:delivery_id>": (deliveries.OneDelivery, "console-delivery"),
    f"{_ORGANIZATION}/aisuru": (aisuru.Aisuru, "console-aisuru"),
    f"{_ORGANIZATION}/aisuru/login": (aisuru.Login, "console-aisuru-login"),
    f"{_ORGANIZATION}/aisuru/remove": (aisuru.RemoveLogin, "console-remove-aisuru-login"),
    f"{_ORGANIZATION}/audit": (trail.Trail, "console-trail"),
    f"{_ORGANIZATION}/support": (support.Support, "console-support"),
    f"{_ORGANIZATION}/support/<id:grant_id>/withdraw": (
        support.Withdraw,
        "console-withdraw-support",
    ),
    f"{_ORGANIZATION}/letters": (letters.Letters, "console-letters"),
    f"{_ORGANIZATION}/settings": (places.Settings, "console-settings"),
    f"{_ORGANIZATION}/export": (leaving.Export, "console-export"),
    f"{_ORGANIZATION}/erase": (leaving.Erase, "console-erase"),
    # of a workspace
    _WORKSPACE: (overview.WorkspaceOverview, "console-workspace"),
    f"{_WORKSPACE}/edit": (places.EditWorkspace, "console-edit-workspace"),
    f"{_WORKSPACE}/archive": (places.ArchiveWorkspace, "console-archive-workspace"),
    f"{_WORKSPACE}/members": (placing.WorkspaceMembers, "console-workspace-members"),
    f"{_WORKSPACE}/spend": (spending.WorkspaceSpend, "console-workspace-spend"),
    f"{_WORKSPACE}/spend.csv": (spending.WorkspaceSpendTable, "console-workspace-spend-table"),
    f"{_WORKSPACE}/calls": (calls.WorkspaceCalls, "console-workspace-calls"),
    f"{_WORKSPACE}/calls.csv": (calls.WorkspaceCallsTable, "console-workspace-calls-table"),
    f"{_WORKSPACE}/limits": (limits.WorkspaceLimits, "console-workspace-limits"),
    f"{_WORKSPACE}/keys": (keys.Keys, "console-keys"),
    f"{_WORKSPACE}/keys/new": (keys.Register, "console-register-key"),
    f"{_WORKSPACE}/models": (registered.Models, "console-models"),
    f"{_WORKSPACE}/models/new": (registered.NewModel, "console-new-model"),
    # of a key
    _KEY: (keys.OneKey, "console-key"),
    f"{_KEY}/edit": (keys.Edit, "console-edit-key"),
    f"{_KEY}/check": (keys.Check, "console-check-key"),
    f"{_KEY}/probe": (keys.Probe, "console-probe-key"),
    f"{_KEY}/replace": (keys.Replace, "console-replace-key"),
    f"{_KEY}/limits": (limits.KeyLimits, "console-key-limits"),
    f"{_KEY}/delete": (keys.Delete, "console-delete-key"),
    # of a model
    _MODEL: (registered.OneModel, "console-model"),
    f"{_MODEL}/edit": (registered.EditModel, "console-edit-model"),
    f"{_MODEL}/token": (registered.NewToken, "console-model-token"),
    f"{_MODEL}/trial": (registered.Trial, "console-trial"),
    f"{_MODEL}/quote": (quoting.ModelQuote, "console-model-quote"),
    f"{_MODEL}/publish": (publishing.Publish, "console-publish"),
    f"{_MODEL}/limits": (limits.ModelLimits, "console-model-limits"),
    f"{_MODEL}/delete": (registered.DeleteModel, "console-delete-model"),
}

urlpatterns = [
    *(path(route, view.as_view(), name=name) for route, (view, name) in _PAGES.items()),
    *(
        path(name, home.Short.as_view(), {"name": name}, name=f"console-short-{name}")
        for name in home.SHORT
    ),
]
