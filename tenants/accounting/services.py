"""Verbs on the Admin API key and on syncs: each is one transaction with its audit row."""

from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.accounting import tasks
from tenants.accounting.models import AdminKey, AdminKeyStatus, SyncRun
from tenants.common import scope
from tenants.common.models import new_id
from tenants.common.problems import Conflict, Invalid, NotFound, Unavailable
from tenants.common.queue import enqueue_on_commit
from tenants.common.secrets import Secret, last_four
from tenants.keys import intake
from tenants.mistral.masking import is_masked_form, is_plausible_key
from tenants.organizations import audit, custody
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization


def set_admin_key(
    *,
    actor: Actor,
    organization: Organization,
    plain: Secret[str],
    envelope: bytes | None = None,
) -> AdminKey:
    """Seal the Admin API key of an organization; another takes the place of the one before.

    It is not tried: the next sync says whether Mistral takes it.

    Args:
        actor: who enters it.
        organization: whose.
        plain: as it was pasted.
        envelope: what it came in, by ``intake.open_envelope``; taken once.

    Raises:
        Invalid: ``admin_key_malformed``.
        Conflict: ``sealed_key_replayed``.
        Unavailable: ``vault_unavailable``.
    """
    pasted = Secret(plain.reveal().strip())
    if is_masked_form(pasted.reveal()):
        detail = _(
            "This is the masked form of a key. Mistral shows the whole key only once: if it was not"
            " kept, create a new one."
        )
        raise Invalid.field("/key", "admin_key_malformed", detail)
    if not is_plausible_key(pasted.reveal()):
        detail = _("This is no API key: it has 20 to 128 visible characters and no spaces.")
        raise Invalid.field("/key", "admin_key_malformed", detail)
    with scope.tenant(organization.pk):
        # One at a time: two new secrets at once would have the same version.
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        intake.spend(organization.pk, envelope)
        known = AdminKey.objects.first()
        key = known or AdminKey(id=new_id(), organization=organization, secret_version=0)
        key.secret_version += 1
        try:
            key.sealed, key.data_key_version = custody.seal(
                pasted,
                slot=custody.Slot.ADMIN_KEY,
                organization_id=organization.pk,
                row_id=key.pk,
                version=key.secret_version,
            )
        except custody.UndecryptableError:
            detail = _(
                "The key cannot be encrypted now, so nothing was stored. This is a fault on our"
                " side: ask support."
            )
            raise Unavailable("vault_unavailable", detail) from None
        key.last4 = last_four(pasted)
        key.status, key.header, key.checked_at = AdminKeyStatus.PENDING, "", None
        key.secret_at, key.created_by = timezone.now(), actor.name
        key.save(force_insert=known is None)
        verb = "admin_key.replaced" if known else "admin_key.registered"
        audit.record(
            actor=actor,
            organization_id=organization.pk,
            verb=verb,
            target=key,
            changed=["secret"],
        )
    return key


def remove_admin_key(*, actor: Actor, organization: Organization) -> None:
    """Shred the Admin API key; what was observed with it stays. Removing twice changes nothing.

    Deleting it at Mistral is its owner's business.
    """
    with scope.tenant(organization.pk):
        key = AdminKey.objects.first()
        if key is not None and AdminKey.objects.filter(pk=key.pk).delete()[0]:
            audit.record(
                actor=actor,
                organization_id=organization.pk,
                verb="admin_key.removed",
                target=key,
            )


def request_sync(*, actor: Actor, organization: Organization, is_dry: bool = True) -> SyncRun:
    """Have everything looked at that the Admin API tells, soon.

    What is seen is written down in any case. A dry run changes nothing else; one that is not ties
    workspaces and keys to Mistral's and enters unknown expiry dates. Neither deletes anything.

    Raises:
        NotFound: ``admin_key_missing``.
        Conflict: ``sync_running``.
    """
    with scope.tenant(organization.pk):
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        if not AdminKey.objects.exists():
            raise admin_key_missing()
        standing = SyncRun.objects.filter(due_at__isnull=False).first()
        if standing is not None:
            detail = _("A sync is under way already. Wait until it is over.")
            raise Conflict("sync_running", detail, sync_id=str(standing.pk))
        run = SyncRun.objects.create(
            organization=organization, is_dry=is_dry, requested_by=actor.name
        )
        audit.record(
            actor=actor,
            organization_id=organization.pk,
            verb="organization.sync_requested",
            target=run,
        )
        enqueue_on_commit(tasks.sync, str(organization.pk), str(run.pk))
    return run


def admin_key_missing() -> NotFound:
    """Make the refusal of whatever needs an Admin API key where there is none."""
    detail = _(
        "This organization has no Admin API key. Only Enterprise organizations have one; enter it"
        " first, or compare with figures that you type in."
    )
    return NotFound("admin_key_missing", detail)
