"""Every address of the management API, under ``/api/v1/``."""

from django.urls import path

from tenants.access import converters  # noqa: F401 - it makes <id:…> and <month:…> known
from tenants.api import (
    accounting,
    aisuru,
    audit,
    billing,
    calls,
    catalog,
    documentation,
    erasure,
    export,
    intake,
    invitations,
    joining,
    keys,
    limits,
    me,
    members,
    models,
    notices,
    onboarding,
    organizations,
    policies,
    prices,
    publications,
    quotes,
    rates,
    reconciliations,
    spend,
    statements,
    support_access,
    tokens,
    unsubscribing,
    usage,
    webhooks,
    workspaces,
)
from tenants.keys.models import MistralKey
from tenants.organizations.models import Organization, Workspace
from tenants.registry.models import RegisteredModel
from tenants.spend.limits import Subject

_ORGANIZATION = "organizations/<id:organization_id>"
_WEBHOOK = f"{_ORGANIZATION}/webhooks/<id:webhook_id>"
_WORKSPACE = "workspaces/<id:workspace_id>"
_KEY = "keys/<id:key_id>"
_MODEL = "models/<id:model_id>"
_LIMITED: tuple[tuple[str, type[Subject], str], ...] = (
    (_ORGANIZATION, Organization, "organization"),
    (_WORKSPACE, Workspace, "workspace"),
    (_MODEL, RegisteredModel, "model"),
    (_KEY, MistralKey, "key"),
)

urlpatterns = [
    path("organizations", organizations.Organizations.as_view(), name="organizations"),
    path(_ORGANIZATION, organizations.OneOrganization.as_view(), name="organization"),
    path(
        f"{_ORGANIZATION}/erasure-certificate",
        erasure.Certificate.as_view(),
        name="erasure_certificate",
    ),
    path(
        f"{_ORGANIZATION}/admin-key",
        accounting.OrganizationAdminKey.as_view(),
        name="admin_key",
    ),
    path(
        f"{_ORGANIZATION}/aisuru-connection",
        aisuru.OrganizationAisuruConnection.as_view(),
        name="aisuru_connection",
    ),
    path(f"{_ORGANIZATION}/sync/confirm", accounting.ConfirmSync.as_view(), name="confirm_sync"),
    path(
        f"{_ORGANIZATION}/reconciliations",
        reconciliations.Reconciliations.as_view(),
        name="reconciliations",
    ),
    path(
        f"{_ORGANIZATION}/reconciliations/<id:reconciliation_id>",
        reconciliations.OneReconciliation.as_view(),
        name="reconciliation",
    ),
    path(
        f"{_ORGANIZATION}/reconciliations/<id:reconciliation_id>/confirm",
        reconciliations.ConfirmReconciliation.as_view(),
        name="confirm_reconciliation",
    ),
    path(f"{_ORGANIZATION}/statements", statements.Statements.as_view(), name="statements"),
    path(
        f"{_ORGANIZATION}/statements/<month:month>",
        statements.OneStatement.as_view(),
        name="statement",
    ),
    path(
        f"{_ORGANIZATION}/statements/<month:month>.<form:format>",
        statements.OneStatement.as_view(),
        name="statement_file",
    ),
    path(f"{_ORGANIZATION}/sync", accounting.OrganizationSync.as_view(), name="sync"),
    path("me", me.Me.as_view(), name="me"),
    path("me/terms", me.MyTerms.as_view(), name="my_terms"),
    path("me/organization", me.MyOrganization.as_view(), name="my_organization"),
    path("me/organizations", me.MyOrganizations.as_view(), name="my_organizations"),
    path(
        "me/organizations/<id:organization_id>",
        me.LeaveOrganization.as_view(),
        name="leave_organization",
    ),
    path(
        "me/organizations/<id:organization_id>/notices",
        notices.MyNotices.as_view(),
        name="my_notices",
    ),
    path("unsubscribe/<str:token>", unsubscribing.unsubscribe, name="unsubscribe"),
    path("me/join-requests", me.MyJoinRequests.as_view(), name="my_join_requests"),
    path("me/invitations", me.MyInvitations.as_view(), name="my_invitations"),
    path(
        f"{_ORGANIZATION}/billing-profile",
        billing.OneBillingProfile.as_view(),
        name="billing_profile",
    ),
    path(f"{_ORGANIZATION}/plan", billing.OnePlan.as_view(), name="plan"),
    path(f"{_ORGANIZATION}/onboarding", onboarding.Onboarding.as_view(), name="onboarding"),
    path(
        f"{_ORGANIZATION}/onboarding/<slug:key>",
        onboarding.ConfirmStep.as_view(),
        name="confirm_step",
    ),
    path(f"{_ORGANIZATION}/members", members.Members.as_view(), name="members"),
    path(f"{_ORGANIZATION}/members/<id:member_id>", members.OneMember.as_view(), name="member"),
    path(f"{_ORGANIZATION}/invitations", invitations.Invitations.as_view(), name="invitations"),
    path(
        f"{_ORGANIZATION}/invitations/<id:invitation_id>",
        invitations.OneInvitation.as_view(),
        name="invitation",
    ),
    path(
        f"{_ORGANIZATION}/invitations/<id:invitation_id>/resend",
        invitations.ResendInvitation.as_view(),
        name="resend_invitation",
    ),
    path(f"{_ORGANIZATION}/domains", joining.Domains.as_view(), name="domains"),
    path(f"{_ORGANIZATION}/domains/<id:domain_id>", joining.OneDomain.as_view(), name="domain"),
    path(f"{_ORGANIZATION}/join-requests", joining.JoinRequests.as_view(), name="join_requests"),
    path(
        f"{_ORGANIZATION}/join-requests/<id:join_request_id>/approve",
        joining.ApproveJoinRequest.as_view(),
        name="approve_join_request",
    ),
    path(
        f"{_ORGANIZATION}/join-requests/<id:join_request_id>/decline",
        joining.DeclineJoinRequest.as_view(),
        name="decline_join_request",
    ),
    path(f"{_WORKSPACE}/members", members.WorkspaceMembers.as_view(), name="workspace_members"),
    path(
        f"{_WORKSPACE}/members/<id:member_id>",
        members.OneWorkspaceMember.as_view(),
        name="workspace_member",
    ),
    path(f"{_WORKSPACE}/candidates", members.Candidates.as_view(), name="candidates"),
    path(f"{_ORGANIZATION}/workspaces", workspaces.Workspaces.as_view(), name="workspaces"),
    path(
        f"{_ORGANIZATION}/support-access",
        support_access.SupportAccess.as_view(),
        name="support-access",
    ),
    path(
        f"{_ORGANIZATION}/support-access/<id:grant_id>",
        support_access.OneSupportAccess.as_view(),
        name="support-access-one",
    ),
    path(
        f"{_ORGANIZATION}/support-sessions",
        support_access.SupportSessions.as_view(),
        name="support-sessions",
    ),
    path(f"{_ORGANIZATION}/tokens", tokens.Tokens.as_view(), name="tokens"),
    path(f"{_ORGANIZATION}/tokens/<id:token_id>", tokens.OneToken.as_view(), name="token"),
    path(f"{_ORGANIZATION}/webhooks", webhooks.Webhooks.as_view(), name="webhooks"),
    path(_WEBHOOK, webhooks.OneWebhook.as_view(), name="webhook"),
    path(
        f"{_WEBHOOK}/secret",
        webhooks.RotateWebhookSecret.as_view(),
        name="rotate_webhook_secret",
    ),
    path(f"{_WEBHOOK}/test", webhooks.TestWebhook.as_view(), name="test_webhook"),
    path(f"{_WEBHOOK}/deliveries", webhooks.Deliveries.as_view(), name="webhook_deliveries"),
    path(
        f"{_WEBHOOK}/deliveries/<id:delivery_id>",
        webhooks.OneDelivery.as_view(),
        name="webhook_delivery",
    ),
    path(
        f"{_WEBHOOK}/deliveries/<id:delivery_id>/replay",
        webhooks.ReplayDelivery.as_view(),
        name="replay_delivery",
    ),
    path(
        f"{_ORGANIZATION}/tokens/<id:token_id>/rotate",
        tokens.RotateToken.as_view(),
        name="rotate_token",
    ),
    path(f"{_ORGANIZATION}/audit-events", audit.AuditEvents.as_view(), name="audit_events"),
    path(f"{_ORGANIZATION}/export", export.Export.as_view(), name="export"),
    path(_WORKSPACE, workspaces.OneWorkspace.as_view(), name="workspace"),
    path(f"{_WORKSPACE}/archive", workspaces.ArchiveWorkspace.as_view(), name="archive_workspace"),
    path(f"{_WORKSPACE}/keys", keys.Keys.as_view(), name="keys"),
    path("intake-key", intake.IntakeKey.as_view(), name="intake_key"),
    path("keys", keys.EveryKey.as_view(), name="every_key"),
    path(_KEY, keys.OneKey.as_view(), name="key"),
    path(f"{_KEY}/validate", keys.ValidateKey.as_view(), name="validate_key"),
    path(f"{_KEY}/versions", keys.KeyVersions.as_view(), name="key_versions"),
    path(f"{_KEY}/models", keys.KeyModels.as_view(), name="key_models"),
    path("models", models.Models.as_view(), name="models"),
    path(_MODEL, models.OneModel.as_view(), name="model"),
    path(f"{_MODEL}/token", models.ModelToken.as_view(), name="model_token"),
    path(
        f"{_MODEL}/completion-config",
        models.ModelCompletionConfig.as_view(),
        name="completion_config",
    ),
    path(f"{_MODEL}/publish", publications.PublishModel.as_view(), name="publish_model"),
    path(f"{_MODEL}/publication", publications.ModelPublication.as_view(), name="publication"),
    path(f"{_MODEL}/quote", quotes.ModelQuote.as_view(), name="quote"),
    path("catalog", catalog.Catalog.as_view(), name="catalog"),
    *(
        path(f"{address}/limits", limits.limits_of(subject, noun).as_view(), name=f"{noun}_limits")
        for address, subject, noun in _LIMITED
    ),
    *(
        path(
            f"{address}/limits/effective",
            limits.effective_limits_of(subject, noun).as_view(),
            name=f"{noun}_effective_limits",
        )
        for address, subject, noun in _LIMITED
    ),
    path(f"{_ORGANIZATION}/prices", prices.OrganizationPrices.as_view(), name="prices"),
    path(f"{_ORGANIZATION}/retention", policies.CallRetention.as_view(), name="retention"),
    path(f"{_ORGANIZATION}/rate-limits", rates.RateLimits.as_view(), name="rate_limits"),
    path(
        f"{_ORGANIZATION}/rate-limits/reset",
        rates.RateLimitsReset.as_view(),
        name="rate_limits_reset",
    ),
    path(f"{_WORKSPACE}/traffic-policy", rates.OneTrafficPolicy.as_view(), name="traffic_policy"),
    path("spend", spend.Spend.as_view(), name="spend"),
    path(
        f"{_WORKSPACE}/spend-policy", policies.SpendPolicy.as_view(), name="workspace_spend_policy"
    ),
    path("usage", usage.Usage.as_view(), name="usage"),
    path("spend/months", spend.Months.as_view(), name="spend_months"),
    path("calls", calls.Calls.as_view(), name="calls"),
    path("schema", documentation.Schema.as_view(), name="schema"),
    path("docs", documentation.Docs.as_view(), name="docs"),
    path("problems/<slug:code>", documentation.problem, name="problem"),
]
