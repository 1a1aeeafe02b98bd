"""What AIsuru is told of a model: our gateway, our token, never the Mistral key."""

import json

import pytest

from tenants.aisuru.completion_config import Flavour
from tenants.registry import services
from tenants.registry.completion import completion_config
from tests.factories import ACTOR
from tests.keys.keyring import checked, registered
from tests.registry.steps import create


@pytest.fixture(autouse=True)
def _public_url(settings):
    settings.PUBLIC_URL = "https://models.example.com"


@pytest.mark.parametrize("flavour", [Flavour.MISTRAL, Flavour.CUSTOM_OPENAI])
def test_the_configuration_points_at_our_gateway_with_our_token(
    organization, workspace, made_up, flavour
):
    plain = made_up()
    checked(registered(workspace, plain))
    model, token = create(
        workspace,
        organization=organization,
        description="Per il sito",
        purposes=["import_export", "deep_thought"],
        timeout=60,
        use_as_default=True,
    )
    config = completion_config(model, token=token, flavour=flavour)
    assert config == {
        "configName": "Assistente",
        "provider": flavour.value,
        "model": "mistral-small-latest",
        "modelName": "mistral-small-latest",
        "endPoint": "https://models.example.com/v1",
        "apiKey": token.reveal(),
        "questionAnsweringEnabled": False,
        "importExportEnabled": True,
        "deepThoughtEnabled": True,
        "visibleToTenantUsers": True,
        "visibleToOtherUsers": False,
        "useAsDefault": True,
        "description": "Per il sito",
        "contextSize": 262144,
        "timeout": 60,
    }
    assert plain not in json.dumps(config)
    again = services.rotate_token(actor=ACTOR, model=model)
    assert completion_config(model, token=again)["apiKey"] == again.reveal()
    assert "apiKey" not in completion_config(model)
