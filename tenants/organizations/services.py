"""Verbs on organizations and workspaces: each is one transaction with its audit row."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.common import scope
from tenants.common.models import new_id
from tenants.common.problems import Conflict
from tenants.organizations import audit, data_keys, invitations, members, workspaces
from tenants.organizations.audit import Actor
from tenants.organizations.models import (
    FormerTimeZone,
    Member,
    Organization,
    OrganizationDomain,
    OrganizationStatus,
    Workspace,
    WorkspaceMember,
)
from tenants.organizations.roles import Role, WorkspaceRole
from tenants.people.models import Person

_SLUG_LENGTH = 60
_SLUG_TAIL = 8
_DECLARED = frozenset({"mistral_workspace_id", "mistral_workspace_name"})


def create_organization(
    *,
    actor: Actor,
    name: str,
    owner_email: str,
    slug: str | None = None,
    aisuru_tenant: str = "",
    locale: str = "it",
    timezone_name: str = "Europe/Rome",
    currency: str = "EUR",
    founder: Person | None = None,
    domain: str = "",
    invite_owner: bool = False,
) -> tuple[Organization, Workspace]:
    """Create an organization with its data key and a default workspace of the same name.

    Args:
        actor: who creates it.
        name: of the organization and of the workspace.
        owner_email: whom to write to.
        slug: its short name in addresses; made from the name when absent.
        aisuru_tenant: its tenant at AIsuru.
        locale: of letters.
        timezone_name: of months and days.
        currency: of amounts; it never changes.
        founder: a person who becomes its first administrator.
        domain: whose verified readers may ask to join.
        invite_owner: write to ``owner_email`` with a link that makes its reader administrator.

    Raises:
        Conflict: ``slug_taken``: the slug asked for is another organization's.
        Unavailable: ``vault_unavailable``: no data key can be made now.
    """
    organization = Organization(
        id=new_id(),
        name=name,
        aisuru_tenant=aisuru_tenant,
        owner_email=owner_email,
        locale=locale,
        timezone=timezone_name,
        currency=currency,
    )
    organization.slug = slug or _slug(name, organization.id)
    data_key = data_keys.make(organization.id)
    try:
        with scope.tenant(organization.id):
            organization.save(force_insert=True)
            data_keys.store(data_key)
            workspace = Workspace.objects.create(
                organization_id=organization.id, name=name, is_default=True
            )
            if founder is not None:
                _settle_in(founder, workspace)
            if invite_owner:
                invitations.invite_owner(organization, workspace)
            if domain:
                OrganizationDomain.objects.create(organization=organization, domain=domain)
            audit.record(
                actor=actor,
                organization_id=organization.id,
                verb="organization.created",
                target=organization,
            )
    except IntegrityError as error:
        if "slug" not in str(error):
            raise
        detail = _("Another organization already uses this slug. Choose a different one.")
        raise Conflict("slug_taken", detail) from None
    return organization, workspace


def update_organization(
    *, actor: Actor, organization: Organization, changes: Mapping[str, Any]
) -> Organization:
    """Change name, AIsuru tenant, locale or time zone.

    The currency never changes: past costs are in it. Days and months that were counted in the
    former zone stay as they were.
    """
    allowed = {"name", "aisuru_tenant", "locale", "timezone", "owner_email"}
    changed = _apply(organization, changes, allowed)
    if changed:
        with scope.tenant(organization.id):
            if "timezone" in changed:
                _remember_time_zone(organization)
            organization.save(update_fields=changed)
            audit.record(
                actor=actor,
                organization_id=organization.id,
                verb="organization.updated",
                target=organization,
                changed=changed,
            )
    return organization


def set_suspended(
    *,
    actor: Actor,
    organization: Organization,
    suspended: bool,
    tell: Callable[[Organization], None] | None = None,
) -> bool:
    """Suspend an organization, or let it work again; its models obey within a second.

    Its people still sign in, and see what they have. One that is erased stays erased.

    Args:
        actor: who does it.
        organization: which.
        suspended: or let it work again.
        tell: announces what this means for the room that has the models; it runs in the
            transaction, inside the organization's scope.

    Returns:
        Whether anything changed.
    """
    before, after = OrganizationStatus.ACTIVE, OrganizationStatus.SUSPENDED
    if not suspended:
        before, after = after, before
    with scope.tenant(organization.id):
        changed = Organization.objects.filter(pk=organization.pk, status=before).update(
            status=after
        )
        if changed:
            audit.record(
                actor=actor,
                organization_id=organization.id,
                verb="organization.suspended" if suspended else "organization.reactivated",
                target=organization,
                changed=["status"],
            )
            organization.status = after
            if tell is not None:
                tell(organization)
    return bool(changed)


def create_workspace(
    *,
    actor: Actor,
    organization: Organization,
    name: str,
    icon: str = "",
    description: str = "",
    mistral_workspace_id: str = "",
    mistral_workspace_name: str = "",
    add_all_members: bool = False,
) -> Workspace:
    """Add a workspace.

    Args:
        actor: who adds it.
        organization: whose it is.
        name: unlike those of its other active workspaces.
        icon: an emoji.
        description: what it is for.
        mistral_workspace_id: the workspace at Mistral that its keys must belong to, if any.
        mistral_workspace_name: the same by name.
        add_all_members: put all present members of the organization into it.

    Raises:
        Conflict: ``name_taken``: an active workspace has this name already.
    """
    with _unique_workspace_name(), scope.tenant(organization.id):
        workspace = Workspace.objects.create(
            organization_id=organization.id,
            name=name,
            icon=icon,
            description=description,
            mistral_workspace_id=mistral_workspace_id,
            mistral_workspace_name=mistral_workspace_name,
        )
        if add_all_members:
            members.add_everybody(workspace)
        _record_workspace(actor, workspace, "workspace.created")
    return workspace


def update_workspace(
    *,
    actor: Actor,
    workspace: Workspace,
    changes: Mapping[str, Any],
    declare: Callable[[Workspace], None] | None = None,
) -> Workspace:
    """Change name, icon, description, or which workspace at Mistral its keys must belong to.

    Args:
        actor: who changes it.
        workspace: which one.
        changes: by field.
        declare: what another Mistral workspace means for the room that has the keys; it runs in
            the same transaction, and may refuse.

    Raises:
        Conflict: ``name_taken``, or ``workspace_archived``: an archived one stays as it was.
    """
    changed = _apply(workspace, changes, {"name", "icon", "description", *_DECLARED})
    if changed:
        with _unique_workspace_name(), scope.tenant(workspace.organization_id):
            workspaces.active(workspace.pk, alone=True)
            workspace.save(update_fields=changed)
            if declare is not None and _DECLARED & set(changed):
                declare(workspace)
            _record_workspace(actor, workspace, "workspace.updated", changed)
    return workspace


def archive_workspace(
    *,
    actor: Actor,
    workspace: Workspace,
    tell: Callable[[Workspace], None] | None = None,
) -> Workspace:
    """Archive a workspace: its keys and models stop at once, its history stays.

    Archiving twice changes nothing the second time.

    Args:
        actor: who does it.
        workspace: which.
        tell: announces which models stop, as in ``set_suspended``.

    Raises:
        Conflict: ``default_workspace``: an organization keeps its default workspace.
    """
    if workspace.is_default:
        detail = _("The default workspace cannot be archived. Archive another one, or rename it.")
        raise Conflict("default_workspace", detail)
    with scope.tenant(workspace.organization_id):
        active = Workspace.objects.filter(pk=workspace.pk, archived_at=None)
        if active.update(archived_at=timezone.now()):
            _record_workspace(actor, workspace, "workspace.archived")
            if tell is not None:
                tell(workspace)
        workspace.refresh_from_db()
    return workspace


def _settle_in(founder: Person, workspace: Workspace) -> None:
    member = Member.objects.create(
        organization_id=workspace.organization_id, person=founder, role=Role.ADMIN
    )
    WorkspaceMember.objects.create(
        organization_id=workspace.organization_id,
        workspace=workspace,
        member=member,
        role=WorkspaceRole.ADMIN,
    )


def _apply(
    row: Organization | Workspace, changes: Mapping[str, Any], allowed: set[str]
) -> list[str]:
    changed = sorted(
        name for name, value in changes.items() if name in allowed and getattr(row, name) != value
    )
    for name in changed:
        setattr(row, name, changes[name])
    return changed


def _remember_time_zone(organization: Organization) -> None:
    """Keep the zone that ends now, as the database knows it: two changes at once are two spans."""
    standing = Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
    if standing.timezone != organization.timezone:
        FormerTimeZone.objects.create(
            organization=organization, timezone=standing.timezone, until=timezone.now()
        )


def _record_workspace(
    actor: Actor, workspace: Workspace, verb: str, changed: list[str] | None = None
) -> None:
    audit.record(
        actor=actor,
        organization_id=workspace.organization_id,
        verb=verb,
        target=workspace,
        changed=changed or (),
    )


@contextmanager
def _unique_workspace_name() -> Iterator[None]:
    """Turn the database's word on a taken name into a refusal."""
    try:
        yield
    except IntegrityError as error:
        if "workspace_name_uniq" not in str(error):
            raise
        detail = _("An active workspace already has this name. Choose a different one.")
        raise Conflict("name_taken", detail) from None


def _slug(name: str, organization_id: UUID) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[: _SLUG_LENGTH - _SLUG_TAIL - 1].strip("-")
    return f"{words or 'org'}-{organization_id.hex[-_SLUG_TAIL:]}"
