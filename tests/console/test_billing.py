"""The country of billing details: chosen by name in the reader's language, kept as a code."""

import re

import pytest

from tenants.billing.models import BillingProfile
from tenants.billing.profile_rules import countries
from tenants.common import scope
from tenants.console.countries import named
from tenants.organizations.roles import Role
from tests import people
from tests.people import session_caller

pytestmark = pytest.mark.slow

GERMAN = {
    "legal_name": "Muster GmbH",
    "vat_number": "",
    "line1": "Hauptstraße 1",
    "postal_code": "10115",
    "city": "Berlin",
    "country": "DE",
}


@pytest.fixture
def address(organization) -> str:
    return f"/organizations/{organization.pk}/billing"


@pytest.fixture
def client(organization):
    return session_caller(people.member(organization, Role.ADMIN).person).client


def options(page: str) -> list[tuple[str, str]]:
    [select] = re.findall(r'<select name="country".*?</select>', page, re.DOTALL)
    return re.findall(r'<option value="([A-Z]{2})"[^>]*>([^<]+)</option>', select)


@pytest.mark.parametrize(("language", "germany"), [("it", "Germania"), ("en", "Germany")])
def test_countries_are_chosen_by_name_in_the_readers_language(language, germany, client, address):
    client.cookies["aim_language"] = language
    page = client.get(address).text
    found = options(page)
    assert {code for code, _name in found} == countries()
    assert (dict(found)["DE"], found[0][0]) == (germany, "AF")
    assert all(len(name) > 2 for _code, name in found), "no code stands for a name"
    assert '<option value="IT" selected>' in page, "most are in Italy"


def test_accents_do_not_move_a_country_to_the_end_of_the_list():
    names = [name for _code, name in named("en")]
    assert names.index("Åland Islands") < names.index("Albania") < names.index("Algeria")


def test_a_language_that_nobody_knows_gets_english_names():
    assert named("xx-nowhere") == named("en")


def test_a_country_is_kept_as_a_code_and_chosen_when_the_page_is_shown_again(
    client, address, organization
):
    assert client.post(address, GERMAN).status_code == 303
    with scope.tenant(organization.pk):
        assert BillingProfile.objects.get().country == "DE"
    assert '<option value="DE" selected>' in client.get(address).text


def test_a_country_that_is_none_is_refused_at_its_field(client, address, organization):
    answer = client.post(address, GERMAN | {"country": "XX"})
    assert answer.status_code == 422
    assert re.search(r'<select name="country"[^>]*aria-invalid="true"', answer.text)
    with scope.tenant(organization.pk):
        assert not BillingProfile.objects.exists()
