"""The one model of an organization that new agents start with, as AIsuru means ``useAsDefault``."""

from django.utils.translation import gettext as _

from tenants.common.problems import Conflict
from tenants.organizations import audit
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization
from tenants.registry import publications
from tenants.registry.models import RegisteredModel


def take_turn(organization: Organization) -> None:
    """Have those who make a model the default follow each other; before a model is locked."""
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)


def take_over(*, actor: Actor, model: RegisteredModel) -> None:
    """Take it off the model that was the default, also in AIsuru; inside the scope, in turn."""
    others = RegisteredModel.objects.filter(
        organization=model.organization, use_as_default=True, retired_at=None
    ).exclude(pk=model.pk)
    for other in others.select_for_update(no_key=True).order_by("pk"):
        other.use_as_default = False
        other.save(update_fields=["use_as_default"])
        audit.record(
            actor=actor,
            organization_id=other.organization_id,
            verb="model.updated",
            target=other,
            changed=["use_as_default"],
        )
        publications.follow(other)


def taken() -> Conflict:
    """Make the refusal of who may not see the model that is the default, so not end it either."""
    detail = _(
        "A model of a workspace that you do not see is the default. Only an administrator of the"
        " organization can make another one the default."
    )
    return Conflict("default_taken", detail)
