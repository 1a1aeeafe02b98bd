"""Makes the benchmark's tenant through the services that users' requests go through."""

from decimal import Decimal
from uuid import UUID

from django.conf import settings

from tenants.common.secrets import Secret
from tenants.keys import services as keys
from tenants.keys.validation import validate
from tenants.organizations import services as organizations
from tenants.organizations.audit import Actor
from tenants.registry import services as registry
from tenants.spend import services as spend

_ACTOR = Actor(kind="command", id="bench", name="bench")


def make(
    plain: str, mistral_url: str, mistral_model: str, limit: Decimal
) -> tuple[str, UUID, UUID, UUID, UUID]:
    """Make an organization with a valid key, a model and a limit on each of its three levels.

    Returns:
        The model's token; ids of organization, workspace, key and model.
    """
    settings.MISTRAL_API_URL, service = mistral_url, settings.MISTRAL_API_URL
    organization, workspace = organizations.create_organization(
        actor=_ACTOR, name="Bench", owner_email="bench@example.com"
    )
    key = keys.register_key(actor=_ACTOR, workspace=workspace, plain=Secret(plain)).key
    validate(organization.id, key.id)
    model, token = registry.create_model(
        actor=_ACTOR,
        organization=organization,
        workspace=workspace,
        name="Bench",
        mistral_model=mistral_model,
        purposes=["question_answering"],
    )
    for subject in (organization, workspace, model):
        spend.set_limit(
            actor=_ACTOR, organization=organization, subject=subject, monthly_spend=limit
        )
    settings.MISTRAL_API_URL = service
    return token.reveal(), organization.id, workspace.id, key.id, model.id
