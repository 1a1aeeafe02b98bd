"""Billing facts: VAT numbers by their countries' rules, VIES when it answers, the way to go on."""

import json
import threading
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.billing import vat, vat_check
from tenants.billing.models import BillingProfile, VatStatus
from tenants.billing.vat import VatError
from tenants.common import scope
from tenants.vies import client
from tenants.vies.client import Answer, Registration
from tests.api.callers import organization_caller, platform_caller
from tests.api.rows import PLAN, PROFILE
from tests.api.world import valid_key, world


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("IT00743110157", "IT"),
        ("it 00743110157", "IT"),
        ("DE136695976", "DE"),
        ("FR40303265045", "FR"),
        ("EL094259216", "GR"),
        ("ATU13585627", "AT"),
        ("GB980780684", "GB"),
        ("CHE107787577IVA", "CH"),
    ],
)
def test_a_right_number_is_read_in_its_one_spelling(number, country):
    found = vat.read(number, country)
    assert found.is_checked
    assert str(found) == number.upper().replace(" ", "")


@pytest.mark.parametrize(
    ("number", "country", "code"),
    [
        ("IT00743110158", "IT", "vat_check_digit"),
        ("IT0074311015", "IT", "vat_malformed"),
        ("00743110157", "IT", "vat_country_mismatch"),
        ("DE136695976", "IT", "vat_country_mismatch"),
        ("IT" + "\N{ARABIC-INDIC DIGIT ONE}" * 11, "IT", "vat_malformed"),
        ("IT", "IT", "vat_malformed"),
    ],
)
def test_a_wrong_number_is_refused_by_what_is_wrong(number, country, code):
    with pytest.raises(VatError) as refusal:
        vat.read(number, country)
    assert refusal.value.code == code


@given(st.text(max_size=24), st.sampled_from(["IT", "DE", "FR", "GB", "US", "GR", "ZZ"]))
def test_whatever_is_typed_is_a_number_or_is_refused(text, country):
    try:
        found = vat.read(text, country)
    except VatError:
        return
    assert str(found).isascii()
    assert vat.read(str(found), country) == found


@pytest.fixture
def vera(organization):
    return organization_caller(organization)


def profile_path(organization) -> str:
    return f"organizations/{organization.pk}/billing-profile"


def test_a_profile_is_stated_and_read_and_starts_empty(organization, vera):
    path = profile_path(organization)
    empty = vera.get(path).body
    assert (empty["legal_name"], empty["address"], empty["vat_status"]) == ("", None, "unchecked")
    stated = vera.put(path, PROFILE)
    assert stated.status == 200, stated.raw
    assert stated.body["vat_status"] == "valid_format"
    assert stated.body["address"]["province"] == "MI"
    assert vera.get(path).body == stated.body


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"vat_number": "IT00743110158"}, {"/vat_number": "vat_check_digit"}),
        ({"sdi_code": ""}, {"/sdi_code": "sdi_or_pec_required"}),
        ({"sdi_code": "ABC"}, {"/sdi_code": "sdi_malformed"}),
        ({"pec": "nobody"}, {"/pec": "email_invalid"}),
        ({"address": {"country": "ZZ"}}, {"/address/country": "country_unknown"}),
        ({"address": {"postal_code": "1"}}, {"/address/postal_code": "postal_code_malformed"}),
        ({"address": {"province": ""}}, {"/address/province": "province_required"}),
        ({"card_number": "4242424242424242"}, {"/card_number": "unknown_field"}),
    ],
)
def test_a_profile_that_breaks_a_rule_is_refused_and_nothing_is_kept(
    organization, vera, changes, pointers
):
    body = PROFILE | changes
    if "address" in changes:
        body = PROFILE | {"address": PROFILE["address"] | changes["address"]}
    answer = vera.put(profile_path(organization), body)
    assert answer.status == 422
    assert pointers.items() <= answer.pointers.items()
    assert b"4242" not in answer.raw
    with scope.tenant(organization.pk):
        assert not BillingProfile.objects.exists()


def test_other_countries_have_neither_sdi_code_nor_pec(organization, vera):
    german = {
        "legal_name": "Rossi GmbH",
        "vat_number": "DE136695976",
        "address": {
            "line1": "Am Markt 1",
            "postal_code": "10115",
            "city": "Berlin",
            "country": "DE",
        },
    }
    path = profile_path(organization)
    assert vera.put(path, german | {"sdi_code": "ABC1234"}).pointers == {"/sdi_code": "italy_only"}
    assert vera.put(path, german).body["vat_status"] == "valid_format"


@contextmanager
def register(answer: object, status: int = 200):
    """A VIES of our own; it remembers what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def checked(organization, vera, settings, answer, status=200) -> BillingProfile:
    vera.put(profile_path(organization), PROFILE)
    with register(answer, status) as (address, asked):
        settings.VIES_API_URL = address
        vat_check.check(organization.pk)
        vat_check.check(organization.pk)  # not due any more
        assert asked == [{"countryCode": "IT", "vatNumber": "00743110157"}]
    with scope.tenant(organization.pk):
        return BillingProfile.objects.get()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"valid": True}, VatStatus.REGISTERED),
        ({"valid": False}, VatStatus.NOT_REGISTERED),
        ({"valid": False, "userError": "INVALID"}, VatStatus.NOT_REGISTERED),
    ],
)
def test_what_the_register_says_is_kept(organization, vera, settings, answer, expected):
    row = checked(organization, vera, settings, answer)
    assert (row.vat_status, row.due_at) == (expected, None)
    assert row.vat_checked_at is not None
    shown = vera.get(profile_path(organization)).body
    assert shown["vat_status"] == expected.value


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"valid": False, "userError": "MS_UNAVAILABLE"}, 200),
        ({"actionSucceed": False, "errorWrappers": [{"error": "MS_MAX_CONCURRENT_REQ"}]}, 200),
        ({"actionSucceed": False, "errorWrappers": [{"error": "SERVICE_UNAVAILABLE"}]}, 500),
        (b"<html>busy</html>", 200),
        (b"[]", 200),
        (b"x" * 100_000, 200),
        ({"valid": False}, 503),
    ],
)
def test_a_register_that_does_not_answer_says_nothing_and_is_asked_again_later(
    organization, vera, settings, answer, status
):
    row = checked(organization, vera, settings, answer, status)
    assert (row.vat_status, row.vat_checked_at) == (VatStatus.VALID_FORMAT, None)
    assert row.due_at is not None
    assert row.attempts == 1


def test_an_answer_about_a_number_that_was_replaced_meanwhile_is_dropped(
    organization, vera, monkeypatch
):
    vera.put(profile_path(organization), PROFILE)

    def replace(**_facts):
        vera.put(profile_path(organization), PROFILE | {"vat_number": "IT01533030480"})
        return Answer(Registration.REGISTERED)

    monkeypatch.setattr(client, "check", replace)  # the far side of the wire
    vat_check.check(organization.pk)
    with scope.tenant(organization.pk):
        row = BillingProfile.objects.get()
    assert (row.vat_number, row.vat_status) == ("IT01533030480", VatStatus.VALID_FORMAT)
    assert row.due_at is not None
    with scope.tenant(organization.pk):  # before whatever other tests left due
        BillingProfile.objects.update(due_at=row.due_at - timedelta(days=10_000))
    assert organization.pk in vat_check.due()


def test_a_plan_says_who_says_so(organization, vera):
    path = f"organizations/{organization.pk}/plan"
    assert vera.get(path).body["source"] is None
    recharge = {"enabled": True, "top_up": "50.00", "threshold": "10.00"}
    stated = vera.put(path, PLAN | {"auto_recharge": recharge})
    assert (stated.body["source"], stated.body["auto_recharge"]) == ("declared", recharge)
    refused = vera.put(path, PLAN | {"source": "observed"})
    assert (refused.status, refused.code) == (403, "platform_only")
    assert platform_caller().put(path, PLAN | {"source": "observed"}).body["source"] == "observed"
    without = vera.put(path, PLAN | {"auto_recharge": {"enabled": True, "top_up": "0"}})
    assert without.status == 422


def steps(caller, organization) -> dict[str, str]:
    shown = caller.get(f"organizations/{organization.pk}/onboarding").body
    return {step["key"]: step["status"] for step in shown["steps"]} | {"next": shown["next"]}


def test_onboarding_follows_the_facts_and_a_persons_word(organization, vera):
    path = f"organizations/{organization.pk}/onboarding"
    first = steps(vera, organization)
    assert first["next"] == "mistral_account"
    assert (first["api_key"], first["model"]) == ("blocked", "blocked")
    assert vera.post(f"{path}/mistral_account").status == 200
    assert steps(vera, organization)["api_key"] == "todo"
    vera.put(profile_path(organization), PROFILE)
    vera.put(f"organizations/{organization.pk}/plan", PLAN)
    found = steps(vera, organization)
    for key in ("mistral_account", "billing_profile", "payment_method", "plan", "phone"):
        assert found[key] == "done", key
    assert vera.post(f"{path}/mistral_account", {"done": False}).status == 200
    assert steps(vera, organization)["mistral_account"] == "todo"
    refused = vera.post(f"{path}/api_key")
    assert (refused.status, refused.code) == (409, "step_not_confirmable")
    assert vera.post(f"{path}/nothing").status == 404


def test_a_valid_key_and_a_model_are_seen_by_the_system(organization):
    hers = world(organization)
    valid_key(hers.workspace)
    found = steps(organization_caller(organization), organization)
    assert (found["mistral_account"], found["api_key"], found["model"]) == ("done",) * 3
    assert found["first_call"] == "todo"


@pytest.mark.parametrize(
    ("number", "status", "stands"),
    [
        ("", VatStatus.UNCHECKED, "todo"),
        ("IT01533030480", VatStatus.NOT_REGISTERED, "todo"),
        ("IT01533030480", VatStatus.VALID_FORMAT, "done"),
        ("IT01533030480", VatStatus.REGISTERED, "done"),
        ("CHE109322551", VatStatus.UNCHECKED, "done"),
    ],
)
def test_billing_details_are_done_with_a_vat_number_that_is_not_refused(
    organization, vera, number, status, stands
):
    with scope.tenant(organization.pk):
        BillingProfile.objects.create(
            organization=organization, legal_name="Rossi Srl", vat_number=number, vat_status=status
        )
    assert steps(vera, organization)["billing_profile"] == stands
