"""The desk speaks as the console does, in the reader's language, with codes after the words."""

import ast
import re
from decimal import Decimal
from importlib import resources
from pathlib import Path
from unittest.mock import Mock

import pytest
from django.utils.translation import gettext, override

import tenants
from tenants.accounting.models import FigureSource, ReconciliationStatus
from tenants.assistance.staff import StaffRole
from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.console import words as console
from tenants.keys import services
from tenants.keys.models import KeyReplacement, KeyStatus, MistralKey
from tenants.notices.models import DeliveryStatus
from tenants.organizations.models import AuditEvent, OrganizationStatus
from tenants.organizations.roles import Role
from tenants.registry.models import PublicationStatus
from tenants.spend.calls import LimitMode, Outcome
from tenants.support import borrowed, tables, words
from tenants.support.pages import figure
from tests import factories, people
from tests.api.world import made_up_key, world
from tests.factories import ACTOR
from tests.spend import made
from tests.spend.made import as_owner
from tests.support.conftest import hire


def test_states_are_called_as_in_the_console():
    assert {code: word for code, (word, _tone) in console.KEY_STATUS.items()} == words.KEYS
    assert words.ROLES == console.ROLES
    assert console.OUTCOMES.items() <= words.OUTCOMES.items()


@pytest.mark.parametrize(
    ("kind", "called"),
    [
        (OrganizationStatus, words.ORGANIZATIONS),
        (KeyStatus, words.KEYS),
        (Role, words.ROLES),
        (Outcome, words.OUTCOMES),
        (LimitMode, words.MODES),
        (DeliveryStatus, words.DELIVERIES),
        (PublicationStatus, words.PUBLICATIONS),
        (ReconciliationStatus, words.RECONCILIATIONS),
        (FigureSource, words.SOURCES),
    ],
)
def test_every_code_has_a_word(kind, called):
    assert {one.value for one in kind} == {str(code) for code in called}


def test_a_code_without_a_word_stands_alone_and_is_no_markup():
    assert words.told(words.KEYS, "<b>") == "&lt;b&gt;"
    with override("en"):
        assert words.told(words.KEYS, "valid") == "valid"
        assert words.told(words.KEYS, "invalid").startswith("not valid <small")


@pytest.mark.parametrize(("language", "written"), [("it", "1.234,50"), ("en", "1,234.50")])
def test_amounts_are_written_as_the_reader_writes_them(language, written):
    with override(language):
        assert figure(Decimal("1234.5")) == written


def test_a_page_in_italian_has_italian_words_with_the_codes_after_them():
    organization = factories.organization(name="Verdi & Figli")
    people.member(organization, Role.BILLING)
    workspace = factories.workspace(organization, "Vendite")
    made.limit(organization, workspace, "1.50")
    worker = hire(StaffRole.LEAD)
    worker.enter(organization)
    worker.client.cookies["aim_language"] = "it"
    worker.client.defaults["HTTP_ACCEPT_LANGUAGE"] = "it"
    place = f"organizations/{organization.pk}"
    page = worker.get(place).text
    assert 'attiva <small class="desk-code">(active)</small>' in page
    assert "workspace Vendite" in page
    assert "1,50 EUR" in page
    assert 'rifiuta le chiamate <small class="desk-code">(enforce)</small>' in page
    page = worker.get(f"{place}/people").text
    assert 'Fatturazione <small class="desk-code">(billing)</small>' in page
    assert "Esci" in page
    assert "Annulla l" not in page


def test_what_is_borrowed_is_unfolds_and_has_an_italian_of_ours():
    folder = resources.files("unfold").joinpath("templates", "unfold", "helpers")
    said = "".join(one.read_text("utf-8") for one in folder.iterdir() if one.is_file())
    for sentence in borrowed.SENTENCES:
        with override("en"):
            text = str(sentence)
        assert text in said
        with override("it"):
            assert gettext(text) != text


def test_keys_are_counted_after_the_word_for_their_state(organization):
    workspace = factories.default_workspace(organization)
    with scope.tenant(organization.pk):
        for _number in range(2):
            key = factories.raw_key(organization, workspace)
            MistralKey.objects.filter(pk=key.pk).update(status=KeyStatus.INVALID)
    agent = hire(StaffRole.AGENT)
    agent.enter(organization)
    page = agent.get(f"organizations/{organization.pk}").text
    assert 'not valid <small class="desk-code">(invalid)</small>: 2' in page


def test_a_waiting_secret_is_told_in_words_too():
    hers = world()
    with scope.tenant(hers.organization.pk):
        MistralKey.objects.filter(pk=hers.key.pk).update(status=KeyStatus.VALID)
    plain = Secret(made_up_key())
    services.replace_secret(actor=ACTOR, key=hers.key, plain=plain, grace_seconds=3600)
    with scope.tenant(hers.organization.pk):
        KeyReplacement.objects.filter(key=hers.key).update(status=KeyStatus.INVALID)
    agent = hire(StaffRole.AGENT)
    agent.enter(hers.organization)
    page = agent.get(f"organizations/{hers.organization.pk}/keys/{hers.key.pk}").text
    assert ": not valid (invalid), takes over at" in page


def test_what_was_found_is_said_in_words_whatever_the_look_up_can_answer(organization):
    asked = ["support_look_up", "support_trace", "support_call"]
    bodies = as_owner("SELECT prosrc FROM pg_proc WHERE proname = ANY(%s)", asked)
    body = " ".join(body for (body,) in bodies)
    found = set(re.findall(r"SELECT \w\.\w+(?: AS id)?, '([^']+)'", body))
    assert {"organization", "call at Mistral", "model token"} <= found
    assert found == set(words.MATCHES)
    agent = hire(StaffRole.AGENT)
    agent.client.defaults["HTTP_ACCEPT_LANGUAGE"] = "it"
    agent.client.cookies["aim_language"] = "it"
    shown = agent.post("", term=organization.slug).text
    assert 'organizzazione <small class="desk-code">(organization)</small>' in shown
    with override("it"):
        both = words.matches("invitation, member")
    code = '<small class="desk-code">({})</small>'
    assert both == f"invito {code.format('invitation')}, membro {code.format('member')}"


def platform_verbs() -> set[str]:
    """Every verb that the source writes into the platform's log."""
    found = set()
    for path in Path(tenants.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call) or "record_platform" not in ast.unparse(call.func):
                continue
            (verb,) = (one.value for one in call.keywords if one.arg == "verb")
            for told in [verb.body, verb.orelse] if isinstance(verb, ast.IfExp) else [verb]:
                assert isinstance(told, ast.Constant), path
                found.add(str(told.value))
    return found


def test_every_verb_of_the_platforms_log_has_words_in_both_languages():
    assert platform_verbs() == set(words.PLATFORM), "say them in tenants/support/words.py"
    for verb, said in words.PLATFORM.items():
        with override("en"):
            english = str(said)
        with override("it"):
            assert len({verb, english, str(said)}) == 3, verb


def test_the_platforms_log_is_read_in_words():
    lead = hire(StaffRole.LEAD)
    lead.client.cookies["aim_language"] = "it"
    lead.client.defaults["HTTP_ACCEPT_LANGUAGE"] = "it"
    lead.post("", term="nobody-at-all")
    lead.get("platform/attention")
    log = lead.get("log").text
    for said, verb in [
        ("ha cercato a chi appartiene qualcosa", "lookup.made"),
        ("ha guardato chi richiede attenzione", "attention.viewed"),
    ]:
        assert f'{said} <small class="desk-code">({verb})</small>' in log


@pytest.mark.parametrize(
    ("kind", "named", "shown"),
    [("staff", "Lea (support)", "Lea · "), ("token", "Lea (support)", "Lea (support) · ")],
)
def test_the_audit_log_says_once_that_somebody_is_of_the_staff(kind, named, shown):
    event = AuditEvent(verb="key.created", actor_kind=kind, actor_name=named)
    ((_when, who, *_rest),) = tables.events(Mock(), [event])
    assert who.startswith(shown)
