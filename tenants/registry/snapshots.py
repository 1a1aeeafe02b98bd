"""What the gateway knows of a model token: one immutable picture, read in one short transaction.

Prices and limits are not in it: spend is the floor above. A picture is good for as long as its
holder dares (a second); it never contains a plaintext key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import F, FilteredRelation, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now
from django.utils import timezone

from tenants.common import scope
from tenants.common.prepared import Prepared
from tenants.keys import expiry
from tenants.keys.models import KeyStatus, MistralKey
from tenants.keys.quota import is_known, quota_code
from tenants.keys.sealed import SealedKey
from tenants.organizations.data_keys import WrappedKey
from tenants.organizations.models import DataKey
from tenants.registry import catalog, leading
from tenants.registry.leading import NONE, Moved
from tenants.registry.models import ModelToken
from tenants.registry.status import BlockedReason, Circumstances

_MOST_ALTERNATES = 20
_MOST_ORGANIZATIONS = 20_000
_organizations: dict[bytes, UUID] = {}


@dataclass(frozen=True, slots=True)
class OrganizationFacts:
    """Whose model it is; zone and currency decide in which budget month a call falls."""

    id: UUID
    status: str
    locale: str
    timezone: str
    currency: str


@dataclass(frozen=True, slots=True)
class WorkspaceFacts:
    """The workspace that the model belongs to."""

    id: UUID
    is_archived: bool


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The model.

    Attributes:
        name: the tenant's own name for it.
        mistral_model: the id that is sent to Mistral: a snapshot, an alias or ``ft:…``.
        canonical_model: the snapshot behind an alias, by Mistral's list or else by the catalogue; a
            fine-tuned model is its own snapshot.
        base_model: what a fine-tuned model was trained from; None for Mistral's own.
        context_length: how many tokens the model takes, by Mistral's list or the catalogue.
        context_size: how many of them the tenant wants used.
        timeout: seconds that the tenant gives an answer; None: no wish.
        defaults: ``temperature``, ``max_tokens``, ``safe_prompt``, each only if set.
    """

    id: UUID
    name: str
    mistral_model: str
    canonical_model: str
    base_model: str | None
    context_length: int | None
    context_size: int | None
    timeout: int | None
    defaults: Mapping[str, float | int | bool]
    is_retired: bool


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """The Mistral key behind the model; ``sealed`` is None once it was shredded.

    Keys with the same ``quota_code`` draw on one quota at Mistral.
    """

    id: UUID
    status: str
    expires_on: date | None
    sealed: SealedKey | None
    quota_code: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A model token and everything a call needs to know but prices and limits.

    That the token is not over was told by the database's clock. ``moved`` has the names that lead
    elsewhere for its key than the catalogue says.
    """

    organization: OrganizationFacts
    workspace: WorkspaceFacts
    model: ModelFacts
    key: KeyFacts
    token_id: UUID
    moved: Moved = NONE

    def leads_to(self, name: str) -> str:
        """Follow a name of Mistral's to its snapshot, by the key's list or else the catalogue."""
        return leading.follow(name, self.moved)

    def blocked(self, now: datetime) -> BlockedReason | None:
        """Find the reason that stops calls at an instant; None when there is none."""
        return Circumstances(
            organization_status=self.organization.status,
            timezone=self.organization.timezone,
            workspace_archived=self.workspace.is_archived,
            model_retired=self.model.is_retired,
            key_status=self.key.status,
            key_expires_on=self.key.expires_on,
        ).blocked(now)


class _TokenRow(NamedTuple):
    """What is read of a token, in the order of ``_TOKEN_COLUMNS``."""

    token_id: UUID
    organization_status: str
    organization_locale: str
    organization_timezone: str
    organization_currency: str
    workspace_id: UUID
    workspace_archived_at: datetime | None
    model_id: UUID
    model_name: str
    mistral_model: str
    context_size: int | None
    timeout: int | None
    defaults: dict[str, float | int | bool]
    retired_at: datetime | None
    seen_name: str | None
    seen_root: str | None
    seen_context: int | None


_TOKEN_COLUMNS = (
    "id",
    "organization__status",
    "organization__locale",
    "organization__timezone",
    "organization__currency",
    "model__workspace_id",
    "model__workspace__archived_at",
    "model_id",
    "model__name",
    "model__mistral_model",
    "model__context_size",
    "model__timeout",
    "model__defaults",
    "model__retired_at",
    "seen__name",
    "seen__root",
    "seen__context_length",
)


class _KeyRow(NamedTuple):
    """What is read of a key: ``_KEY_COLUMNS``, and the data key that opens it."""

    id: UUID
    organization_id: UUID
    workspace_id: UUID
    status: str
    expires_on: date | None
    mistral_workspace_id: str
    identity: dict[str, str | None] | None
    sealed: bytes | None
    secret_version: int
    data_key_version: int
    found_data_key: UUID | None
    found_wrapped: bytes


_KEY_COLUMNS = _KeyRow._fields[:-2]


def organization_of(digest: bytes) -> UUID | None:
    """Find whose model token this is; None when it is nobody's.

    A token never changes hands, so that one which was found is not looked for again.
    """
    found = _organizations.get(digest)
    if found is None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT registry_find_token(%s)", [digest])
            found = cursor.fetchone()[0]
        if found is not None:
            if len(_organizations) >= _MOST_ORGANIZATIONS:
                _organizations.clear()
            _organizations[digest] = found
    return found


def find(digest: bytes) -> Snapshot | None:
    """Find, in its organization's scope, what a model token stands for; see ``resolve``."""
    rows = _LIVE_TOKEN.ask(digest)
    if not rows:
        return None
    width = len(_TOKEN_COLUMNS)
    return _snapshot(_TokenRow(*rows[0][:width]), _KeyRow(*rows[0][width:]))


def resolve(digest: bytes) -> Snapshot | None:
    """Find what a model token stands for; None when it is not ours, revoked or over.

    A blocked model has a snapshot too: ask ``Snapshot.blocked``.

    Args:
        digest: of the token, as ``common.tokens.digest`` makes it.
    """
    organization_id = organization_of(digest)
    if organization_id is None:
        return None
    with scope.tenant(organization_id):
        return find(digest)


def alternates(snapshot: Snapshot) -> tuple[KeyFacts, ...]:
    """List the keys that a call could go out with instead: they add quota, and see the model.

    Only keys that Mistral names another workspace for than for the model's own key and for each
    other; what is not known adds nothing for sure.
    """
    if not is_known(snapshot.key.quota_code):
        return ()
    with scope.tenant(snapshot.organization.id):
        today = expiry.today(snapshot.organization.timezone, timezone.now())
        data_key = DataKey.objects.filter(
            organization_id=OuterRef("organization_id"), version=OuterRef("data_key_version")
        )
        rows = (
            MistralKey.objects.filter(
                Q(expires_on=None) | Q(expires_on__gte=today),
                workspace_id=snapshot.workspace.id,
                status=KeyStatus.VALID,
                seen_models__mistral_id=snapshot.model.mistral_model,
            )
            .exclude(pk=snapshot.key.id)
            .annotate(
                found_data_key=Subquery(data_key.values("id")),
                found_wrapped=Subquery(data_key.values("wrapped")),
            )
            .order_by("id")
            .values_list(*_KEY_COLUMNS, "found_data_key", "found_wrapped")[:_MOST_ALTERNATES]
        )
        found: dict[str, KeyFacts] = {}
        for row in rows:
            facts = _key_facts(_KeyRow(*row))
            if is_known(facts.quota_code) and facts.quota_code != snapshot.key.quota_code:
                found.setdefault(facts.quota_code, facts)
    return tuple(found.values())


def _live_token(digest: bytes) -> QuerySet[ModelToken, Any]:
    """A token that is neither revoked nor over by the database's clock, with all it leads to."""
    data_key = DataKey.objects.filter(
        organization_id=OuterRef("organization_id"),
        version=OuterRef("model__key__data_key_version"),
    )
    seen = FilteredRelation(
        "model__key__seen_models",
        condition=Q(model__key__seen_models__mistral_id=F("model__mistral_model")),
    )
    return (
        ModelToken.objects.filter(
            Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None, digest=digest
        )
        .annotate(
            seen=seen,
            found_data_key=Subquery(data_key.values("id")),
            found_wrapped=Subquery(data_key.values("wrapped")),
        )
        .values_list(
            *_TOKEN_COLUMNS,
            *(f"model__key__{name}" for name in _KEY_COLUMNS),
            "found_data_key",
            "found_wrapped",
        )
    )


_LIVE_TOKEN = Prepared(_live_token, bytes)


def _snapshot(row: _TokenRow, key: _KeyRow) -> Snapshot:
    """Turn what was read into plain data."""
    published = catalog.find(row.mistral_model)
    fallback = published.context_length if published else None
    return Snapshot(
        organization=OrganizationFacts(
            key.organization_id,
            row.organization_status,
            row.organization_locale,
            row.organization_timezone,
            row.organization_currency,
        ),
        workspace=WorkspaceFacts(row.workspace_id, row.workspace_archived_at is not None),
        model=ModelFacts(
            id=row.model_id,
            name=row.model_name,
            mistral_model=row.mistral_model,
            canonical_model=catalog.canonical(row.seen_name or row.mistral_model),
            base_model=row.seen_root or catalog.base_of(row.mistral_model),
            context_length=row.seen_context or fallback,
            context_size=row.context_size,
            timeout=row.timeout,
            defaults=MappingProxyType(row.defaults),
            is_retired=row.retired_at is not None,
        ),
        key=_key_facts(key),
        token_id=row.token_id,
        moved=leading.moved(key.id),
    )


def _key_facts(key: _KeyRow) -> KeyFacts:
    """Turn a key into plain data."""
    return KeyFacts(
        key.id,
        key.status,
        key.expires_on,
        _sealed(key),
        quota_code(key.id, key.mistral_workspace_id, key.identity),
    )


def _sealed(key: _KeyRow) -> SealedKey | None:
    if key.sealed is None:
        return None
    wrapped = None
    if key.found_data_key is not None:
        wrapped = WrappedKey(
            key.organization_id,
            key.found_data_key,
            key.data_key_version,
            bytes(key.found_wrapped),
        )
    return SealedKey(
        key.organization_id,
        key.workspace_id,
        key.id,
        key.secret_version,
        bytes(key.sealed),
        wrapped,
    )
