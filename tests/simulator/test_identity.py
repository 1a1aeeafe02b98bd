import pytest

from aisuru_mistral.simulator.keys import WELL_KNOWN
from tests.simulator.schema import check


def identity(client, name, form):
    header = (
        {"authorization": f"Bearer {WELL_KNOWN[name]}"}
        if form == "bearer"
        else {"authorization": "", "x-api-key": WELL_KNOWN[name]}
    )
    return client.get("/v1/users/me", headers=header)


@pytest.mark.parametrize("form", ["bearer", "x-api-key"])
def test_a_key_tells_its_person_workspace_and_organization(alice, form):
    answer = identity(alice, "valid", form)
    assert answer.status_code == 200
    check(answer.json(), "UserIdentity")
    assert answer.json()["api_key"]["name"] == "aisuru-production"
    assert answer.json()["organization"]["name"] == "Aurora Assicurazioni S.p.A."


def test_some_keys_take_one_header_form_only(alice):
    statuses = {
        (name, form): identity(alice, name, form).status_code
        for name in ("identity_by_bearer", "identity_by_x_api_key", "valid_without_identity")
        for form in ("bearer", "x-api-key")
    }
    assert statuses == {
        ("identity_by_bearer", "bearer"): 200,
        ("identity_by_bearer", "x-api-key"): 401,
        ("identity_by_x_api_key", "bearer"): 401,
        ("identity_by_x_api_key", "x-api-key"): 200,
        ("valid_without_identity", "bearer"): 404,
        ("valid_without_identity", "x-api-key"): 404,
    }


def test_keys_share_or_differ_in_workspace_and_organization_as_their_names_say(alice):
    seen = {
        name: identity(alice, name, "bearer").json()
        for name in (
            "valid",
            "valid_second",
            "valid_other_workspace",
            "valid_other_organization",
        )
    }
    first, second = seen["valid"], seen["valid_second"]
    assert first["workspace"] == second["workspace"]
    assert first["api_key"]["id"] != second["api_key"]["id"]
    other = seen["valid_other_workspace"]
    assert other["organization"] == first["organization"]
    assert other["workspace"]["id"] != first["workspace"]["id"]
    assert seen["valid_other_organization"]["organization"]["id"] != first["organization"]["id"]
