"""Verbs on models in AIsuru: each says what is wanted there; a worker sees to it."""

from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from tenants.aisuru.completion_config import Flavour
from tenants.common import scope
from tenants.common.problems import Conflict, Unavailable
from tenants.common.queue import enqueue_on_commit
from tenants.organizations import audit
from tenants.organizations.audit import Actor
from tenants.registry import tasks
from tenants.registry.models import (
    AisuruConnection,
    Publication,
    PublicationStatus,
    RegisteredModel,
)


def publish_model(
    *, actor: Actor, model: RegisteredModel, flavour: Flavour = Flavour.MISTRAL, adopt: bool = False
) -> Publication:
    """Have a model pushed to AIsuru, soon; once more if it is there already.

    From then on it follows: changes, new tokens and deletion reach AIsuru by themselves. What was
    changed over there is overwritten, and what was deleted is made again.

    Args:
        actor: who wants it.
        model: which.
        flavour: as which provider AIsuru takes it.
        adopt: a configuration of this name that is there already, and was not made from here, is
            taken over.

    Raises:
        Conflict: ``model_retired``, ``aisuru_connection_missing``.
        Unavailable: ``aisuru_not_configured``.
    """
    if settings.AISURU_API_URL is None:
        detail = _(
            "This service was not told where AIsuru's backend is, so nothing can be published. Its"
            " operator sets AISURU_API_URL."
        )
        raise Unavailable("aisuru_not_configured", detail)
    with scope.tenant(model.organization_id):
        present = RegisteredModel.objects.select_for_update(no_key=True, of=("self",))
        locked = present.filter(pk=model.pk, retired_at=None).first()
        if locked is None:
            raise Conflict("model_retired", _("This model was deleted. Create a new one."))
        if not AisuruConnection.objects.exists():
            raise connection_missing()
        publication, _made = Publication.objects.get_or_create(
            model=locked,
            defaults={
                "organization_id": locked.organization_id,
                "workspace_id": locked.workspace_id,
                "wanted": 0,
                "requested_by": actor.name,
                "flavour": flavour.name.lower(),
            },
        )
        Publication.objects.filter(pk=publication.pk).update(
            flavour=flavour.name.lower(),
            may_create=True,
            may_adopt=adopt,
            requested_by=actor.name,
        )
        _want(publication, is_wanted=True)
        audit.record(
            actor=actor,
            organization_id=locked.organization_id,
            verb="model.publish_requested",
            target=locked,
        )
        publication.refresh_from_db()
    return publication


def withdraw_model(*, actor: Actor, model_id: UUID, organization_id: UUID) -> Publication | None:
    """Have a model taken away from AIsuru, soon; one that is not there stays as it is.

    The token that AIsuru has stops at once. It works for a deleted model, too: to try again what
    failed.
    """
    with scope.tenant(organization_id):
        # First the model: who works on its tokens does so, too.
        model = RegisteredModel.objects.select_for_update(no_key=True).get(pk=model_id)
        publication = (
            Publication.objects.select_for_update(no_key=True).filter(model_id=model_id).first()
        )
        if publication is None or publication.status == PublicationStatus.WITHDRAWN:
            return publication
        model.tokens.filter(is_published=True, revoked_at=None).update(revoked_at=Now())
        _want(publication, is_wanted=False)
        audit.record(
            actor=actor,
            organization_id=organization_id,
            verb="model.withdrawal_requested",
            target=model,
        )
        publication.refresh_from_db()
    return publication


def follow(model: RegisteredModel, *, is_wanted: bool = True) -> None:
    """Have what changed on a model reach AIsuru, if it is published there; inside the scope."""
    publication = Publication.objects.filter(model=model, is_wanted=True).first()
    if publication is not None:
        _want(publication, is_wanted=is_wanted)


def connection_missing() -> Conflict:
    """Make the refusal of whatever needs a login at AIsuru where there is none."""
    detail = _("This organization has no login at AIsuru. Enter a login token of AIsuru first.")
    return Conflict("aisuru_connection_missing", detail)


def _want(publication: Publication, *, is_wanted: bool) -> None:
    """Count one more wish; whoever works on an earlier one sees it when he is done."""
    Publication.objects.filter(pk=publication.pk).update(
        is_wanted=is_wanted,
        wanted=F("wanted") + 1,
        status=PublicationStatus.PENDING,
        failure="",
        result_code=None,
        attempts=0,
        due_at=Now(),
    )
    enqueue_on_commit(tasks.publish, str(publication.organization_id), str(publication.pk))
