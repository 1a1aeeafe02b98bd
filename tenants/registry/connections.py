"""Verbs on an organization's login at AIsuru: each is one transaction with its audit row."""

import re

from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.common import scope
from tenants.common.models import new_id
from tenants.common.problems import Conflict, Invalid, Unavailable
from tenants.common.queue import enqueue_on_commit
from tenants.common.secrets import Secret
from tenants.keys import intake
from tenants.mistral.masking import is_masked_form
from tenants.organizations import audit, custody
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization
from tenants.registry import tasks
from tenants.registry.failures import OF_THE_LOGIN, Failure
from tenants.registry.models import (
    AisuruConnection,
    ConnectionStatus,
    Publication,
    PublicationStatus,
)

_PLAUSIBLE = re.compile(r"[!-~]{8,500}")


def set_connection(
    *,
    actor: Actor,
    organization: Organization,
    plain: Secret[str],
    tenant: str = "",
    envelope: bytes | None = None,
) -> AisuruConnection:
    """Seal AIsuru's login token; another takes the place of the one before.

    It is not tried: the next push says whether AIsuru takes it. What failed for want of a good
    login is tried again at once.

    Args:
        actor: who enters it.
        organization: whose.
        plain: the token of a login that may change completion configs.
        tenant: AIsuru's name of the tenant; empty: the organization's ``aisuru_tenant``.
        envelope: what the token came in, by ``intake.open_envelope``; taken once.

    Raises:
        Invalid: ``login_token_malformed``.
        Conflict: ``sealed_key_replayed``.
        Unavailable: ``vault_unavailable``.
    """
    pasted = Secret(plain.reveal().strip())
    if is_masked_form(pasted.reveal()):
        detail = _("This is the masked form of a token. Paste the whole token.")
        raise Invalid.field("/login_token", "login_token_malformed", detail)
    if not _PLAUSIBLE.fullmatch(pasted.reveal()):
        detail = _("This is no login token: it has 8 to 500 visible characters and no spaces.")
        raise Invalid.field("/login_token", "login_token_malformed", detail)
    with scope.tenant(organization.pk):
        # One at a time: two new secrets at once would have the same version.
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        intake.spend(organization.pk, envelope)
        known = AisuruConnection.objects.first()
        connection = known or AisuruConnection(
            id=new_id(), organization=organization, secret_version=0
        )
        connection.secret_version += 1
        try:
            connection.sealed, connection.data_key_version = custody.seal(
                pasted,
                slot=custody.Slot.AISURU_LOGIN,
                organization_id=organization.pk,
                row_id=connection.pk,
                version=connection.secret_version,
            )
        except custody.UndecryptableError:
            detail = _(
                "The token cannot be encrypted now, so nothing was stored. This is a fault on our"
                " side: ask support."
            )
            raise Unavailable("vault_unavailable", detail) from None
        connection.tenant = tenant
        connection.status, connection.checked_at = ConnectionStatus.PENDING, None
        connection.secret_at, connection.created_by = timezone.now(), actor.name
        connection.save(force_insert=known is None)
        audit.record(
            actor=actor,
            organization_id=organization.pk,
            verb="aisuru_connection.replaced" if known else "aisuru_connection.set",
            target=connection,
            changed=["secret"],
        )
        _try_again(organization)
    return connection


def remove_connection(*, actor: Actor, organization: Organization, force: bool = False) -> None:
    """Shred AIsuru's login token; removing twice changes nothing.

    Args:
        actor: who removes it.
        organization: whose.
        force: even while models are published with it: they stay in AIsuru as they are, and
            nothing here changes or watches them any more.

    Raises:
        Conflict: ``aisuru_connection_in_use``, with ``models``, how many.
    """
    with scope.tenant(organization.pk):
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        connection = AisuruConnection.objects.select_for_update(no_key=True).first()
        if connection is None:
            return
        count = held_by_login().count()
        if count and not force:
            detail = _(
                "Models are published with this login. Take them away from AIsuru first, or remove"
                " it by force: they then stay there as they are."
            )
            raise Conflict("aisuru_connection_in_use", detail, models=count)
        _wanted_there().update(
            status=PublicationStatus.FAILED,
            failure=Failure.CONNECTION_MISSING,
            due_at=None,
            claim=None,
            held_until=None,
        )
        AisuruConnection.objects.filter(pk=connection.pk).delete()
        audit.record(
            actor=actor,
            organization_id=organization.pk,
            verb="aisuru_connection.removed",
            target=connection,
        )


def held_by_login() -> QuerySet[Publication]:
    """Find what the login keeps in AIsuru, or may have made there, inside a tenant's scope."""
    return _wanted_there().exclude(config_id="", creating="")


def _wanted_there() -> QuerySet[Publication]:
    return Publication.objects.exclude(status=PublicationStatus.WITHDRAWN)


def _try_again(organization: Organization) -> None:
    """Make due what failed for want of a good login."""
    waiting = Publication.objects.filter(failure__in=OF_THE_LOGIN)
    ids = list(waiting.values_list("pk", flat=True))
    waiting.filter(status=PublicationStatus.FAILED).update(status=PublicationStatus.PENDING)
    Publication.objects.filter(pk__in=ids).update(due_at=Now(), attempts=0, failure="")
    for publication_id in ids:
        enqueue_on_commit(tasks.publish, str(organization.pk), str(publication_id))
