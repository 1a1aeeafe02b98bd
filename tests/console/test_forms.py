"""Forms of the console: what they do, what they refuse, and that they keep what was typed."""

import codecs
import json
import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils.translation import override

from tenants.common import scope
from tenants.common.tokens import digest
from tenants.console.forms import Amount, Number
from tenants.keys import custody
from tenants.keys.models import KeyStatus, MistralKey
from tenants.organizations.invitation_mail import token_of
from tenants.organizations.models import Invitation, Member
from tenants.organizations.roles import Role
from tenants.people.models import TermsAcceptance
from tenants.registry.models import ModelToken, RegisteredModel
from tenants.spend.models import Limit
from tests import factories, people, sealing
from tests.api.world import MODEL, WholeWorld, World, made_up_key, valid_key, whole_world
from tests.people import session_caller

HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def hers() -> WholeWorld:
    return whole_world()


@pytest.fixture(scope="module")
def alice(hers) -> Client:
    client = session_caller(people.member(hers.organization, Role.ADMIN).person).client
    client.cookies["aim_language"] = "en"
    return client


@pytest.fixture(scope="module")
def seal(alice):
    """Seal as a browser does, with the key that it would fetch."""

    def sealed(plain: str, purpose: str, *ids: Any) -> str:
        intake_key = alice.get("/api/v1/intake-key").json()
        return json.dumps(sealing.seal(plain, intake_key, purpose, *ids))

    return sealed


def keys_of(found: World) -> list[MistralKey]:
    with scope.tenant(found.organization.pk):
        return list(MistralKey.objects.all())


def text(answer: Any) -> str:
    return str(answer.content.decode())


def test_a_sealed_key_is_registered_and_shown_as_being_checked(hers, alice, seal):
    plain = made_up_key()
    body = {
        "sealed_key": seal(plain, "register-key", hers.workspace.pk),
        "name": "Sito",
        "expires_on": "2031-01-31",
    }
    answer = alice.post(f"/workspaces/{hers.workspace.pk}/keys/new", body, headers=HTML)
    assert answer.status_code == 303
    page = text(alice.get(answer["Location"], headers=HTML))
    assert "Sito" in page
    assert "checking" in page
    assert "every 2s" in page
    assert plain not in page
    key = next(one for one in keys_of(hers) if one.name == "Sito")
    with scope.tenant(hers.organization.pk):
        assert custody.borrow(key).reveal() == plain
    listed = text(alice.get(f"/workspaces/{hers.workspace.pk}/keys?search={key.last4}"))
    assert "Sito" in listed
    assert "No key matches" in text(alice.get(f"/workspaces/{hers.workspace.pk}/keys?search=zzzz"))


@pytest.mark.parametrize("sent", ["", "not json", "{}", '{"intake_key_id": "x"}'])
def test_a_key_that_is_not_sealed_is_never_taken(sent, hers, alice):
    before = len(keys_of(hers))
    body = {"sealed_key": sent, "key": made_up_key(), "pasted_key": made_up_key(), "name": "Typed"}
    answer = alice.post(f"/workspaces/{hers.workspace.pk}/keys/new", body, headers=HTML)
    assert answer.status_code == 422
    assert 'value="Typed"' in text(answer)
    assert "paste it once more" in text(answer)
    assert body["key"] not in text(answer)
    assert len(keys_of(hers)) == before


def test_a_key_sealed_for_another_workspace_does_not_open(hers, alice, seal):
    elsewhere = factories.default_workspace(hers.organization)
    body = {"sealed_key": seal(made_up_key(), "register-key", elsewhere.pk)}
    answer = alice.post(f"/workspaces/{hers.workspace.pk}/keys/new", body, headers=HTML)
    assert answer.status_code == 422
    assert "does not open here" in text(answer)


def test_another_secret_takes_the_place_of_the_first(hers, alice, seal):
    key = valid_key(hers.workspace, "Vecchia")
    plain = made_up_key()
    body = {
        "sealed_key": seal(plain, "replace-key-secret", hers.workspace.pk, key.pk),
        "grace_seconds": "0",
    }
    assert alice.post(f"/keys/{key.pk}/replace", body, headers=HTML).status_code == 303
    with scope.tenant(hers.organization.pk):
        assert custody.borrow(MistralKey.objects.get(pk=key.pk)).reveal() == plain


def test_deleting_a_key_names_what_stops_and_asks_twice(hers, alice):
    key = valid_key(hers.workspace, "Usata")
    make(alice, hers, name="Su questa chiave", key_id=str(key.pk))
    path = f"/keys/{key.pk}/delete"
    assert "Su questa chiave" in text(alice.get(path, headers=HTML))
    refused = alice.post(path, {}, headers=HTML)
    assert refused.status_code == 409
    assert "Tick this to confirm" in text(refused)
    assert alice.post(path, {"force": "yes"}, headers=HTML).status_code == 303
    with scope.tenant(hers.organization.pk):
        assert MistralKey.objects.get(pk=key.pk).status == KeyStatus.REVOKED


def make(client: Client, found: World, **facts: str) -> Any:
    body = {"model": MODEL, "purposes": "question_answering", "visible_to_tenant": "on"} | facts
    return client.post(f"/workspaces/{found.workspace.pk}/models/new", body, headers=HTML)


def token_in(page: str) -> str:
    found = re.search(r"aim_mdl_[0-9A-Za-z]+", page)
    assert found
    return found[0]


def test_a_models_token_is_shown_once_and_its_limit_is_set(hers, alice):
    answer = make(alice, hers, name="Nuovo", spend_limit="12,50", temperature="0.3")
    assert answer.status_code == 201
    token = token_in(text(answer))
    with scope.tenant(hers.organization.pk):
        model = RegisteredModel.objects.get(name="Nuovo")
        assert ModelToken.objects.get(model=model).digest == digest(token)
        assert Limit.objects.get(subject_id=model.pk).monthly_spend == Decimal("12.5")
        assert model.defaults == {"temperature": 0.3}
    assert token not in text(alice.get(f"/models/{model.pk}", headers=HTML))
    again = make(alice, hers, name="nuovo")
    assert again.status_code == 409
    assert re.search(r'id="id_name_error">[^<]*has this name', text(again))


def test_what_is_wrong_with_a_model_stands_at_its_field(hers, alice):
    answer = make(alice, hers, name="Quasi", model="mistral-smal-latest")
    assert answer.status_code == 422
    assert re.search(r'id="id_model_error">[^<]*mistral-smal-latest', text(answer))
    assert 'value="Quasi"' in text(answer)
    wrong = make(alice, hers, name="Quasi", spend_limit="a lot")
    assert "Write an amount" in text(wrong)


def test_a_trial_has_a_token_of_its_own_that_ends(hers, alice):
    answer = alice.post(f"/models/{hers.model.pk}/trial", headers=HTML)
    assert answer.status_code == 201
    assert answer["Cache-Control"] == "no-store"
    with scope.tenant(hers.organization.pk):
        tokens = {bytes(one.digest): one for one in ModelToken.objects.filter(model=hers.model)}
    trial = tokens.pop(digest(answer.json()["token"]))
    assert trial.expires_at is not None
    assert all(one.revoked_at is None and one.expires_at is None for one in tokens.values())


def test_a_limit_is_read_as_people_write_it_and_refused_at_its_field(hers, alice):
    path = f"/organizations/{hers.organization.pk}/limits"
    body = {"monthly_spend": "1.500,00", "alert_thresholds": "100, 50", "mode": "enforce"}
    assert alice.post(path, body, headers=HTML).status_code == 303
    with scope.tenant(hers.organization.pk):
        limit = Limit.objects.get(subject_kind="organization")
    assert (limit.monthly_spend, limit.alert_thresholds) == (Decimal(1500), [50, 100])
    wrong = alice.post(path, body | {"alert_thresholds": "a few"}, headers=HTML)
    assert wrong.status_code == 422
    assert 'aria-invalid="true"' in text(wrong)


@pytest.mark.parametrize(
    ("language", "typed", "amount", "shown"),
    [
        ("it", "25,50", "25.5", "25,50"),
        ("it", "25.5", "25.5", "25,50"),
        ("it", "1.500", "1500", "1500"),
        ("it", "1,125", "1.125", "1,125"),
        ("it", "0.125", "0.125", "0,125"),
        ("en", "25,50", "25.5", "25.50"),
        ("en", "1,500", "1500", "1500"),
        ("en", "1.500", "1.5", "1.50"),
        ("en", "1,234,567.5", "1234567.5", "1234567.50"),
    ],
)
def test_amounts_are_read_and_written_as_the_reader_does(language, typed, amount, shown):
    with override(language):
        assert Amount().clean(typed) == Decimal(amount)
        assert Amount().prepare_value(Decimal(amount)) == shown
        assert Number().clean(typed) == Decimal(amount)


def test_what_is_saved_comes_back_into_the_fields_in_the_readers_language(hers, alice):
    path = f"/organizations/{hers.organization.pk}/limits"
    body = {"monthly_spend": "25,50", "mode": "enforce", "requests_per_second": "2,5"}
    assert alice.post(path, body, headers=HTML).status_code == 303
    page = text(alice.get(path, headers=HTML))
    assert 'value="25.50"' in page
    assert 'value="2.5"' in page
    alice.cookies["aim_language"] = "it"
    try:
        page = text(alice.get(path, headers=HTML))
    finally:
        alice.cookies["aim_language"] = "en"
    assert 'value="25,50"' in page
    assert 'value="2,5"' in page
    assert 'value="10"' in page


def test_what_if_says_whether_a_load_fits(hers, alice):
    path = f"/organizations/{hers.organization.pk}/limits"
    alice.post(path, {"mode": "enforce", "requests_per_second": "2"}, headers=HTML)
    ask = {"agents": "3", "messages": "2", "requests": "10"}
    assert "That fits: it needs 1.00" in text(alice.get(path, ask))
    assert "That does not fit: it needs 10.00" in text(alice.get(path, ask | {"agents": "30"}))


def test_billing_details_are_refused_at_their_fields(hers, alice):
    path = f"/organizations/{hers.organization.pk}/billing"
    body = {
        "legal_name": "Rossi Srl",
        "vat_number": "IT00743110158",
        "line1": "Via Roma 1",
        "postal_code": "2012",
        "city": "Milano",
        "province": "MI",
        "country": "IT",
        "sdi_code": "ABC1234",
    }
    wrong = alice.post(path, body, headers=HTML)
    assert wrong.status_code == 422
    for name in ("vat_number", "postal_code"):
        assert f'id="id_{name}_error"' in text(wrong)
    right = body | {"vat_number": "IT00743110157", "postal_code": "20121"}
    assert alice.post(path, right, headers=HTML).status_code == 303
    assert "form and check digit are right" in text(alice.get(path))


def test_several_people_are_invited_at_once_and_each_is_told(hers, alice):
    path = f"/organizations/{hers.organization.pk}/members"
    body = {"emails": "anna@x.example, no-address\nbruno@x.example", "role": "member"}
    body["workspaces"] = str(hers.workspace.pk)
    page = text(alice.post(path, body, headers=HTML))
    assert "is not an e-mail address" in page
    with scope.tenant(hers.organization.pk):
        invited = set(Invitation.objects.values_list("email", flat=True))
    assert {"anna@x.example", "bruno@x.example"} <= invited


def test_an_invitation_is_accepted_only_when_its_reader_says_so(hers):
    with scope.tenant(hers.organization.pk):
        invitation = Invitation.objects.get(pk=hers.ids["invitation_id"])
    reader = people.person("Dario", email=invitation.email)
    client = session_caller(reader).client
    path = f"/invitations/{token_of(invitation).reveal()}"
    assert client.get(path, headers=HTML).status_code == 200
    with scope.tenant(hers.organization.pk):
        assert not Member.objects.filter(person=reader).exists()
    answer = client.post(path, headers=HTML)
    assert answer["Location"] == f"/organizations/{hers.organization.pk}"
    with scope.tenant(hers.organization.pk):
        assert Member.objects.get(person=reader).role == Role.MEMBER


def test_what_concerns_safety_asks_first_who_one_is(hers):
    person = people.person("Sara", password=people.PASSWORD)
    people.member(hers.organization, Role.ADMIN, who=person)
    client = session_caller(person, is_sudo=False).client
    path = f"/organizations/{hers.organization.pk}/tokens/new"
    answer = client.get(path, headers=HTML)
    assert (answer.status_code, answer["Location"]) == (
        303,
        f"/confirm?next={path.replace('/', '%2F')}",
    )


def test_whoever_has_not_accepted_the_terms_is_led_there_and_back(hers):
    person = people.person("Tullio", has_terms=False)
    people.member(hers.organization, Role.ADMIN, who=person)
    client = session_caller(person).client
    path = f"/organizations/{hers.organization.pk}"
    there = client.get(path, headers=HTML)["Location"]
    assert there.startswith("/terms?next=")
    version = re.search(r'name="version" value="([^"]+)"', text(client.get(there, headers=HTML)))
    assert version
    back = client.post("/terms", {"version": version[1], "next": path}, headers=HTML)
    assert back["Location"] == path
    assert TermsAcceptance.objects.filter(person=person).exists()
    elsewhere = client.post("/terms", {"version": version[1], "next": "//evil.example/"})
    assert elsewhere["Location"] == "/"


def test_a_newcomer_makes_an_organization_and_lands_on_the_checklist():
    client = session_caller(people.person("Nina")).client
    assert client.get("/", headers=HTML)["Location"] == "/welcome"
    made = client.post("/welcome", {"name": "Nina & Co"}, headers=HTML)
    assert re.fullmatch(r"/organizations/[0-9a-f-]+/start", made["Location"])
    page = text(client.get(made["Location"], headers=HTML))
    assert "Per iniziare" in page
    assert "https://console.mistral.ai" in page


def test_the_language_stays_with_the_person():
    person = people.person("Lia")
    client = session_caller(person).client
    assert client.post("/looks", {"language": "en", "from": "/profile"})["Location"] == "/profile"
    person.refresh_from_db()
    assert person.locale == "en"
    assert '<html lang="en"' in text(client.get("/profile"))
    away = client.post("/looks", {"theme": "dark", "from": "https://evil.example/"})
    assert away["Location"] == "/"
    assert 'data-theme="dark"' in text(client.get("/profile"))


def test_spend_is_given_as_csv_and_a_wrong_month_is_a_page_of_the_house(hers, alice):
    path = f"/organizations/{hers.organization.pk}/spend"
    table = alice.get(f"{path}.csv?month=2026-10")
    assert table["Content-Type"].startswith("text/csv")
    assert table["Content-Disposition"].startswith("attachment")
    assert table.content.startswith(codecs.BOM_UTF8)
    assert text(table).splitlines()[-1].startswith("total,2026-10,Europe/Rome,EUR")
    assert "No usage in October 2026" in text(alice.get(f"{path}?month=2026-10"))
    wrong = alice.get(f"{path}?month=yesterday", headers=HTML)
    assert wrong.status_code == 422
    assert "month_invalid" in text(wrong)


def test_pages_allow_nothing_inline_and_nothing_from_elsewhere(hers, alice):
    for path in ("/sign-in", f"/models/{hers.model.pk}", "/nowhere"):
        answer = alice.get(path, headers=HTML)
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer["X-Frame-Options"] == "DENY"
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Cache-Control"] == "no-store" or path == "/sign-in"
        assert answer["Referrer-Policy"] == "same-origin"
        assert not re.search(r"<script(?![^>]* src=\"/static/)|style=|onclick=", text(answer))


def test_browsers_fill_in_what_they_should_and_keep_no_secret(hers, alice):
    def fields(page: str) -> dict[str, str]:
        return {
            re.search(r'(?:name|id)="([^"]+)"', tag)[1]: tag  # type: ignore[index]
            for tag in re.findall(r"<input[^>]*>", page)
            if "hidden" not in tag
        }

    client = Client()
    sign_in, sign_up = (fields(text(client.get(path))) for path in ("/sign-in", "/sign-up"))
    assert 'autocomplete="current-password"' in sign_in["password"]
    assert 'autocomplete="new-password"' in sign_up["password1"]
    assert "autocomplete" in sign_in["login"]
    page = text(alice.get(f"/workspaces/{hers.workspace.pk}/keys/new"))
    pasted = re.search(r'<[^>]*id="pasted_key"[^>]*>', page)
    assert pasted
    assert 'autocomplete="off"' in pasted[0]
    assert " name=" not in pasted[0]
    assert 'rel="noreferrer noopener"' in text(
        alice.get(f"/organizations/{hers.organization.pk}/start")
    )


def test_files_are_served_from_their_packages_and_no_others():
    client = Client()
    page = text(client.get("/sign-up"))
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert len(files) >= 4
    assert sum(len(client.get(file).content) for file in files) < 150_000
    assert client.get("/static/rest_framework/css/default.css").status_code == 404
