"""The audit log in words: a sentence for all that can be written, in both languages."""

import re
from decimal import Decimal

import pytest
from django.utils.translation import override

from tenants.assistance.staff import Staff, StaffRole
from tenants.billing.models import BillingProfile, Plan
from tenants.common import scope
from tenants.console import targets
from tenants.keys.models import MistralKey
from tenants.keys.services import delete_key, update_key
from tenants.organizations import audit, audit_reading, fields
from tenants.organizations.deeds import NOUNS, SENTENCES
from tenants.organizations.roles import Role
from tenants.registry.models import RegisteredModel, TrafficPolicy
from tenants.registry.services import retire_model, update_model
from tenants.spend.calls import SubjectKind
from tenants.spend.models import Limit, WorkspacePolicy
from tenants.spend.services import set_limit
from tests import people
from tests.api.world import WholeWorld, whole_world
from tests.console import written
from tests.factories import ACTOR
from tests.people import session_caller

pytestmark = pytest.mark.slow

_PLACES = {"who": "Alice", "name": "Produzione"}


@pytest.fixture
def hers() -> WholeWorld:
    return whole_world()


def asked(found: WholeWorld, query: str = "", language: str = "en") -> str:
    """Ask for the log as an administrator, without what stands in white space."""
    client = session_caller(people.member(found.organization, Role.ADMIN).person).client
    client.cookies["aim_language"] = language
    answer = client.get(f"/organizations/{found.organization.pk}/audit{query}")
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def sentences(page: str) -> list[str]:
    """Read the sentences of a page, without their links."""
    cells = re.findall(r'data-label="(?:What was done|Cosa è successo)"><span>(.*?)</span>', page)
    return [re.sub("<[^>]+>", "", cell) for cell in cells]


def test_every_verb_that_the_code_can_write_has_a_sentence_in_both_languages():
    verbs = written.verbs()
    assert {"key.registered", "onboarding.skipped", "support.keys_exported"} <= verbs
    assert verbs - set(SENTENCES) == set(), "say them in tenants/organizations/deeds.py"
    assert set(SENTENCES) - verbs == set(), "nobody writes them any more"
    for verb in verbs:
        said = {}
        for language in ("it", "en"):
            with override(language):
                said[language] = str(SENTENCES[verb]) % _PLACES
        assert said["it"] != said["en"], verb
        for sentence in said.values():
            assert sentence.count("Alice") == sentence.count("Produzione") == 1, sentence
    assert {verb.partition(".")[0] for verb in verbs} == set(NOUNS)


def test_every_kind_that_something_can_be_done_to_has_words_in_both_languages():
    kinds = written.kinds()
    assert {"mistralkey", "registeredmodel", "plan", "joinrequest"} <= kinds
    assert kinds - set(targets.KINDS) == set(), "say them in tenants/console/targets.py"
    assert set(targets.KINDS) - kinds == set(), "nothing is done to them any more"
    for name in kinds:
        with override("it"):
            italian = str(targets.KINDS[name].word)
        with override("en"):
            assert italian != str(targets.KINDS[name].word), name


@pytest.mark.parametrize("kind", list(SubjectKind), ids=str)
def test_a_limit_leads_to_what_it_limits_whatever_that_is(hers, kind):
    subject, name, address = {
        SubjectKind.ORGANIZATION: (
            hers.organization,
            hers.organization.name,
            f"/organizations/{hers.organization.pk}/limits",
        ),
        SubjectKind.WORKSPACE: (
            hers.workspace,
            hers.workspace.name,
            f"/workspaces/{hers.workspace.pk}/limits",
        ),
        SubjectKind.MODEL: (hers.model, hers.model.name, f"/models/{hers.model.pk}/limits"),
        SubjectKind.KEY: (
            hers.key,
            f"{hers.key.name} …{hers.key.last4}",
            f"/keys/{hers.key.pk}/limits",
        ),
    }[kind]
    set_limit(
        actor=ACTOR, organization=hers.organization, subject=subject, monthly_spend=Decimal(5)
    )
    page = asked(hers, "?action=limit.set")
    assert f'the limits of <a href="{address}">{name}</a>' in page


def test_a_verb_without_words_is_shown_as_it_is(hers):
    with scope.tenant(hers.organization.pk):
        audit.record(
            actor=ACTOR, organization_id=hers.organization.pk, verb="tea.made", target=hers.domain
        )
    assert sentences(asked(hers))[0].endswith(f" tea.made {hers.domain.domain}")


def test_an_entry_is_a_sentence_that_leads_to_what_it_names(hers):
    update_key(actor=ACTOR, key=hers.key, changes={"name": "Sito <b>web</b>"})
    page = asked(hers, "?action=key.updated")
    address = f'<a href="/keys/{hers.key.pk}">Sito &lt;b&gt;web&lt;/b&gt; …{hers.key.last4}</a>'
    assert f"changed the API key {address}" in page
    assert '<span title="name">name</span>' in page
    assert "key.updated</code>" in page, "codes are at hand"
    assert str(hers.key.pk) in page
    italian = asked(hers, "?action=key.updated", "it")
    assert f"ha modificato la chiave API {address}" in italian
    assert '<span title="name">nome</span>' in italian
    assert re.search(r'<time datetime="[^"]+" title="[^"]+ UTC · Europe/Rome">', italian)


def test_the_staff_is_called_so_once_in_the_readers_language(hers):
    staff = Staff(people.person("Lea"), StaffRole.AGENT)
    update_key(actor=staff.actor, key=hers.key, changes={"name": "Altra"})
    said = {
        language: sentences(asked(hers, "?action=key.updated", language))[0]
        for language in ("en", "it")
    }
    assert said["en"].startswith("Lea (support staff) changed ")
    assert said["it"].startswith("Lea (assistenza) ha modificato ")


def test_what_is_gone_is_named_and_leads_nowhere(hers):
    retire_model(actor=ACTOR, model=hers.model)
    page = asked(hers, f"?target={hers.model.pk}")
    assert f"deleted the model <strong>{hers.model.name}</strong>" in page
    assert f'href="/models/{hers.model.pk}"' not in page
    delete_key(actor=ACTOR, key=hers.key)
    assert f'href="/keys/{hers.key.pk}"' in asked(hers, "?action=key.deleted"), "it has a page"


def test_nobody_is_led_where_they_may_not_go(hers):
    with scope.tenant(hers.organization.pk):
        events = list(audit_reading.matching())
        named = targets.of(events, frozenset())
    kinds = {named[one.target_id].address: one.target_kind for one in events}
    assert set(kinds.values()) >= {"organization"}
    assert {kind for address, kind in kinds.items() if address} == {"organization"}


def test_everything_that_was_done_in_a_whole_world_is_named(hers):
    found = sentences(asked(hers))
    assert len(found) > 10
    assert not [one for one in found if "…" in one and "key" not in one], found


def test_it_is_searched_by_choosing_from_lists(hers):
    update_model(actor=ACTOR, model=hers.model, changes={"description": "Nuova"})
    page = asked(hers)
    assert '<optgroup label="API keys">' in page
    assert '<option value="key">API keys: everything</option>' in page
    assert '<option value="model.updated">… changed the model …</option>' in page
    assert 'type="text"' not in page, "nothing has to be typed"
    of_models = sentences(asked(hers, "?action=model&period=today"))
    assert len(of_models) == 2
    assert all("the model Assistente" in one for one in of_models)
    assert sentences(asked(hers, "?action=model.created")) == of_models[1:]
    assert sentences(asked(hers, "?action=prices&period=week")) == []
    assert sentences(asked(hers, f"?actor={ACTOR.id}&action=model.updated")) == of_models[:1]


def test_a_verb_of_an_old_link_is_searched_although_no_list_has_it(hers):
    page = asked(hers, "?action=model.praised")
    assert '<option value="model.praised" selected>' in page
    assert sentences(page) == []


#: Whose fields are told of when they change, and what of them never is.
AUDITED = [BillingProfile, Limit, MistralKey, Plan, RegisteredModel, TrafficPolicy, WorkspacePolicy]
NEVER = {
    *("id", "organization", "workspace", "created_at", "created_by", "updated_at"),
    *("subject_kind", "subject_id", "retired_at", "seen_at"),
    *("vat_status", "vat_checked_at", "attempts", "due_at", "held_until", "claim"),
    *("revoked_at", "last_used_at", "last4", "fingerprint", "sealed", "secret_version"),
    *("secret_at", "data_key_version", "verdict_code", "checked_at", "evidence", "identity"),
    *("mistral_organization_id", "models_seen", "doubts", "next_check_at", "asked_at"),
}


def test_fields_have_labels_in_both_languages():
    names = {one.name for model in AUDITED for one in model._meta.concrete_fields} - NEVER
    assert names - set(fields.LABELS) == set(), "say them in tenants/organizations/fields.py"
    for name, label in fields.LABELS.items():
        with override("it"):
            italian = str(label)
        with override("en"):
            assert str(label), name
        assert italian, name
