"""What the Admin API lists of an organization, read leniently (see ``lenient``): it is a preview.

A row of an unknown shape is left out and counted. Plaintext keys are never read, should one ever be
sent. Shapes: openapi-admin.json (platform-docs-public, Apache-2.0).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tenants.mistral.lenient import (
    Listed,
    count,
    day,
    document_of,
    instant,
    listed,
    mapping,
    number,
    text,
    texts,
)


@dataclass(frozen=True, slots=True)
class SpendLimit:
    """The organization's spending limit at Mistral; None where it is not told, or not set."""

    limit: Decimal | None
    usage: Decimal | None
    is_unlimited: bool
    is_reached: bool
    payment_failed: bool
    currency: str


@dataclass(frozen=True, slots=True)
class TokenLimit:
    """How many tokens of one model."""

    model: str
    per_minute: int | None
    per_month: int | None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The organization's rate limits."""

    requests_per_second: int | None
    models: Listed[TokenLimit]


@dataclass(frozen=True, slots=True)
class AdminWorkspace:
    """A workspace as the Admin API lists it."""

    id: str
    name: str
    description: str
    icon: str
    is_default: bool
    members: int | None
    limit: Decimal | None
    currency: str


@dataclass(frozen=True, slots=True)
class AdminMember:
    """A person of the organization, or one who is invited (``is_invited``)."""

    id: str
    email: str
    name: str
    roles: tuple[str, ...]
    workspaces: tuple[str, ...]
    is_invited: bool


@dataclass(frozen=True, slots=True)
class AdminRole:
    """A role by its id; which id is which role is told by no document."""

    id: str
    name: str
    is_of_workspaces: bool


@dataclass(frozen=True, slots=True)
class AdminApiKey:
    """An API key as an administrator sees it: masked (``HQSx...Ug6Y``), never whole."""

    id: str
    name: str
    hidden: str
    workspace_id: str
    workspace_name: str
    created_at: datetime | None
    expires_on: date | None
    last_used_on: date | None
    created_by: str
    product: str

    @property
    def last4(self) -> str:
        """The four characters by which people recognise it; empty when they are not shown."""
        return self.hidden[-4:] if re.fullmatch(r".*[.…*•][A-Za-z0-9]{4}", self.hidden) else ""


def read_spend_limit(body: bytes) -> SpendLimit:
    """Read ``GET /v1/admin/spend-limit``."""
    limits = mapping(document_of(body).get("limits"))
    completion = mapping(limits.get("completion"))
    total = number(completion.get("total_usage"))
    return SpendLimit(
        limit=number(completion.get("usage_limit")),
        usage=number(completion.get("usage")) if total is None else total,
        is_unlimited=completion.get("no_monthly_limit") is True,
        is_reached=completion.get("monthly_limit_reached") is True,
        payment_failed=limits.get("last_payment_failure") is True,
        currency=text(limits.get("currency")).upper(),
    )


def read_rate_limit(body: bytes) -> RateLimit:
    """Read ``GET /v1/admin/rate-limit``."""
    answer = document_of(body)
    models = mapping(answer.get("tokens_limits_by_model"))
    found: list[TokenLimit] = []
    skipped = 0
    for name, limits in models.items():
        if not text(name) or not isinstance(limits, dict):
            skipped += 1
            continue
        per_minute, per_month = limits.get("tokens_per_minute"), limits.get("tokens_per_month")
        found.append(TokenLimit(text(name), count(per_minute), count(per_month)))
    return RateLimit(
        count(answer.get("requests_per_second")),
        Listed(tuple(found), skipped, len(models), len(models)),
    )


def read_workspaces(body: bytes) -> Listed[AdminWorkspace]:
    """Read a page of ``GET /v1/admin/workspaces``."""
    answer = document_of(body)
    return listed(answer.get("items"), _workspace, count(answer.get("total")))


def read_members(body: bytes) -> Listed[AdminMember]:
    """Read a page of ``GET /v1/admin/users``: members, then the invitations that came along."""
    answer = document_of(body)
    members = listed(answer.get("members"), _member, count(answer.get("total")))
    invited = listed(answer.get("invites"), _invitation)
    return Listed(
        members.rows + invited.rows, members.skipped + invited.skipped, members.sent, members.total
    )


def read_api_keys(body: bytes) -> Listed[AdminApiKey]:
    """Read a page of ``GET /v1/admin/api-keys``; their plaintext member is not looked at."""
    return listed(document_of(body).get("keys"), _api_key)


def read_roles(body: bytes) -> Listed[AdminRole]:
    """Read ``GET /v1/admin/roles``."""
    answer = document_of(body)
    of_workspaces = listed(answer.get("workspace_roles"), lambda row: _role(row, of=True))
    others = listed(answer.get("organization_roles"), lambda row: _role(row, of=False))
    sent = of_workspaces.sent + others.sent
    return Listed(
        of_workspaces.rows + others.rows, of_workspaces.skipped + others.skipped, sent, sent
    )


def _workspace(row: Mapping[str, Any]) -> AdminWorkspace | None:
    identifier, name = text(row.get("uuid")), text(row.get("name"))
    if not identifier or not name:
        return None
    limit = mapping(row.get("spend_limit"))
    is_limited = limit.get("no_monthly_limit") is not True
    return AdminWorkspace(
        id=identifier,
        name=name,
        description=text(row.get("description")),
        icon=text(row.get("icon")),
        is_default=row.get("is_default") is True,
        members=count(row.get("members_count")),
        limit=number(limit.get("value")) if is_limited else None,
        currency=text(limit.get("currency")).upper(),
    )


def _member(row: Mapping[str, Any]) -> AdminMember | None:
    identifier, email = text(row.get("uuid")), text(row.get("email"))
    if not identifier or not email:
        return None
    workspaces = row.get("workspaces")
    return AdminMember(
        id=identifier,
        email=email,
        name=text(row.get("name")),
        roles=texts(row.get("raw_roles")) or texts([row.get("raw_role")]),
        workspaces=texts(
            [mapping(one).get("uuid") for one in workspaces] if isinstance(workspaces, list) else ()
        ),
        is_invited=False,
    )


def _invitation(row: Mapping[str, Any]) -> AdminMember | None:
    identifier, email = text(row.get("uuid")), text(row.get("email"))
    if not identifier or not email or row.get("expired") is True:
        return None
    roles = texts(row.get("raw_roles")) or texts([row.get("raw_role")])
    return AdminMember(identifier, email, "", roles, texts(row.get("workspace_uuids")), True)  # noqa: FBT003 - a fact of the row


def _api_key(row: Mapping[str, Any]) -> AdminApiKey | None:
    identifier = text(row.get("key_id"))
    if not identifier:
        return None
    return AdminApiKey(
        id=identifier,
        name=text(row.get("name")),
        hidden=text(row.get("hidden_key")),
        workspace_id=text(row.get("workspace_id")),
        workspace_name=text(row.get("workspace_name")),
        created_at=instant(row.get("created_at")),
        expires_on=day(row.get("expiration_date")),
        last_used_on=day(row.get("last_used")),
        created_by=text(row.get("created_by")),
        product=text(row.get("product")),
    )


def _role(row: Mapping[str, Any], *, of: bool) -> AdminRole | None:
    identifier, name = text(row.get("uuid")), text(row.get("name"))
    return AdminRole(identifier, name, of) if identifier and name else None
