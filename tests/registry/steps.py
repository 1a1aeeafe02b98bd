"""Steps that the tests of models share."""

import pytest

from tenants.common import scope
from tenants.common.problems import Problem
from tenants.organizations.models import AuditEvent
from tenants.registry import services
from tenants.registry.models import ModelToken, RegisteredModel
from tests.factories import ACTOR

FINE_TUNED = "ft:mistral-small-2603:aurora-claims:20260310:7e773925"


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


def verbs(model) -> list[str]:
    """What the audit trail says was done to a model, oldest first."""
    with scope.tenant(model.organization_id):
        events = AuditEvent.objects.filter(target_id=model.id).order_by("id")
        return [event.verb for event in events]


def refused(call, error: type[Problem], code: str) -> Problem:
    """See that a call is refused; give the problem."""
    with pytest.raises(error) as refusal:
        call()
    assert refusal.value.code == code
    return refusal.value
