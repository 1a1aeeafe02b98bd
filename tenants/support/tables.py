"""Tables of one organization's things, inside an open session: what staff may see of each.

Sealed bytes, digests and fingerprints are never read here; a key is its last four, a token its
hint.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from tenants.assistance.staff import unmarked
from tenants.assistance.visiting import Visit
from tenants.keys import verdicts
from tenants.keys.models import MistralKey
from tenants.organizations.models import AuditEvent
from tenants.registry import status
from tenants.registry.models import RegisteredModel
from tenants.spend.calls import Outcome
from tenants.spend.models import Hold, UsageEvent
from tenants.support import words
from tenants.support.pages import NOTHING, Button, amount, link, when
from tenants.support.words import told

type Rows = list[list[Any]]

#: Columns of a key that a page reads: no sealed bytes, no fingerprint.
KEY_COLUMNS = (
    "id",
    "organization_id",
    "workspace_id",
    "name",
    "last4",
    "status",
    "verdict_code",
    "checked_at",
    "evidence",
    "identity",
    "models_seen",
    "expires_on",
    "next_check_at",
    "last_used_at",
)


def keys(visit: Visit, found: Iterable[MistralKey]) -> Rows:
    """Keys with their verdicts, in the reader's language."""
    return [
        [
            link(
                reverse("admin:key", args=[visit.organization.pk, key.pk]),
                f"{key.name or NOTHING} …{key.last4}",
            ),
            key.workspace.name,
            told(words.KEYS, key.status),
            verdict.title if (verdict := verdicts.of(key)) else NOTHING,
            when(key.checked_at),
            key.evidence.get("http_status") or NOTHING,
        ]
        for key in found
    ]


def key_headers() -> list[str]:
    """Name the columns of ``keys``."""
    return [_("Key"), _("Workspace"), _("Status"), _("Verdict"), _("Checked"), _("Mistral said")]


def key_buttons(visit: Visit, found: Iterable[MistralKey]) -> list[Button]:
    """Have a key checked now."""
    if not visit.may("key:check"):
        return []
    return [
        Button(
            _("Check …%(last4)s now") % {"last4": key.last4},
            reverse("admin:key_check", args=[visit.organization.pk, key.pk]),
        )
        for key in found
    ]


def is_blocked(model: RegisteredModel) -> bool:
    """Tell whether something stops a model now."""
    return status.of(model, timezone.now()) is not None


def models(_visit: Visit, found: Iterable[RegisteredModel]) -> Rows:
    """Models, and why one answers no calls."""
    now = timezone.now()
    rows: Rows = []
    for model in found:
        reason = status.of(model, now)
        rows.append(
            [
                model.name,
                model.workspace.name,
                model.mistral_model,
                f"…{model.key.last4}",
                _("blocked") if reason else _("ready"),
                status.explain(reason) if reason else NOTHING,
            ]
        )
    return rows


def model_headers() -> list[str]:
    """Name the columns of ``models``."""
    return [_("Model"), _("Workspace"), _("Mistral model"), _("Key"), _("Status"), _("Why")]


def calls(visit: Visit, found: Iterable[UsageEvent]) -> Rows:
    """Metered calls: no prompt, no answer."""
    return [
        [
            link(reverse("admin:call", args=[visit.organization.pk, event.id]), event.id),
            when(event.occurred_at),
            event.endpoint,
            event.mistral_model,
            told(words.OUTCOMES, event.outcome),
            event.http_status or NOTHING,
            cause(event),
            amount(event.cost, event.currency),
        ]
        for event in found
    ]


def call_headers() -> list[str]:
    """Name the columns of ``calls``."""
    return [
        _("Call"),
        _("When"),
        _("Endpoint"),
        _("Mistral model"),
        _("Outcome"),
        _("Status"),
        _("Cause"),
        _("Cost"),
    ]


def cause(event: UsageEvent) -> str:
    """Say who made a call fail: the gateway, Mistral, or the caller; empty where it did not."""
    return {
        Outcome.REFUSED.value: _("provider: Mistral refused it"),
        Outcome.FAILED.value: _("provider: Mistral failed or did not answer"),
        Outcome.NOT_SENT.value: _("gateway: it was not sent to Mistral"),
        Outcome.DISCONNECTED.value: _("caller: it went away during the answer"),
        Outcome.UNKNOWN.value: _("gateway: the process ended before the call did"),
    }.get(event.outcome, "")


def holds(found: Iterable[Hold]) -> Rows:
    """Calls that are going on, or were left behind."""
    return [
        [hold.id, when(hold.started_at), hold.requested_model, amount(hold.amount, hold.currency)]
        for hold in found
    ]


def hold_headers() -> list[str]:
    """Name the columns of ``holds``."""
    return [_("Call"), _("Started"), _("Mistral model"), _("Held")]


def events(_visit: Visit, found: Sequence[AuditEvent]) -> Rows:
    """Audit events, newest first."""
    return [
        [
            when(event.created_at),
            _actor(event),
            words.deed(event.verb),
            words.thing(event),
            words.changed(event) or NOTHING,
        ]
        for event in found
    ]


def _actor(event: AuditEvent) -> SafeString:
    return format_html("{} · {}", unmarked(event), told(words.ACTORS, event.actor_kind))


def event_headers() -> list[str]:
    """Name the columns of ``events``."""
    return [_("When"), _("Who"), _("What"), _("To what"), _("Changed")]
