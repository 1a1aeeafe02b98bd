"""What pages say beside what they do: of zero, of what is over, of large numbers, of the place."""

import html
import re
from decimal import Decimal

import pytest
from django.test import Client
from django.utils.translation import override

from tenants.assistance.staff import StaffRole
from tenants.billing import vat
from tenants.common import charts
from tenants.console.billing import ProfileForm
from tenants.console.forms import ChangeForm, Number
from tenants.console.spending import figure_in
from tenants.keys.services import delete_key
from tenants.support import figures
from tests import factories, people
from tests.api.world import WholeWorld, whole_world
from tests.console.html import faults
from tests.console.test_limits_that_matter import call, limit
from tests.factories import ACTOR
from tests.support.conftest import hire


@pytest.fixture
def hers() -> WholeWorld:
    return whole_world()


@pytest.fixture
def admin(hers) -> Client:
    return people.visitor(hers.organization)


def test_a_limit_of_zero_is_said_to_stop_every_call(hers, admin):
    address = f"/models/{hers.model.pk}/limits"
    said = {"monthly_spend": "0", "mode": "enforce", "alert_thresholds": "80"}
    page = admin.post(address, said, follow=True).text
    assert "The limit is 0: every call that costs something is refused." in page
    page = admin.post(address, said | {"mode": "shadow"}, follow=True).text
    assert "The limit is 0" not in page
    assert "0: no call goes through." in page


def test_one_model_is_not_told_of_as_several(hers, admin):
    address = f"/keys/{hers.key.pk}/delete"
    page = admin.get(address).text
    assert "This model stops answering" in page
    assert "Give it another key first" in page
    italian = people.visitor(hers.organization, language="it").get(address).text
    assert "Assegnargli prima un'altra chiave" in html.unescape(italian)


def test_a_key_that_is_deleted_already_promises_nothing_more(hers, admin):
    delete_key(actor=ACTOR, key=hers.key, force=True)
    answer = admin.get(f"/keys/{hers.key.pk}/delete", follow=True)
    assert answer.redirect_chain == [(f"/keys/{hers.key.pk}", 303)]
    assert "This key is deleted already" in answer.text
    assert "Keep it" not in answer.text


def test_a_title_names_the_place(hers, admin):
    name, inside = hers.organization.name, hers.workspace.name
    title = re.compile("<title>([^<]+)</title>")
    page = admin.get(f"/organizations/{hers.organization.pk}/members").text
    assert title.findall(page) == [f"Members · {name} · AIsuru · Mistral"]
    page = admin.get(f"/workspaces/{hers.workspace.pk}/keys").text
    assert title.findall(page) == [f"API keys · {inside} · {name} · AIsuru · Mistral"]
    first = factories.default_workspace(hers.organization)  # called as the organization is
    page = admin.get(f"/workspaces/{first.pk}/keys").text
    assert title.findall(page) == [f"API keys · {name} · AIsuru · Mistral"]


def test_a_page_that_asks_after_the_end_of_the_session_leads_to_a_sign_in_that_says_so(hers):
    stranger = Client(headers={"Accept-Language": "en"})
    page = f"http://testserver/keys/{hers.key.pk}"
    headers = {"HX-Request": "true", "HX-Current-URL": page}
    way = stranger.get(f"/keys/{hers.key.pk}", headers=headers).headers["HX-Redirect"]
    shown = stranger.get(way).text
    assert "The session is over. Sign in to go on where you were." in shown
    assert f'value="/keys/{hers.key.pk}"' in shown
    assert faults(shown) == []
    plain = stranger.get(f"/keys/{hers.key.pk}", follow=True).text
    assert "The session is over" not in plain


def test_the_example_of_a_vat_number_is_one():
    [example] = re.findall(r"[A-Z]{2}\d+", str(ProfileForm.base_fields["vat_number"].help_text))
    assert str(vat.read(example, "IT")) == example


class Rated(ChangeForm):
    """A form with a large number."""

    rate = Number()


@pytest.mark.parametrize(("language", "written"), [("it", "20.000.000"), ("en", "20,000,000")])
def test_a_number_that_was_changed_meanwhile_is_told_in_groups(language, written):
    with override(language):
        seen = Rated(now={"rate": Decimal(1)}).initial["seen"]
        form = Rated({"rate": "2", "seen": seen}, now={"rate": Decimal(20_000_000)})
        assert not form.is_valid()
        assert f": {written}." in str(form.non_field_errors())


def test_a_share_beyond_all_measure_is_told_in_groups(hers, admin):
    assert call(hers, "689.11", "689.11")
    limit(hers, hers.organization, "0.01")
    page = admin.get(f"/organizations/{hers.organization.pk}").text
    assert page.count("6,891,100 percent of the limit") == 2


def test_amounts_beside_the_lines_have_the_same_decimals():
    scale = charts.Scale.for_most(Decimal("0.012"))
    with override("it"):
        told = [figure_in("EUR")(amount, scale.places) for amount in scale.lines]
    assert told == [
        f"{figure}\N{NO-BREAK SPACE}€" for figure in ("0,000", "0,005", "0,010", "0,015")
    ]
    assert charts.Scale.for_most(Decimal(3)).places == 2


def test_a_count_that_nobody_has_made_is_no_zero(monkeypatch):
    found = [
        figures.Figure(name, amount, None, is_estimate=True)
        for name, amount in (("keys", 0), ("people", 7))
    ]
    monkeypatch.setattr(figures, "figures", lambda: found)
    page = hire(StaffRole.LEAD).get("platform").text
    assert "≈ 0" not in page
    assert "not known yet" in page
    assert "≈ 7" in page
