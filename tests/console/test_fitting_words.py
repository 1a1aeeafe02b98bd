"""Words that fit what they stand at: numbers, genders, languages, and a sign beside each colour."""

import re
from pathlib import Path

import pytest
from allauth.mfa.models import Authenticator
from django.forms import Form
from django.test import Client
from django.utils.translation import override

from tenants import console
from tenants.access.accounts import SecondFactorAdapter
from tenants.access.models import TokenScope
from tenants.access.services import issue_organization_token
from tenants.common import scope
from tenants.console.forms import Amount
from tenants.notices import services
from tenants.notices.models import Delivery, DeliveryStatus
from tenants.organizations.roles import Role
from tests import factories, people
from tests.factories import ACTOR
from tests.people import session_caller


@pytest.fixture
def anna(organization) -> Client:
    who = people.person("Anna", password=people.PASSWORD)
    client = session_caller(people.member(organization, Role.ADMIN, who=who).person).client
    client.cookies["aim_language"] = "it"
    return client


class Priced(Form):
    """A form with an amount."""

    amount = Amount()


@pytest.mark.parametrize(("language", "written"), [("it", "500,50."), ("en", "500.50.")])
def test_an_amount_is_shown_as_the_reader_writes_it(language, written):
    with override(language):
        (told,) = Priced({"amount": "a lot"}).errors["amount"]
    assert str(told).endswith(f" 500 o {written}" if language == "it" else f" 500 or {written}")


def test_one_right_of_a_token_is_one(organization, anna):
    for scopes in ([TokenScope.SPEND_READ], [TokenScope.SPEND_READ, TokenScope.LIMITS_READ]):
        issue_organization_token(
            actor=ACTOR, organization=organization, name="one", scopes=scopes, grantable=scopes
        )
    page = anna.get(f"/organizations/{organization.pk}/tokens").text
    assert re.findall(r'class="fine">(\d diritt\w)<', page) == ["2 diritti", "1 diritto"]


def test_what_is_sealed_is_neither_a_key_nor_a_token_in_its_words(organization, anna):
    workspace = factories.workspace(organization, "Produzione")
    for address in (
        f"/workspaces/{workspace.pk}/keys/new",
        f"/organizations/{organization.pk}/aisuru/login",
    ):
        page = anna.get(address).text
        assert "Il segreto viene sigillato nel browser" in page
        assert "Il segreto viene sigillato con ECDH" in page


@pytest.mark.parametrize("language", ["it", "en"])
def test_a_passkey_without_a_name_is_called_a_passkey(language):
    person = people.person("Pia")
    kind = Authenticator.Type.WEBAUTHN
    with override(language):
        assert SecondFactorAdapter().generate_authenticator_name(person, kind) == "Passkey 1"
        Authenticator.objects.create(user=person, type=kind, data={})
        assert SecondFactorAdapter().generate_authenticator_name(person, kind) == "Passkey 2"


def test_a_delivery_that_was_given_up_has_a_sign_beside_its_colour(organization, anna):
    url = "https://hooks.example.com/erp"
    row, _secret = services.create_webhook(actor=ACTOR, organization=organization, url=url)
    sent = services.send_test(actor=ACTOR, endpoint=row)
    with scope.tenant(organization.pk):
        Delivery.objects.filter(pk=sent.pk).update(status=DeliveryStatus.FAILED, due_at=None)
    hook = f"/organizations/{organization.pk}/webhooks/{row.pk}"
    for address in (hook, f"{hook}/deliveries/{sent.pk}"):
        assert re.search(
            r'badge-mark" aria-hidden="true">✕</span>abbandonat', anna.get(address).text
        )


def test_every_badge_of_a_tone_that_is_computed_has_its_sign():
    """A tone that a page computes goes through the tag that writes the sign."""
    bare = re.compile(r'class="badge badge-\{\{[^>]*>(?!<span class="badge-mark")')
    pages = list((Path(console.__file__).parent / "templates").rglob("*.html"))
    assert len(pages) > 40
    assert [page.name for page in pages if bare.search(page.read_text())] == []
