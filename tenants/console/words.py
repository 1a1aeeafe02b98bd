"""What the console calls things: one term for each, in both languages."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from tenants.access.models import TokenScope
from tenants.keys.models import KeyStatus
from tenants.mistral.windows import DAY, MONTH
from tenants.organizations.roles import Role, WorkspaceRole
from tenants.registry.models import Purpose
from tenants.registry.status import ModelStatus
from tenants.spend.calls import Outcome
from tenants.spend.pricing import Meter

#: A status, and the tone in which it is shown beside its word and sign.
KEY_STATUS: Mapping[str, tuple[Promise, str]] = {
    KeyStatus.PENDING: (_("checking"), "wait"),
    KeyStatus.VALID: (_("valid"), "good"),
    KeyStatus.INVALID: (_("not valid"), "bad"),
    KeyStatus.SUSPENDED: (_("suspended"), "warn"),
    KeyStatus.EXPIRED: (_("expired"), "bad"),
    KeyStatus.UNREACHABLE: (_("not reachable"), "warn"),
    KeyStatus.UNDECRYPTABLE: (_("cannot be opened"), "bad"),
    KeyStatus.REVOKED: (_("revoked"), "off"),
}
MODEL_STATUS: Mapping[str, tuple[Promise, str]] = {
    ModelStatus.READY: (_("ready"), "good"),
    ModelStatus.BLOCKED: (_("blocked"), "bad"),
}
ROLES: Mapping[str, Promise] = {
    Role.ADMIN: _("Admin"),
    Role.BILLING: _("Billing"),
    Role.MEMBER: _("Member"),
}
WORKSPACE_ROLES: Mapping[str, Promise] = {
    WorkspaceRole.ADMIN: _("Admin"),
    WorkspaceRole.MEMBER: _("Member"),
}
PURPOSES: Mapping[str, Promise] = {
    Purpose.QUESTION_ANSWERING: _("Answering"),
    Purpose.IMPORT_EXPORT: _("Import and export"),
    Purpose.DEEP_THOUGHT: _("Deep thought"),
}
#: How a call ended, where it was not answered.
OUTCOMES: Mapping[str, Promise] = {
    Outcome.REFUSED: _("refused by Mistral"),
    Outcome.FAILED: _("Mistral failed"),
    Outcome.DISCONNECTED: _("the caller went away"),
    Outcome.NOT_SENT: _("not sent to Mistral"),
    Outcome.UNKNOWN: _("ended with the process"),
}
#: Why an attempt to deliver to a webhook had no answer (``notices.webhooks.Answer``).
UNANSWERED: Mapping[str, Promise] = {
    "address_not_allowed": _("the address may not be posted to"),
    "name_not_resolved": _("the name leads nowhere"),
    "not_reachable": _("nobody answers there"),
    "tls_failed": _("its certificate is not accepted"),
    "timed_out": _("no answer in time"),
    "broken_answer": _("the answer broke off"),
    "secret_unreadable": _("its secret cannot be opened: make a new one"),
}
#: What a certificate of erasure says that stays.
RETAINED: Mapping[str, Promise] = {
    "audit_events": _("the audit log, by ids"),
    "identifiers": _("ids of what there was"),
    "limits": _("amounts of limits"),
    "support_sessions": _("who of the support staff looked in, and when"),
    "usage_ledger": _("metered calls and sums, by ids"),
}
CAPABILITIES: Mapping[str, Promise] = {
    "completion_chat": _("chat"),
    "function_calling": _("tools"),
    "vision": _("images"),
    "reasoning": _("reasoning"),
    "ocr": _("documents"),
    "audio": _("audio"),
    "completion_fim": _("code"),
}
METERS: Mapping[str, Promise] = {
    Meter.INPUT: _("Input tokens"),
    Meter.CACHED_INPUT: _("Cached input tokens"),
    Meter.OUTPUT: _("Output tokens"),
    Meter.PAGE: _("Pages"),
    Meter.ANNOTATED_PAGE: _("Annotated pages"),
    Meter.AUDIO_SECOND: _("Seconds of audio"),
    Meter.CHARACTER: _("Characters"),
}
SCOPES: Mapping[str, Promise] = {
    TokenScope.ORGANIZATIONS_READ: _("read the organization"),
    TokenScope.ORGANIZATIONS_WRITE: _("change the organization"),
    TokenScope.WORKSPACES_READ: _("read workspaces"),
    TokenScope.WORKSPACES_WRITE: _("change workspaces"),
    TokenScope.MEMBERS_READ: _("read members"),
    TokenScope.MEMBERS_WRITE: _("change members"),
    TokenScope.BILLING_READ: _("read billing details"),
    TokenScope.BILLING_WRITE: _("change billing details"),
    TokenScope.KEYS_READ: _("read API keys"),
    TokenScope.KEYS_WRITE: _("change API keys"),
    TokenScope.KEYS_USE: _("use API keys"),
    TokenScope.MODELS_READ: _("read models"),
    TokenScope.MODELS_WRITE: _("change models"),
    TokenScope.SPEND_READ: _("read spend"),
    TokenScope.SPEND_WRITE: _("correct spend"),
    TokenScope.USAGE_WRITE: _("report usage"),
    TokenScope.LIMITS_READ: _("read limits"),
    TokenScope.LIMITS_WRITE: _("change limits"),
    TokenScope.TOKENS_READ: _("read tokens"),
    TokenScope.TOKENS_WRITE: _("change tokens"),
    TokenScope.WEBHOOKS_READ: _("read webhooks"),
    TokenScope.WEBHOOKS_WRITE: _("change webhooks"),
    TokenScope.AUDIT_READ: _("read the audit log"),
    TokenScope.ORGANIZATIONS_EXPORT: _("export the organization"),
}
#: What Mistral's rate limits count.
WINDOW_METERS: Mapping[str | None, Promise] = {
    "requests": _("requests"),
    "tokens": _("tokens"),
    "ocr-pages": _("pages read by OCR"),
}
#: For how long they count it, by seconds.
WINDOW_SPANS: Mapping[int, Promise] = {
    1: _("%(meter)s a second"),
    60: _("%(meter)s a minute"),
    3600: _("%(meter)s an hour"),
    DAY: _("%(meter)s a day"),
    MONTH: _("%(meter)s a month"),
}


def key_called(name: str, last4: str) -> str:
    """Call a key by its name, if it has one, and its end."""
    return f"{name or _('Without a name')} …{last4}"
