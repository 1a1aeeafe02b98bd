"""Which key a model gets, and whether that key sees the Mistral model; inside the tenant's scope.

The chosen key's row is locked, so that it cannot be deleted before the model that uses it is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.common.problems import Conflict, Invalid
from tenants.keys import expiry
from tenants.keys.models import Availability, KeyStatus, MistralKey, SeenModel
from tenants.organizations.models import Workspace
from tenants.registry import catalog


@dataclass(frozen=True, slots=True)
class Choice:
    """A key that is valid and sees the model, and what is known of the model there.

    Attributes:
        context_length: how many tokens the model takes.
        snapshot: what answers to its name at present.
    """

    key: MistralKey
    context_length: int | None
    snapshot: str


def choose(workspace: Workspace, mistral_model: str, key: MistralKey | None) -> Choice:
    """Check the wished key, or find the valid one that sees the model and lives longest.

    Args:
        workspace: with its organization loaded.
        mistral_model: snapshot, alias or ``ft:…``.
        key: None to choose.

    Raises:
        Invalid: ``not_found``: the key is no key of this workspace; ``model_not_available``, with
            ``near_matches``.
        Conflict: ``no_usable_key``, with ``key_status`` of the wished one.
    """
    if key is not None:
        keys = _wished(workspace, key)
    else:
        keys = _valid(workspace)
        if not keys.exists():
            raise _none_usable(workspace)
    chosen = (
        keys.filter(
            seen_models__mistral_id=mistral_model,
            seen_models__availability=Availability.AVAILABLE,
        )
        .order_by(F("expires_on").desc(nulls_first=True), "-id")
        .select_for_update(no_key=True, of=("self",))
        .first()
    )
    if chosen is None:
        raise _not_available(mistral_model, keys)
    seen = SeenModel.objects.get(key=chosen, mistral_id=mistral_model)
    published = catalog.find(mistral_model)
    fallback = published.context_length if published else None
    return Choice(chosen, seen.context_length or fallback, catalog.canonical(seen.name))


def _valid(workspace: Workspace) -> QuerySet[MistralKey]:
    today = expiry.today(workspace.organization.timezone, timezone.now())
    return MistralKey.objects.filter(
        Q(expires_on=None) | Q(expires_on__gte=today), workspace=workspace, status=KeyStatus.VALID
    )


def _wished(workspace: Workspace, key: MistralKey) -> QuerySet[MistralKey]:
    present = MistralKey.objects.filter(pk=key.pk, workspace=workspace, revoked_at=None)
    found = present.first()
    if found is None:
        raise Invalid.field("/key_id", "not_found", _("There is no such key in this workspace."))
    valid = _valid(workspace).filter(pk=key.pk)
    if not valid.exists():
        if found.status == KeyStatus.PENDING:
            detail = _("This key is still being checked. Try again in a moment.")
        else:
            detail = _("This key is not valid at present. Its last check says what to do.")
        raise Conflict("no_usable_key", detail, key_status=found.status)
    return valid


def _none_usable(workspace: Workspace) -> Conflict:
    statuses = set(
        MistralKey.objects.filter(workspace=workspace, revoked_at=None).values_list(
            "status", flat=True
        )
    )
    if not statuses:
        detail = _("This workspace has no API key. Register one first.")
    elif KeyStatus.PENDING in statuses:
        detail = _("The API key of this workspace is still being checked. Try again in a moment.")
    else:
        detail = _("No API key of this workspace is valid at present. Their checks say what to do.")
    return Conflict("no_usable_key", detail)


def _not_available(mistral_model: str, keys: QuerySet[MistralKey]) -> Invalid:
    callable_ones = SeenModel.objects.filter(key__in=keys, availability=Availability.AVAILABLE)
    seen = set(callable_ones.values_list("mistral_id", flat=True))
    near = _nearest(mistral_model, seen)
    if near:
        detail = _(
            "The API key does not see the model %(model)s at Mistral. Similar models that it sees:"
            " %(near)s."
        ) % {"model": mistral_model, "near": ", ".join(near)}
    else:
        detail = _(
            "The API key does not see the model %(model)s at Mistral, nor one with a similar name."
        ) % {"model": mistral_model}
    return Invalid.field("/model", "model_not_available", detail, near_matches=near)


def _nearest(mistral_model: str, seen: set[str]) -> Sequence[str]:
    """Put Mistral's own replacement of a retired model before what is merely spelled alike."""
    published = catalog.find(mistral_model)
    replacement = published.replacement if published else None
    near = catalog.near_matches(mistral_model, seen)
    if replacement is None or replacement not in seen:
        return near
    return [replacement, *(name for name in near if name != replacement)]
