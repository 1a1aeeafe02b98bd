"""Verbs on registered models and their tokens: each is one transaction with its audit row.

A model is bound to a key that is valid and sees the Mistral model; a token is shown once, and only
its digest is kept.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.db.models.functions import Least, Now
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.common import grace, scope
from tenants.common.models import new_id
from tenants.common.problems import Conflict, Invalid
from tenants.common.secrets import Secret
from tenants.keys.models import MistralKey
from tenants.organizations import audit, outbox, workspaces
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization, Workspace
from tenants.registry import (
    announcing,
    choosing,
    conditions,
    default_model,
    issuing,
    publications,
    quotas,
    status,
)
from tenants.registry.models import ModelToken, RegisteredModel, TrafficPolicy
from tenants.registry.quotas import Policy

#: How long the token of a trial in the console works.
TRIAL = timedelta(minutes=15)
_BOUND = frozenset({"key", "mistral_model"})
_CHANGEABLE = frozenset(
    {
        "name",
        "description",
        "mistral_model",
        "context_size",
        "timeout",
        "purposes",
        "defaults",
        "external_id",
        "visible_to_tenant",
        "use_as_default",
    }
)


def _nothing(_model: RegisteredModel) -> int:
    return 0


def create_model(
    *,
    actor: Actor,
    organization: Organization,
    workspace: Workspace,
    name: str,
    mistral_model: str,
    purposes: Collection[str],
    key: MistralKey | None = None,
    description: str = "",
    context_size: int | None = None,
    timeout: int | None = None,
    defaults: Mapping[str, Any] | None = None,
    external_id: str = "",
    visible_to_tenant: bool = True,
    use_as_default: bool = False,
) -> tuple[RegisteredModel, Secret[str]]:
    """Register a model of a workspace and make its first token, which is never shown again.

    Args:
        actor: who registers it.
        organization: whose model it is.
        workspace: of the same organization.
        name: unique among the organization's models, whatever the case of its letters.
        mistral_model: a model that the key sees: snapshot, alias or ``ft:…``.
        purposes: at least one of ``Purpose``.
        key: of the same workspace; None chooses the best.
        description: for people.
        context_size: tokens; None takes what the model has.
        timeout: seconds; None: no wish.
        defaults: ``temperature``, ``max_tokens``, ``safe_prompt``; any of them.
        external_id: the caller's own.
        visible_to_tenant: as AIsuru has it.
        use_as_default: as AIsuru has it; needs ``visible_to_tenant``, and ends that of another.

    Raises:
        Invalid: ``model_not_available`` (with ``near_matches``), ``not_found`` for a key or
            workspace that is not there, or what ``conditions.check`` refuses.
        Conflict: ``name_taken``, ``default_taken``, ``workspace_archived``, ``no_usable_key``.
    """
    model = RegisteredModel(
        id=new_id(),
        organization=organization,
        name=name,
        description=description,
        mistral_model=mistral_model,
        context_size=context_size,
        timeout=timeout,
        purposes=list(purposes),
        defaults=dict(defaults or {}),
        external_id=external_id,
        visible_to_tenant=visible_to_tenant,
        use_as_default=use_as_default,
        created_by=actor.name,
    )
    conditions.check(model)
    with _unique(), scope.tenant(organization.id):
        if use_as_default:
            default_model.take_turn(organization)
        model.workspace = _active(workspace)
        choice = choosing.choose(model.workspace, mistral_model, key)
        model.key, model.snapshot = choice.key, choice.snapshot
        model.context_size = context_size or choice.context_length
        if use_as_default:
            default_model.take_over(actor=actor, model=model)
        model.save(force_insert=True)
        _row, token = issuing.issue(model)
        _record(actor, model, "model.created")
        outbox.announce(
            organization_id=organization.pk,
            workspace_id=model.workspace_id,
            kind="model.created",
            data={
                "model_id": str(model.pk),
                "name": model.name,
                "mistral_model": model.mistral_model,
                "key_id": str(model.key_id),
                "external_id": model.external_id,
                "purposes": model.purposes,
            },
        )
    return model, token


def update_model(
    *, actor: Actor, model: RegisteredModel, changes: Mapping[str, Any]
) -> RegisteredModel:
    """Change a model; ``key`` (None: the best) and ``mistral_model`` are checked as on creation.

    Unknown names are left out; a change that changes nothing is no event. A published model is
    changed in AIsuru too, by a worker; so where it is deleted, or gets another token.

    Raises:
        Invalid: as ``create_model``.
        Conflict: ``model_retired``, ``name_taken``, ``default_taken``, ``no_usable_key``.
    """
    changed = sorted(
        name
        for name, value in changes.items()
        if (name in _CHANGEABLE and getattr(model, name) != value)
        or (name == "key" and model.key_id != getattr(value, "pk", None))
    )
    if not changed:
        return model
    becomes_default = "use_as_default" in changed and changes["use_as_default"]
    with _unique(), scope.tenant(model.organization_id):
        if becomes_default:
            default_model.take_turn(model.organization)
        model = _locked(model.pk)
        before = status.of(model, timezone.now())
        for name in set(changed) - _BOUND:
            setattr(model, name, changes[name])
        conditions.check(model)
        if _BOUND & set(changed):
            _rebind(model, changes)
        if becomes_default:
            default_model.take_over(actor=actor, model=model)
        model.save(update_fields={*changed, "context_size", "snapshot"})
        _record(actor, model, "model.updated", changed)
        publications.follow(model)
        if before and not status.of(model, timezone.now()):
            announcing.ready(model)
    return model


def retire_model(
    *, actor: Actor, model: RegisteredModel, under_way: Callable[[RegisteredModel], int] = _nothing
) -> RegisteredModel:
    """Retire a model: its tokens stop at once, its history stays; twice changes nothing.

    Args:
        actor: who retires it.
        model: which.
        under_way: counts work that somebody still waits for, which this room does not know.

    Raises:
        Conflict: ``model_in_use``, with ``batch_jobs``, how many.
    """
    with scope.tenant(model.organization_id):
        active = RegisteredModel.objects.filter(pk=model.pk, retired_at=None)
        if jobs := under_way(model):
            detail = _(
                "Batch jobs of this model are still under way at Mistral. Wait until they are over,"
                " or delete it by force: what they cost is booked all the same."
            )
            raise Conflict("model_in_use", detail, batch_jobs=jobs)
        if active.update(retired_at=Now()):
            ModelToken.objects.filter(model=model, revoked_at=None).update(revoked_at=Now())
            _record(actor, model, "model.retired")
            publications.follow(model, is_wanted=False)
        model.refresh_from_db(fields=["retired_at"])
    return model


def rotate_token(*, actor: Actor, model: RegisteredModel, grace_seconds: int = 0) -> Secret[str]:
    """Make a new token; the old ones stop after the grace, at once if there is none.

    An older token's own end is never moved to a later time.

    Raises:
        Invalid: ``grace_out_of_range``: below zero, or longer than thirty days.
        Conflict: ``model_retired``.
    """
    grace.check(grace_seconds)
    with scope.tenant(model.organization_id):
        model = _locked(model.pk)
        old = ModelToken.objects.filter(model=model, revoked_at=None)
        if grace_seconds:
            ends_at = Now() + timedelta(seconds=grace_seconds)
            old.update(expires_at=Least("expires_at", ends_at))  # NULLs do not count
        else:
            old.update(revoked_at=Now())
        _row, token = issuing.issue(model)
        _record(actor, model, "model.token_rotated")
        publications.follow(model)
    return token


def issue_trial_token(*, actor: Actor, model: RegisteredModel) -> tuple[Secret[str], datetime]:
    """Make a token for somebody who tries a model in the console; the other tokens go on.

    It stops by itself after ``TRIAL``, and with the others when they are rotated or the model goes.

    Returns:
        The token, and when it stops.

    Raises:
        Conflict: ``model_retired``.
    """
    with scope.tenant(model.organization_id):
        model = _locked(model.pk)
        ends_at = timezone.now() + TRIAL
        _row, token = issuing.issue(model, expires_at=ends_at)
        _record(actor, model, "model.trial_started")
    return token, ends_at


def _active(workspace: Workspace) -> Workspace:
    """Hold a workspace of the organization in whose scope this is, and refuse an archived one."""
    try:
        return workspaces.active(workspace.pk)
    except Workspace.DoesNotExist:
        detail = _("There is no such workspace in this organization.")
        raise Invalid.field("/workspace_id", "not_found", detail) from None


def _locked(model_id: UUID) -> RegisteredModel:
    """Lock a model that is not retired, with all that its status depends on.

    Raises:
        Conflict: ``model_retired``.
    """
    found = (
        RegisteredModel.objects.select_for_update(no_key=True, of=("self",))
        .select_related("organization", "workspace__organization", "key")
        .filter(pk=model_id, retired_at=None)
        .first()
    )
    if found is None:
        raise Conflict("model_retired", _("This model was deleted. Create a new one."))
    return found


def _rebind(model: RegisteredModel, changes: Mapping[str, Any]) -> None:
    """Give a model another key, another Mistral model, or both; check them together."""
    mistral_model = changes.get("mistral_model", model.mistral_model)
    choice = choosing.choose(model.workspace, mistral_model, changes.get("key", model.key))
    model.mistral_model, model.key, model.snapshot = mistral_model, choice.key, choice.snapshot
    too_large = (
        model.context_size and choice.context_length and model.context_size > choice.context_length
    )
    if too_large and "context_size" not in changes:
        model.context_size = choice.context_length


def _record(actor: Actor, model: RegisteredModel, verb: str, changed: Collection[str] = ()) -> None:
    audit.record(
        actor=actor,
        organization_id=model.organization_id,
        verb=verb,
        target=model,
        changed=list(changed),
    )


@contextmanager
def _unique() -> Iterator[None]:
    """Turn the database's word on a taken name, or a default out of sight, into a refusal."""
    try:
        yield
    except IntegrityError as error:
        if "model_default_uniq" in str(error):
            raise default_model.taken() from None
        if "model_name_uniq" not in str(error):
            raise
        detail = _("Another model of this organization has this name. Choose a different one.")
        raise Conflict("name_taken", detail) from None


def reset_rate_limits(
    *, actor: Actor, organization: Organization, mistral_model: str | None = None
) -> int:
    """Have the gateway forget what Mistral's refusals taught; return of how many quotas.

    Within a second or so calls go out again: pauses, models outside the plan, guessed limits. What
    Mistral's headers tell, and what is configured, stays.

    Raises:
        Invalid: ``model_unknown``, with ``near_matches``.
    """
    with scope.tenant(organization.pk):
        count = quotas.reset(organization.pk, mistral_model)
        audit.record(
            actor=actor,
            organization_id=organization.pk,
            verb="rate_limits.reset",
            target=organization,
            changed=[] if mistral_model is None else [mistral_model],
        )
    return count


def set_traffic_policy(
    *,
    actor: Actor,
    organization: Organization,
    workspace: Workspace,
    policy: Policy,
) -> TrafficPolicy:
    """Set how a workspace's calls are treated where there is a choice.

    The gateway follows within a second.

    Raises:
        Conflict: ``workspace_archived``.
    """
    wanted = asdict(policy)
    with scope.tenant(organization.pk):
        # Two at once follow each other.
        locked = workspaces.active(workspace.pk, alone=True)
        found = TrafficPolicy.objects.filter(workspace=locked).first()
        made = found or TrafficPolicy(organization=organization, workspace=locked)
        changed = sorted(name for name, value in wanted.items() if getattr(made, name) != value)
        if changed or found is None:
            for name, value in wanted.items():
                setattr(made, name, value)
            made.save()
            audit.record(
                actor=actor,
                organization_id=organization.pk,
                verb="traffic_policy.set",
                target=made,
                changed=changed,
            )
    return made
