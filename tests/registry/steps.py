"""Steps that the tests of models share."""

from tenants.common import scope
from tenants.registry import services
from tenants.registry.models import ModelToken, RegisteredModel
from tests.factories import ACTOR


def create(workspace, **facts):
    """Create a model through the service; what is not named is ordinary."""
    if "organization" not in facts:
        facts["organization"] = workspace.organization
    facts = {
        "name": "Assistente",
        "mistral_model": "mistral-small-latest",
        "purposes": ["question_answering"],
    } | facts
    return services.create_model(actor=ACTOR, workspace=workspace, **facts)


def models_of(organization):
    """Every model of an organization."""
    with scope.tenant(organization.id):
        return list(RegisteredModel.objects.all())


def tokens_of(model):
    """Every token of a model, oldest first."""
    with scope.tenant(model.organization_id):
        return list(ModelToken.objects.filter(model=model).order_by("id"))
