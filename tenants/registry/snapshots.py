"""What the gateway knows of a model token: one immutable picture, read in one short transaction.

Prices and limits are not in it: spend is the floor above. A picture is good for as long as its
holder dares (a second); it never contains a plaintext key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, FilteredRelation, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now
from django.utils import timezone

from tenants.common import scope
from tenants.keys import expiry
from tenants.keys.models import KeyStatus, MistralKey
from tenants.keys.quota import is_known, quota_code
from tenants.keys.sealed import SealedKey
from tenants.organizations.data_keys import WrappedKey
from tenants.organizations.models import DataKey
from tenants.registry import catalog
from tenants.registry.models import ModelToken
from tenants.registry.status import BlockedReason, Circumstances

_MOST_ALTERNATES = 20


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
class TokenFacts:
    """The token that was shown; the holder of a snapshot checks ``expires_at`` again."""

    id: UUID
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A model token and everything a call needs to know but prices and limits."""

    organization: OrganizationFacts
    workspace: WorkspaceFacts
    model: ModelFacts
    key: KeyFacts
    token: TokenFacts

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


def resolve(digest: bytes) -> Snapshot | None:
    """Find what a model token stands for; None when it is not ours, revoked or over.

    A blocked model has a snapshot too: ask ``Snapshot.blocked``.

    Args:
        digest: of the token, as ``common.tokens.digest`` makes it.
    """
    organization_id = _organization_of(digest)
    if organization_id is None:
        return None
    with scope.tenant(organization_id):
        token = _live_tokens().filter(digest=digest).first()
    return None if token is None else _snapshot(token)


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
                data_key_id=Subquery(data_key.values("id")),
                data_key_wrapped=Subquery(data_key.values("wrapped")),
            )
            .order_by("id")[:_MOST_ALTERNATES]
        )
        found: dict[str, KeyFacts] = {}
        for row in rows:
            facts = _key_facts(row, row)
            if is_known(facts.quota_code) and facts.quota_code != snapshot.key.quota_code:
                found.setdefault(facts.quota_code, facts)
    return tuple(found.values())


def _organization_of(digest: bytes) -> UUID | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT registry_find_token(%s)", [digest])
        found: UUID | None = cursor.fetchone()[0]
    return found


def _live_tokens() -> QuerySet[ModelToken]:
    """Tokens that are neither revoked nor over by the database's clock, with all they lead to."""
    data_key = DataKey.objects.filter(
        organization_id=OuterRef("organization_id"),
        version=OuterRef("model__key__data_key_version"),
    )
    seen = FilteredRelation(
        "model__key__seen_models",
        condition=Q(model__key__seen_models__mistral_id=F("model__mistral_model")),
    )
    return (
        ModelToken.objects.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None)
        .select_related("organization", "model__workspace", "model__key")
        .annotate(
            seen=seen,
            seen_name=F("seen__name"),
            seen_root=F("seen__root"),
            seen_context=F("seen__context_length"),
            data_key_id=Subquery(data_key.values("id")),
            data_key_wrapped=Subquery(data_key.values("wrapped")),
        )
    )


def _snapshot(token: Any) -> Snapshot:
    """Turn a row of ``_live_tokens``, annotations included, into plain data."""
    model, organization = token.model, token.organization
    published = catalog.find(model.mistral_model)
    fallback = published.context_length if published else None
    return Snapshot(
        organization=OrganizationFacts(
            organization.id,
            organization.status,
            organization.locale,
            organization.timezone,
            organization.currency,
        ),
        workspace=WorkspaceFacts(model.workspace_id, model.workspace.archived_at is not None),
        model=ModelFacts(
            id=model.id,
            name=model.name,
            mistral_model=model.mistral_model,
            canonical_model=catalog.canonical(token.seen_name or model.mistral_model),
            base_model=token.seen_root or catalog.base_of(model.mistral_model),
            context_length=token.seen_context or fallback,
            context_size=model.context_size,
            timeout=model.timeout,
            defaults=MappingProxyType(model.defaults),
            is_retired=model.retired_at is not None,
        ),
        key=_key_facts(model.key, token),
        token=TokenFacts(token.id, token.expires_at),
    )


def _key_facts(key: MistralKey, annotated: Any) -> KeyFacts:
    """Turn a key into plain data; ``annotated`` has the data key that opens it."""
    return KeyFacts(
        key.pk,
        key.status,
        key.expires_on,
        _sealed(key, annotated),
        quota_code(key.pk, key.mistral_workspace_id, key.identity),
    )


def _sealed(key: MistralKey, annotated: Any) -> SealedKey | None:
    if key.sealed is None:
        return None
    wrapped = None
    if annotated.data_key_id is not None:
        wrapped = WrappedKey(
            key.organization_id,
            annotated.data_key_id,
            key.data_key_version,
            bytes(annotated.data_key_wrapped),
        )
    return SealedKey(
        key.organization_id,
        key.workspace_id,
        key.id,
        key.secret_version,
        bytes(key.sealed),
        wrapped,
    )
