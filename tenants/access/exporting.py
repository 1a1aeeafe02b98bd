"""Everything of one organization but its secrets, line by line, in flat memory.

What is exported is declared here, table by table, and so is what is not, with the reason: a test
compares both lists with the database's catalogue, so that a new table fails until it is decided.
Columns of bytes are never exported: secrets, digests and fingerprints are in such columns alone.

Rows are read by pages in short transactions. A slow reader holds nothing; what changes meanwhile
may be in it or not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from django.apps import apps
from django.db.models import BinaryField, Model, QuerySet
from django.utils import timezone

from tenants.common import scope

VERSION = 1
PAGE = 200


@dataclass(frozen=True, slots=True)
class Part:
    """How a table's rows are exported.

    Attributes:
        name: what its rows are called.
        without: columns that say nothing of the tenant: leases, attempts.
        also: further members, and where they come from.
        text: columns of bytes that are UTF-8 text.
    """

    name: str
    without: tuple[str, ...] = ()
    also: Mapping[str, str] = field(default_factory=dict)
    text: tuple[str, ...] = ()


_LEASE = ("claim", "held_until", "attempts")
_PERSON = {"email": "person__email", "name": "person__name"}

#: By ``app.Model``, in the order of the export: what rows refer to comes first.
EXPORTED: Mapping[str, Part] = {
    "organizations.Organization": Part("organization"),
    "organizations.FormerTimeZone": Part("former_time_zones"),
    "organizations.Workspace": Part("workspaces"),
    "organizations.Member": Part("members", also=_PERSON),
    "organizations.WorkspaceMember": Part("workspace_members"),
    "organizations.Invitation": Part("invitations", ("held_until",)),
    "organizations.OrganizationDomain": Part("domains"),
    "organizations.JoinRequest": Part("join_requests"),
    "billing.BillingProfile": Part("billing_profile", ("attempts", "due_at")),
    "billing.Plan": Part("plan"),
    "onboarding.Confirmation": Part("onboarding_confirmations"),
    "access.OrganizationToken": Part("tokens"),
    "keys.MistralKey": Part("keys", (*_LEASE, "data_key_version", "asked_at", "doubts")),
    "keys.KeyVerdict": Part("key_verdicts"),
    "keys.KeyReplacement": Part("key_replacements", ("attempts", "data_key_version")),
    "keys.SeenModel": Part("models_seen"),
    "keys.KeyProbe": Part("key_probes", ("claim", "claimed_until")),
    "registry.RegisteredModel": Part("models"),
    "registry.ModelToken": Part("model_tokens"),
    "registry.ProviderResource": Part("provider_resources"),
    "registry.QuotaRecord": Part("rate_limits_observed"),
    "registry.TrafficPolicy": Part("traffic_policies"),
    "registry.AisuruConnection": Part("aisuru_connection", ("data_key_version",)),
    "registry.Publication": Part("publications", (*_LEASE, "due_at", "wanted", "done")),
    "spend.Limit": Part("limits"),
    "spend.LimitExtension": Part("limit_extensions"),
    "spend.Balance": Part("balances"),
    "spend.ThresholdAlert": Part("threshold_alerts"),
    "spend.WorkspacePolicy": Part("spend_policies"),
    "spend.Retention": Part("retention"),
    "spend.OrganizationPrice": Part("own_prices"),
    "spend.BasePricing": Part("prices_by_base"),
    "spend.LearnedOutput": Part("learned_outputs"),
    "spend.RateCount": Part("rate_counts"),
    "spend.BatchJob": Part("batch_jobs", _LEASE),
    "spend.Hold": Part("holds", ("writer_id",)),
    "spend.UsageEvent": Part("usage_events", ("transaction_id",)),
    "spend.Rollup": Part("spend_by_day"),
    "spend.Correction": Part("corrections"),
    "accounting.AdminKey": Part("admin_key", ("data_key_version",)),
    "accounting.SyncRun": Part("syncs", _LEASE),
    "accounting.Observed": Part("observed_at_mistral"),
    "accounting.Reconciliation": Part("reconciliations", _LEASE),
    "accounting.Statement": Part("statements", text=("json",)),
    "assistance.SupportGrant": Part("support_grants"),
    "assistance.SupportSession": Part("support_sessions"),
    "assistance.CorrectionRequest": Part("correction_requests"),
    "assistance.FactorReset": Part("second_factor_resets"),
    "organizations.Announcement": Part("announcements"),
    "notices.WebhookEndpoint": Part("webhooks"),
    "notices.WebhookSecret": Part("webhook_secrets"),
    "notices.Delivery": Part("webhook_deliveries", ("claim", "held_until")),
    "notices.Notice": Part("mails", _LEASE),
    "notices.MutedKind": Part("muted_kinds"),
    "organizations.AuditEvent": Part("audit_events"),
    "organizations.AuditLink": Part("audit_links"),
}

#: By ``app.Model``: why a table of tenants is not exported.
NOT_EXPORTED: Mapping[str, str] = {
    "access.TenantRequest": "sealed answers that are kept for a day, to be given again",
    "keys.SpentEnvelope": "digests of envelopes that were opened, against replay",
    "organizations.AuditHead": "the last of audit_links says the same",
    "organizations.DataKey": "wrapped keys: secrets, and of no use elsewhere",
    "organizations.ErasureCertificate": "of erased organizations only, which cannot be exported",
    "spend.PostedEvent": "digests of reported events, against counting twice",
}


def lines(organization_id: UUID) -> Iterator[bytes]:
    """Write an organization as NDJSON: a header, ``{"table", "row"}`` a row, an end with counts.

    Every chunk is a page's lines. An export without its last line was broken off.
    """
    began = timezone.now()
    yield _line({"export": VERSION, "organization_id": organization_id, "began_at": began})
    counts: dict[str, int] = {}
    for label, part in EXPORTED.items():
        counts[part.name] = 0
        for page in _pages(organization_id, apps.get_model(label), part):
            counts[part.name] += len(page)
            yield b"".join(_line({"table": part.name, "row": row}) for row in page)
    yield _line({"end": True, "ended_at": timezone.now(), "rows": counts})


def columns(model: type[Model], part: Part) -> list[str]:
    """Name the columns of a table that are exported."""
    return [
        found.attname
        for found in model._meta.concrete_fields
        if found.attname not in part.without
        and (found.attname in part.text or not isinstance(found, BinaryField))
        and found.name != "pk"
    ]


def _pages(organization_id: UUID, model: type[Model], part: Part) -> Iterator[list[dict[str, Any]]]:
    """Read a table page by page, each in a transaction of its own."""
    own = columns(model, part)
    last: Any = None
    while True:
        rows = QuerySet[Any](model).order_by("pk")
        if last is not None:
            rows = rows.filter(pk__gt=last)
        with scope.tenant(organization_id):
            page = list(rows.values("pk", *own, *part.also.values())[:PAGE])
        if page:
            last = page[-1]["pk"]
            yield [_row(found, own, part) for found in page]
        if len(page) < PAGE:
            return


def _row(found: dict[str, Any], own: list[str], part: Part) -> dict[str, Any]:
    row = {name: found[name] for name in own}
    row |= {name: found[path] for name, path in part.also.items()}
    row |= {name: bytes(found[name]).decode() for name in part.text}
    return row


def _line(members: Mapping[str, Any]) -> bytes:
    return orjson.dumps(
        members, default=_plain, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
    )


def _plain(value: Any) -> str:
    """Write what JSON has no type for.

    Raises:
        TypeError: bytes and whatever else nobody has thought of.
    """
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise TypeError(type(value).__name__)
