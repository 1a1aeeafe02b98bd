"""Verbs on webhooks and on what a member is mailed: each is one transaction with its audit row.

Invalid      kinds_unknown                 a kind that is never announced
             grace_out_of_range            for a secret
             url_…                         as ``targets.read``
Conflict     too_many_webhooks             an organization has a few at most
             webhook_disabled              nothing can be sent to it
Unavailable  vault_unavailable             no secret can be sealed now
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now
from django.utils.translation import gettext as _

from tenants.common import grace, scope
from tenants.common.models import new_id
from tenants.common.problems import Conflict, Invalid, Unavailable
from tenants.common.queue import enqueue_on_commit
from tenants.common.secrets import Secret
from tenants.notices import custody, targets, tasks
from tenants.notices.kinds import KINDS, MUTABLE, TEST
from tenants.notices.models import (
    Delivery,
    DeliveryStatus,
    DisabledReason,
    MutedKind,
    WebhookEndpoint,
    WebhookSecret,
)
from tenants.notices.muting import Muting
from tenants.organizations import audit
from tenants.organizations.audit import Actor
from tenants.organizations.models import Announcement, Member, Organization

MOST_WEBHOOKS = 20
GRACE_SECONDS = 86_400
#: Secrets that may sign beside the newest.
_MOST_OLD = 2
_CONSEQUENCES = ("disabled_reason", "failures", "failing_since", "rests_until")


def create_webhook(
    *,
    actor: Actor,
    organization: Organization,
    url: str,
    kinds: Collection[str] = (),
    description: str = "",
    is_enabled: bool = True,
) -> tuple[WebhookEndpoint, Secret[str]]:
    """Make an endpoint and its first secret, which is never shown again.

    Args:
        actor: who makes it.
        organization: whose it is.
        url: where to post to.
        kinds: what it gets; empty for everything, kinds of later versions too.
        description: for people.
        is_enabled: whether it gets anything yet.

    Raises:
        Invalid, Conflict, Unavailable: as the module's text says.
    """
    address = targets.read(url).url
    _check_kinds(kinds)
    with scope.tenant(organization.pk):
        # One at a time, so that there are never more than allowed.
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        if WebhookEndpoint.objects.count() >= MOST_WEBHOOKS:
            detail = _("An organization has at most %(most)d webhooks. Delete one first.")
            raise Conflict("too_many_webhooks", detail % {"most": MOST_WEBHOOKS})
        endpoint = WebhookEndpoint.objects.create(
            organization=organization,
            url=address,
            kinds=sorted(set(kinds)),
            description=description,
            is_enabled=is_enabled,
            disabled_reason="" if is_enabled else DisabledReason.PERSON,
            created_by=actor.name,
        )
        secret = _new_secret(endpoint, version=1)
        _record(actor, endpoint, "webhook.created")
    return endpoint, secret


def update_webhook(
    *, actor: Actor, endpoint: WebhookEndpoint, changes: Mapping[str, Any]
) -> WebhookEndpoint:
    """Change address, kinds, description or whether it is enabled; unknown names are left out.

    Enabling it, or another address, lets what is waiting go out at once.

    Raises:
        Invalid: as the module's text says.
    """
    wanted = {name: changes[name] for name in ("url", "kinds", "description") if name in changes}
    if "url" in wanted:
        wanted["url"] = targets.read(wanted["url"]).url
    if "kinds" in wanted:
        _check_kinds(wanted["kinds"])
        wanted["kinds"] = sorted(set(wanted["kinds"]))
    if "is_enabled" in changes:
        wanted["is_enabled"] = changes["is_enabled"]
    with scope.tenant(endpoint.organization_id):
        row = WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        changed = sorted(name for name, value in wanted.items() if getattr(row, name) != value)
        if not changed:
            return row
        for name in changed:
            setattr(row, name, wanted[name])
        row.disabled_reason = "" if row.is_enabled else row.disabled_reason or DisabledReason.PERSON
        if {"url", "is_enabled"} & set(changed) and row.is_enabled:
            row.failures, row.failing_since, row.rests_until = 0, None, None
            enqueue_on_commit(tasks.deliver)
        row.save(update_fields=[*changed, *_CONSEQUENCES])
        _record(actor, row, "webhook.updated", changed)
    return row


def delete_webhook(*, actor: Actor, endpoint: WebhookEndpoint) -> None:
    """Delete an endpoint, its secrets and its deliveries; deleting it twice changes nothing."""
    with scope.tenant(endpoint.organization_id):
        if WebhookEndpoint.objects.filter(pk=endpoint.pk).delete()[0]:
            _record(actor, endpoint, "webhook.deleted")


def rotate_secret(
    *, actor: Actor, endpoint: WebhookEndpoint, grace_seconds: int = GRACE_SECONDS
) -> Secret[str]:
    """Make another secret, which is never shown again; for the grace the one before signs too.

    Raises:
        Invalid, Unavailable: as the module's text says.
    """
    grace.check(grace_seconds)
    with scope.tenant(endpoint.organization_id):
        # First the organization, as who erases does, who wants the endpoint behind the data key.
        Organization.objects.select_for_update(no_key=True).get(pk=endpoint.organization_id)
        row = WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        newest = WebhookSecret.objects.get(endpoint=row, ends_at=None)
        if grace_seconds:
            ends_at = Now() + timedelta(seconds=grace_seconds)
            WebhookSecret.objects.filter(pk=newest.pk).update(ends_at=ends_at)
            older = WebhookSecret.objects.filter(endpoint=row).order_by("-version")
            kept = list(older.values_list("pk", flat=True)[:_MOST_OLD])
            WebhookSecret.objects.filter(endpoint=row).exclude(pk__in=kept).delete()
        else:  # whoever holds an old one shall sign nothing any more
            WebhookSecret.objects.filter(endpoint=row).delete()
        secret = _new_secret(row, version=newest.version + 1)
        _record(actor, row, "webhook.secret_rotated", ["secret"])
    return secret


def send_test(*, actor: Actor, endpoint: WebhookEndpoint) -> Delivery:
    """Send an event to this endpoint only, once, whatever kinds it takes.

    Raises:
        Conflict: ``webhook_disabled``.
    """
    with scope.tenant(endpoint.organization_id):
        _require_enabled(endpoint)
        announcement = Announcement.objects.create(
            organization_id=endpoint.organization_id,
            kind=TEST,
            data={"webhook_id": str(endpoint.pk)},
            published_at=Now(),
        )
        delivery = Delivery.objects.create(
            organization_id=endpoint.organization_id,
            endpoint=endpoint,
            announcement_id=announcement.pk,
            kind=TEST,
        )
        _record(actor, endpoint, "webhook.tested")
        enqueue_on_commit(tasks.deliver)
    return delivery


def replay(*, actor: Actor, delivery: Delivery) -> Delivery:
    """Deliver once more, with the ``webhook-id`` it had; one that is pending is tried at once.

    Raises:
        Conflict: ``webhook_disabled``.
    """
    with scope.tenant(delivery.organization_id):
        _require_enabled(WebhookEndpoint.objects.get(pk=delivery.endpoint_id))
        row = Delivery.objects.select_for_update(no_key=True).get(pk=delivery.pk)
        row.status, row.attempts, row.delivered_at = DeliveryStatus.PENDING, 0, None
        # A worker that has it at this moment finds that it is not its own any more.
        row.claim, row.held_until = None, None
        row.due_at = Now()
        row.save(
            update_fields=["status", "attempts", "delivered_at", "claim", "held_until", "due_at"]
        )
        WebhookEndpoint.objects.filter(pk=row.endpoint_id).update(rests_until=None)
        _record(actor, row, "webhook.delivery_replayed")
        enqueue_on_commit(tasks.deliver)
        row.refresh_from_db()
    return row


def mute(*, actor: Actor, member: Member, kinds: Collection[str]) -> list[str]:
    """Choose the kinds that a member wants no mail about; what is not named is mailed again.

    Returns:
        The kinds, sorted.

    Raises:
        Invalid: ``kinds_unknown``: a kind that cannot be muted.
    """
    wanted = set(kinds)
    if wanted - MUTABLE:
        detail = _("Choose among these: %(kinds)s.") % {"kinds": ", ".join(sorted(MUTABLE))}
        raise Invalid.field("/muted", "kinds_unknown", detail)
    with scope.tenant(member.organization_id):
        Member.objects.select_for_update(no_key=True).get(pk=member.pk)
        own = MutedKind.objects.filter(member=member)
        before = set(own.values_list("kind", flat=True))
        own.filter(kind__in=before - wanted).delete()
        MutedKind.objects.bulk_create(
            MutedKind(organization_id=member.organization_id, member=member, kind=kind)
            for kind in sorted(wanted - before)
        )
        if before != wanted:
            audit.record(
                actor=actor,
                organization_id=member.organization_id,
                verb="member.notices_chosen",
                target=member,
                changed=sorted(before ^ wanted),
            )
    return sorted(wanted)


def mute_by_link(*, muting: Muting) -> None:
    """Mute the kind that a link in a mail names; doing it twice changes nothing."""
    member = muting.member
    with scope.tenant(member.organization_id):
        made = MutedKind(organization_id=member.organization_id, member=member, kind=muting.kind)
        MutedKind.objects.bulk_create([made], ignore_conflicts=True)
        if MutedKind.objects.filter(pk=made.pk).exists():
            audit.record(
                actor=Actor(kind="person", id=str(member.person_id), name=member.person.called),
                organization_id=member.organization_id,
                verb="member.notices_chosen",
                target=member,
                changed=[muting.kind],
            )


def _new_secret(endpoint: WebhookEndpoint, *, version: int) -> Secret[str]:
    plain = custody.make()
    row = WebhookSecret(
        id=new_id(),
        organization_id=endpoint.organization_id,
        endpoint=endpoint,
        version=version,
    )
    try:
        row.sealed, row.data_key_version = custody.seal(
            plain, organization_id=row.organization_id, secret_id=row.pk, version=version
        )
    except custody.UndecryptableError:
        detail = _(
            "The secret cannot be encrypted now, so nothing was stored. This is a fault on our"
            " side: ask support."
        )
        raise Unavailable("vault_unavailable", detail) from None
    row.save(force_insert=True)
    return plain


def _check_kinds(kinds: Collection[str]) -> None:
    if set(kinds) - (set(KINDS) - {TEST}):
        known = ", ".join(sorted(set(KINDS) - {TEST}))
        detail = _("Choose among these: %(kinds)s.") % {"kinds": known}
        raise Invalid.field("/kinds", "kinds_unknown", detail)


def _require_enabled(endpoint: WebhookEndpoint) -> None:
    if not WebhookEndpoint.objects.filter(pk=endpoint.pk, is_enabled=True).exists():
        detail = _("This webhook is switched off. Switch it on first.")
        raise Conflict("webhook_disabled", detail)


def _record(
    actor: Actor, row: WebhookEndpoint | Delivery, verb: str, changed: Collection[str] = ()
) -> None:
    audit.record(
        actor=actor,
        organization_id=row.organization_id,
        verb=verb,
        target=row,
        changed=list(changed),
    )
