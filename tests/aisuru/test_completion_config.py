import json

import pytest

from tenants.aisuru.completion_config import CompletionConfig, Flavour, Purpose
from tenants.common.secrets import Secret

TOKEN = "aim_mdl_0123456789abcdef"


def config(**changes):
    facts = {
        "flavour": Flavour.MISTRAL,
        "name": "Support bot",
        "model": "mistral-small-latest",
        "gateway_url": "https://gateway.test",
        "purposes": {Purpose.QUESTION_ANSWERING},
    }
    return CompletionConfig(**(facts | changes))


def test_a_full_configuration_is_written_with_aisurus_names():
    written = config(
        purposes=[Purpose.QUESTION_ANSWERING, Purpose.DEEP_THOUGHT],
        token=Secret(TOKEN),
        description="For the shop",
        context_size=32_000,
        timeout=60,
        visible_to_tenant=True,
        use_as_default=True,
    ).as_json()

    assert json.loads(json.dumps(written)) == {
        "configName": "Support bot",
        "description": "For the shop",
        "provider": "Mistral",
        "model": "mistral-small-latest",
        "modelName": "mistral-small-latest",
        "contextSize": 32_000,
        "timeout": 60,
        "endPoint": "https://gateway.test/v1",
        "apiKey": TOKEN,
        "questionAnsweringEnabled": True,
        "importExportEnabled": False,
        "deepThoughtEnabled": True,
        "visibleToTenantUsers": True,
        "visibleToOtherUsers": False,
        "useAsDefault": True,
    }


def test_without_a_token_or_further_facts_their_members_are_absent():
    written = config().as_json()

    assert not {"apiKey", "description", "contextSize", "timeout"} & set(written)


@pytest.mark.parametrize("flavour", list(Flavour))
@pytest.mark.parametrize("root", ["https://g.test", "https://g.test/aim"])
@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
def test_the_end_point_is_the_gateways_address_with_v1(flavour, root, ending):
    written = config(flavour=flavour, gateway_url=root + ending).as_json()

    assert (written["provider"], written["endPoint"]) == (flavour.value, f"{root}/v1")


@pytest.mark.parametrize("purpose", list(Purpose))
def test_each_purpose_switches_one_member(purpose):
    written = config(purposes={purpose}).as_json()

    assert [name for name, value in written.items() if value is True] == [
        {
            Purpose.QUESTION_ANSWERING: "questionAnsweringEnabled",
            Purpose.IMPORT_EXPORT: "importExportEnabled",
            Purpose.DEEP_THOUGHT: "deepThoughtEnabled",
        }[purpose]
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"purposes": []}, "purpose"),
        ({"use_as_default": True}, "visible"),
        ({"gateway_url": "gateway.test"}, "address"),
        ({"gateway_url": ""}, "address"),
    ],
)
def test_what_aisuru_would_refuse_is_refused(changes, reason):
    with pytest.raises(ValueError, match=reason):
        config(**changes)


def test_the_token_shows_only_in_the_written_object():
    one = config(token=Secret(TOKEN))

    assert TOKEN not in repr(one) + str(one)
    assert one.as_json()["apiKey"] == TOKEN
