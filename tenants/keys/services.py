"""Verbs on Mistral keys: each is one transaction with its audit row; the checking is enqueued.

A key that is registered twice in one workspace is the same key. In two workspaces of one
organization it is accepted, and whoever registers it is told. Nothing is said, or looked up, about
*other* organizations: an answer that depended on them would tell a stranger who found a key whose
customer it belongs to, and would tell its owner something about a stranger.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

from django.db import IntegrityError
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tenants.common import grace, scope
from tenants.common.models import new_id
from tenants.common.problems import Conflict, Invalid
from tenants.common.queue import enqueue_on_commit
from tenants.common.secrets import Secret
from tenants.keys import (
    announcing,
    custody,
    expiry,
    intake,
    placing,
    replacing,
    shape,
    slots,
    tasks,
)
from tenants.keys.models import KeyStatus, MistralKey, SeenModel
from tenants.organizations import workspaces
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization, Workspace

_NAMES_TOLD = 20


@dataclass(frozen=True, slots=True)
class Caution:
    """Something the caller should know although the request succeeded."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Registration:
    """A key that was asked for.

    Attributes:
        created: False if the workspace had this very secret already.
        cautions: ``duplicate_elsewhere``, ``key_trimmed``; for the caller only.
    """

    key: MistralKey
    created: bool
    cautions: tuple[Caution, ...] = ()


def register_key(
    *,
    actor: Actor,
    workspace: Workspace,
    plain: Secret[str],
    name: str = "",
    expires_on: date | None = None,
    envelope: bytes | None = None,
) -> Registration:
    """Seal a key into a workspace as ``pending`` and have it checked.

    A key that the workspace has already stays as it is, unless its stored secret cannot be opened
    any more: then it is sealed anew.

    Args:
        actor: who registers it.
        workspace: where.
        plain: as it was pasted.
        name: for people.
        expires_on: its last good day.
        envelope: what it came in, by ``intake.open_envelope``; taken once.

    Raises:
        Invalid: ``key_malformed``, ``expired_already``.
        Conflict: ``workspace_archived``, ``sealed_key_replayed``.
        Unavailable: ``vault_unavailable``.
    """
    pasted = shape.read(plain, _pointer(envelope))
    register = partial(
        _register, actor, workspace, pasted, name=name, expires_on=expires_on, envelope=envelope
    )
    try:
        return register()
    except IntegrityError as error:
        if "key_once_per_workspace_uniq" not in str(error):
            raise
    # Somebody registered the same key in the same instant: now it is there.
    return register()


def _register(
    actor: Actor,
    workspace: Workspace,
    pasted: shape.Pasted,
    *,
    name: str,
    expires_on: date | None,
    envelope: bytes | None,
) -> Registration:
    fingerprint = custody.fingerprint(pasted.plain)
    with scope.tenant(workspace.organization_id):
        intake.spend(workspace.organization_id, envelope)
        workspace = workspaces.active(workspace.pk)
        _refuse_past(expires_on, workspace.organization)
        same = MistralKey.objects.filter(fingerprint=fingerprint, revoked_at=None)
        cautions = _cautions(pasted, elsewhere=same.exclude(workspace=workspace).exists())
        if existing := same.filter(workspace=workspace).first():
            if not slots.opens(existing):
                _put_secret(actor, existing, pasted.plain, existing.expires_on)
            return Registration(existing, created=False, cautions=cautions)
        if waits_for := replacing.waiting_elsewhere(fingerprint, workspace.pk, None):
            existing = MistralKey.objects.get(pk=waits_for)
            return Registration(existing, created=False, cautions=cautions)
        key = MistralKey(
            id=new_id(),
            organization_id=workspace.organization_id,
            workspace=workspace,
            name=name,
            expires_on=expires_on,
            created_by=actor.name,
        )
        for field, value in slots.secret_fields(key, pasted.plain, version=1).items():
            setattr(key, field, value)
        key.save(force_insert=True)
        slots.done(actor, key, "key.registered")
        enqueue_on_commit(tasks.validate, str(key.organization_id), str(key.id))
    return Registration(key, created=True, cautions=cautions)


def update_key(*, actor: Actor, key: MistralKey, changes: Mapping[str, Any]) -> MistralKey:
    """Change name or expiry date; another date is a reason to check the key again.

    Raises:
        Invalid: ``expired_already``.
        Conflict: ``key_revoked``.
    """
    changed = sorted(
        field
        for field, value in changes.items()
        if field in {"name", "expires_on"} and getattr(key, field) != value
    )
    if not changed:
        return key
    values: dict[str, Any] = {field: changes[field] for field in changed}
    with scope.tenant(key.organization_id):
        if "expires_on" in changed:
            organization = Organization.objects.get(pk=key.organization_id)
            _refuse_past(values["expires_on"], organization)
            values |= slots.due()
            if key.status == KeyStatus.EXPIRED:
                values["status"] = KeyStatus.PENDING
        slots.change(key, values)
        slots.done(actor, key, "key.updated", changed)
        if "expires_on" in changed:
            enqueue_on_commit(tasks.validate, str(key.organization_id), str(key.id))
    return key


def replace_secret(
    *,
    actor: Actor,
    key: MistralKey,
    plain: Secret[str],
    expires_on: date | None = None,
    grace_seconds: int | None = None,
    envelope: bytes | None = None,
) -> Registration:
    """Put another secret behind the same key: its models follow with their next call.

    Without a grace this happens at once. With one, the old secret serves until Mistral accepts the
    new one, at most until the grace ends; where the old one serves no calls, the grace is nothing.
    The old secret is shredded here; deleting it at Mistral is its owner's business. The expiry date
    is the new secret's: none given, none kept. What the old secret saw stays listed until the new
    one is checked. The old secret sent again takes a waiting one back.

    Raises:
        Invalid: ``key_malformed``, ``expired_already``, ``grace_out_of_range``.
        Conflict: ``key_revoked``, ``workspace_archived``, ``sealed_key_replayed``, or
            ``key_duplicate`` if another key of the workspace has this secret.
    """
    seconds = grace_seconds or 0
    grace.check(seconds)
    pasted = shape.read(plain, _pointer(envelope))
    fingerprint = custody.fingerprint(pasted.plain)
    with _no_duplicate(), scope.tenant(key.organization_id):
        intake.spend(key.organization_id, envelope)
        workspace = workspaces.active(key.workspace_id)
        _refuse_past(expires_on, workspace.organization)
        current = slots.locked(key)
        same = MistralKey.objects.filter(fingerprint=fingerprint, revoked_at=None)
        cautions = _cautions(pasted, elsewhere=same.exclude(workspace=workspace).exists())
        if bytes(current.fingerprint) == fingerprint and slots.opens(current):
            if replacing.withdraw(current):
                slots.done(actor, current, "key.replacement_withdrawn", ["secret"])
            return Registration(current, created=False, cautions=cautions)
        taken = same.filter(workspace=workspace).exclude(pk=current.pk).exists()
        if taken or replacing.waiting_elsewhere(fingerprint, workspace.pk, current.pk):
            raise _duplicate()
        if seconds and replacing.serves(current):
            created = _wait(actor, current, pasted.plain, expires_on, seconds)
        else:
            created = True
            _put_secret(actor, current, pasted.plain, expires_on)
    return Registration(current, created=created, cautions=cautions)


def _wait(
    actor: Actor, key: MistralKey, plain: Secret[str], expires_on: date | None, seconds: int
) -> bool:
    """Let a secret wait to replace another; False when it does already."""
    waiting = replacing.of(key)
    if waiting is not None and bytes(waiting.fingerprint) == custody.fingerprint(plain):
        return False
    replacing.put(key, plain, seconds=seconds, expires_on=expires_on)
    slots.done(actor, key, "key.replacement_registered", ["secret"])
    enqueue_on_commit(tasks.validate, str(key.organization_id), str(key.id))
    return True


def request_validation(*, actor: Actor, key: MistralKey) -> MistralKey:
    """Have a key checked now; a check that runs at this moment is followed by another.

    Raises:
        Conflict: ``key_revoked``.
    """
    with scope.tenant(key.organization_id):
        slots.change(key, {"next_check_at": Now(), "asked_at": Now(), "attempts": 0})
        slots.done(actor, key, "key.check_requested")
        enqueue_on_commit(tasks.validate, str(key.organization_id), str(key.id))
    return key


def delete_key(*, actor: Actor, key: MistralKey, force: bool = False) -> MistralKey:
    """Shred a key: the sealed bytes go, the row stays as history; deleting twice changes nothing.

    Args:
        actor: who deletes.
        key: which one.
        force: delete it although models use it; they are blocked from then on.

    Raises:
        Conflict: ``key_in_use``, with ``in_use_by`` and the ``models`` that use it.
    """
    with scope.tenant(key.organization_id):
        current = MistralKey.objects.select_for_update(no_key=True).get(pk=key.pk)
        if current.revoked_at is None:
            users = current.registered_models.filter(retired_at=None).order_by("name")
            if not force:
                _refuse_in_use([(str(model.id), model.name) for model in users])
            MistralKey.objects.filter(pk=key.pk).update(
                status=KeyStatus.REVOKED,
                sealed=None,
                revoked_at=timezone.now(),
                next_check_at=None,
                claim=None,
                held_until=None,
            )
            replacing.withdraw(key)
            SeenModel.objects.filter(key=key).delete()
            announcing.revoked(current)
            slots.done(actor, key, "key.deleted")
        key.refresh_from_db()
    return key


def _pointer(envelope: bytes | None) -> str:
    return "/key" if envelope is None else intake.POINTER


def _refuse_past(expires_on: date | None, organization: Organization) -> None:
    if expiry.has_expired(expires_on, organization.timezone, timezone.now()):
        detail = _("This date is over. Enter the day on which the key expires, or leave it out.")
        raise Invalid.field("/expires_on", "expired_already", detail)


def _cautions(pasted: shape.Pasted, *, elsewhere: bool) -> tuple[Caution, ...]:
    cautions = []
    if pasted.was_trimmed:
        detail = _("Spaces, quotes or the word Bearer around the key were taken off.")
        cautions.append(Caution("key_trimmed", detail))
    if elsewhere:
        detail = _(
            "This key is also registered in another workspace of this organization. Both share its"
            " rate limits, and Mistral bills their usage together."
        )
        cautions.append(Caution("duplicate_elsewhere", detail))
    return tuple(cautions)


def _put_secret(actor: Actor, key: MistralKey, plain: Secret[str], expires_on: date | None) -> None:
    """Put a secret into the slot of a locked or unreadable key, as its next version."""
    values = {
        **slots.secret_fields(key, plain, version=replacing.next_version(key)),
        "expires_on": expires_on,
        "status": KeyStatus.PENDING,
        "verdict_code": "",
        "checked_at": None,
        "evidence": {},
        **placing.NOBODY,
    }
    replacing.withdraw(key)
    slots.change(key, values)
    slots.done(actor, key, "key.secret_replaced", ["secret"])
    enqueue_on_commit(tasks.validate, str(key.organization_id), str(key.id))


def _refuse_in_use(users: Sequence[tuple[str, str]]) -> None:
    if not users:
        return
    names = ", ".join(name for _id, name in users[:_NAMES_TOLD])
    detail = ngettext(
        "%(count)d model uses this key: %(names)s. Give it another key first, or delete with"
        " force=true: the model then answers no calls.",
        "%(count)d models use this key: %(names)s. Give them another key first, or delete with"
        " force=true: the models then answer no calls.",
        len(users),
    ) % {"count": len(users), "names": names}
    told = [{"id": model_id, "name": name} for model_id, name in users[:_NAMES_TOLD]]
    raise Conflict("key_in_use", detail, in_use_by=len(users), models=told)


@contextmanager
def _no_duplicate() -> Iterator[None]:
    """Turn the database's word on a secret that another key has into a refusal."""
    try:
        yield
    except IntegrityError as error:
        if "key_once_per_workspace_uniq" not in str(error):
            raise
        raise _duplicate() from None


def _duplicate() -> Conflict:
    detail = _("Another key of this workspace has this secret already. Use that key.")
    return Conflict("key_duplicate", detail)
