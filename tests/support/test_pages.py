"""What the desk's pages say: whose something is, what happened to a call, and no secret at all."""

import re

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tenants.access.services import issue_organization_token
from tenants.assistance.models import PlatformEvent
from tenants.assistance.staff import StaffRole
from tenants.common import scope
from tenants.common.models import new_id
from tenants.common.secrets import Secret
from tenants.keys.models import KeyStatus, MistralKey
from tenants.keys.services import register_key
from tenants.organizations.models import Organization
from tenants.registry.services import rotate_token
from tenants.spend.calls import Outcome
from tenants.spend.meter import Meter
from tenants.spend.pricing import Quantities
from tenants.support.lists import KNOWN
from tenants.support.looking import Kind, read
from tests import factories, people
from tests.api.world import World, made_up_key, registered_model, valid_key, world
from tests.factories import ACTOR
from tests.postgres import owner_url
from tests.spend import made
from tests.support.conftest import hire, verbs_of
from tests.support.test_table import LOOKS, PLATFORM, address


@pytest.fixture(scope="module")
def spent(hers: World):
    """Calls of Alice's: one went well, one was refused by Mistral, one was never sent."""
    meter = Meter()
    calls = [
        made.intent(hers.organization, hers.workspace, model_id=hers.model.id, key_id=hers.key.id)
        for _ in range(4)
    ]
    meter.open_calls(calls)
    meter.settle_calls(
        [
            made.settlement(calls[0], correlation_id="0199-well-done-0001"),
            made.settlement(calls[1], "0", outcome=Outcome.REFUSED, http_status=402),
            made.settlement(calls[2], "0", outcome=Outcome.NOT_SENT, http_status=None),
        ]
    )
    yield calls
    meter.close()


@pytest.mark.parametrize(
    ("typed", "kind", "text"),
    [
        ("  Rossi   Srl ", Kind.TEXT, "Rossi Srl"),
        ("Alice@Rossi.Example", Kind.EMAIL, "alice@rossi.example"),
        ("01A20ABE-7C4E-753A-9193-20391E59F480", Kind.ID, "01a20abe-7c4e-753a-9193-20391e59f480"),
        ("wXyZ", Kind.LAST_FOUR, "wXyZ"),
        ("aim_org_…wxyz", Kind.TOKEN, "wxyz"),
        ("0199-well-done-0001", Kind.TRACE, "0199-well-done-0001"),
        ("ft:open-mistral-7b:rossi", Kind.TEXT, "ft:open-mistral-7b:rossi"),
    ],
)
def test_a_term_is_read_for_what_it_is(typed, kind, text):
    term = read(typed)
    assert term is not None
    assert (term.kind, term.text) == (kind, text)
    assert read(" \x00 ") is None


def test_the_box_tells_whose_anything_is_and_no_more(hers, spent, agent):
    organization = hers.organization
    with scope.platform():
        before = PlatformEvent.objects.count()
    with scope.tenant(organization.pk):
        Organization.objects.filter(pk=organization.pk).update(aisuru_tenant="rossi.aisuru.example")
    unique = registered_model(hers.workspace, hers.key, f"Model {new_id()}")
    terms = [
        organization.name,
        organization.slug,
        "rossi.AISURU.example",
        organization.owner_email,
        hers.invitation.email,
        str(organization.pk),
        str(hers.workspace.pk),
        str(hers.key.pk),
        str(hers.model.pk),
        str(hers.token.pk),
        hers.key.last4,
        hers.token.hint,
        str(spent[0].call_id),
        str(spent[3].call_id),
        "0199-well-done-0001",
        unique.name,
    ]
    link = f'href="/admin/organizations/{organization.pk}"'
    for term in terms:
        shown = agent.post("", term=term).text
        assert link in shown, term
        assert hers.member.person.email not in shown
    with scope.platform():
        logged = PlatformEvent.objects.order_by("id")[before:]
        assert [event.verb for event in logged] == ["lookup.made"] * len(terms)
        assert all(event.person_id == agent.person.pk for event in logged)
    assert verbs_of(organization.pk, agent.person) == []
    assert link not in agent.post("", term=f"nobody-{new_id()}@people.example").text


def test_what_is_typed_into_the_box_is_not_shown_again(agent):
    shown = agent.post("", term="hunter2" * 50)
    assert shown.status_code == 200
    assert "hunter2" not in shown.text


def test_wildcards_are_letters(hers, agent):
    assert f"/admin/organizations/{hers.organization.pk}" not in agent.post("", term="%_%").text


def test_one_page_tells_what_happened_to_a_call(hers, spent):
    worker = hire(StaffRole.VIEWER)
    worker.enter(hers.organization)
    page = f"organizations/{hers.organization.pk}/calls"
    well, refused, unsent, open_ = (worker.get(f"{page}/{call.call_id}").text for call in spent)
    assert "0199-well-done-0001" in well
    assert "402" in refused
    assert "provider" in refused
    assert "gateway" in unsent
    assert str(spent[3].call_id) in open_
    italian = worker.client.get(
        f"/admin/{page}/{spent[1].call_id}", headers={"Accept-Language": "it"}
    )
    assert "fornitore: Mistral l&#x27;ha rifiutata" in italian.text
    assert worker.get(f"{page}/{new_id()}").status_code == 404
    assert verbs_of(hers.organization.pk, worker.person)[-1] == "support.call_viewed"
    spoilt = worker.get(page, outcome="spoilt").text
    assert str(spent[1].call_id) in spoilt
    assert str(spent[0].call_id) not in spoilt
    overview = worker.get(f"organizations/{hers.organization.pk}").text
    assert str(spent[1].call_id) in overview
    assert str(spent[3].call_id) in overview


def test_what_a_call_without_tokens_used_is_told(organization):
    small = world(organization)
    call = made.intent(organization, small.workspace)
    used = Quantities(pages=3, annotated_pages=2, audio_seconds=41, characters=1234)
    used.connector_calls = 5
    meter = Meter()
    meter.open_calls([call])
    meter.settle_calls([made.settlement(call, "0.01", quantities=used)])
    meter.close()
    viewer = hire(StaffRole.VIEWER)
    viewer.enter(organization)
    shown = " ".join(
        viewer.get(f"organizations/{organization.pk}/calls/{call.call_id}").text.split()
    )
    listed = people.visitor(organization).get(f"/organizations/{organization.pk}/calls").text
    told = [
        ("Pages", "3"),
        ("Annotated pages", "2"),
        ("Seconds of audio", "41"),
        ("Characters", "1234"),
        ("Calls of connectors", "5"),
    ]
    for word, number in told:
        assert re.search(rf">{word}</[^>]+> <[^>]+>{number}<", shown), word
        assert f"{word}: {number.replace('1234', '1,234')}</span>" in listed
    assert "Training tokens" not in shown + listed


def test_lists_go_on_where_the_page_before_ended(organization, monkeypatch):
    monkeypatch.setattr("tenants.support.lists.MANY", 2)
    workspace = factories.default_workspace(organization)
    for number in range(3):
        valid_key(workspace, f"Key {number}")
    worker = hire(StaffRole.VIEWER)
    worker.enter(organization)
    first = worker.get(f"organizations/{organization.pk}/keys").text
    assert "Key 2" in first
    assert "Key 0" not in first
    cursor = first.rpartition("?cursor=")[2].partition('"')[0]
    second = worker.get(f"organizations/{organization.pk}/keys", cursor=cursor).text
    assert "Key 0" in second
    assert "Key 2" not in second
    refused = worker.get(f"organizations/{organization.pk}/keys", cursor="made-up")
    assert refused.status_code == 422


_COUNTED = 'not valid <small class="desk-code">(invalid)</small>: 1, valid: %s<'


@pytest.mark.parametrize(("most", "told"), [(3, _COUNTED % "3"), (2, _COUNTED % "2+")])
def test_keys_are_counted_as_far_as_that_is_quick(organization, monkeypatch, most, told):
    monkeypatch.setattr("tenants.support.overview._MOST_KEYS", most)
    workspace = factories.default_workspace(organization)
    keys = [valid_key(workspace, f"Key {number}") for number in range(4)]
    with scope.tenant(organization.pk):
        MistralKey.objects.filter(pk=keys[0].pk).update(status=KeyStatus.INVALID)
    worker = hire(StaffRole.VIEWER)
    worker.enter(organization)
    assert told in worker.get(f"organizations/{organization.pk}").text


def test_a_page_asks_as_much_of_a_small_organization_as_of_a_larger_one():
    worker = hire(StaffRole.LEAD)
    small, large = factories.organization(), factories.organization()
    keys = {}
    for organization, many in ((small, 1), (large, 6)):
        workspace = factories.default_workspace(organization)
        for number in range(many):
            keys[organization.pk] = key = valid_key(workspace)
            registered_model(workspace, key, f"Model {number}")
        worker.enter(organization, elevated=True)
    for route in LOOKS:
        counts = []
        for organization in (small, large):
            path = route.replace("<uuid:organization_id>", str(organization.pk))
            path = path.replace("<uuid:key_id>", str(keys[organization.pk].pk))
            with CaptureQueriesContext(
                connection,
            ) as queries:
                assert worker.get(path).status_code == 200
            counts.append(len(queries))
        assert counts[0] == counts[1], route
        assert counts[0] <= 32, route


def fail_with(secret: str):
    def fail(_visit: object) -> None:
        raise ValueError(secret)

    return fail


def test_no_page_list_export_history_or_error_shows_a_secret(hers, monkeypatch):
    worker = hire(StaffRole.SECURITY)
    organization = hers.organization
    worker.enter(organization, elevated=True)
    canary = made_up_key()
    key = register_key(actor=ACTOR, workspace=hers.workspace, plain=Secret(canary), name="C").key
    _row, token = issue_organization_token(
        actor=ACTOR, organization=organization, name="canary", scopes=[], grantable=[]
    )
    model_token = rotate_token(actor=ACTOR, model=hers.model)
    secrets = [canary, token.reveal(), model_token.reveal()]
    with connection.cursor() as cursor, scope.tenant(organization.pk):
        cursor.execute(
            "SELECT encode(sealed, 'hex'), encode(fingerprint, 'hex') FROM keys_mistralkey"
            " WHERE id = %s",
            [key.pk],
        )
        sealed = list(cursor.fetchone())
        cursor.execute(
            "SELECT encode(digest, 'hex') FROM access_organizationtoken"
            " UNION SELECT encode(digest, 'hex') FROM registry_modeltoken"
        )
        sealed += [row[0] for row in cursor.fetchall()]
    shown = [worker.get(address(route, hers)).text for route in [*PLATFORM, *LOOKS]]
    for secret in secrets:
        found = worker.post("", term=secret)
        shown += [
            found.text,
            worker.get("search", s=secret).text,
            worker.post("staff", email=secret, role="lead").text,
            worker.post(f"organizations/{organization.pk}/end/{secret}").text,
        ]
        if secret != canary:
            assert str(organization.pk) in found.text  # a token is found by its digest
        place = f"organizations/{organization.pk}"
        for listing in KNOWN:
            shown.append(worker.get(f"{place}/{listing}", format="csv").text)
            worker.post(f"{place}/filters/{listing}", name=secret)
            shown.append(worker.get(f"{place}/{listing}", status=secret, cursor=secret).text)
        lead = hire(StaffRole.LEAD)
        lead.enter(organization, elevated=True)
        for verb in ("corrections", "limits/extend", "reconciliations"):
            typed = {"month": "2026-11", "workspace": secret, "limit": secret, "source": secret}
            shown.append(lead.post(f"{place}/{verb}", amount=secret, reason=secret, **typed).text)
        lead.post(
            f"{place}/corrections",
            month=f"{timezone.now():%Y-%m}",
            workspace=str(hers.workspace.pk),
            amount="99",
            reason=f"see {secret}",
        )
        shown += [lead.get(f"{place}/{page}").text for page in ("spend", "keys", "audit")]
        shown += [worker.get("platform/attention", csv="waiting").text]
    broken = Client(raise_request_exception=False)
    broken.cookies = worker.client.cookies
    monkeypatch.setattr("tenants.support.overview._holds", fail_with(canary))
    answer = broken.get(f"/admin/organizations/{organization.pk}")
    assert answer.status_code == 500
    shown.append(answer.text)
    monkeypatch.undo()
    stopped = worker.client.post(
        f"/admin/organizations/{organization.pk}/models/{hers.model.pk}/stop", follow=True
    )
    shown += [stopped.text, worker.get("log").text]
    with scope.platform():
        shown += [event.detail for event in PlatformEvent.objects.all()]
    for text in shown:
        # A form shows again what was typed into it, to whoever typed it, and to nobody else.
        typed = text.replace(f'value="{canary}"', "")  # of the form that gives a role
        for secret in [*secrets, *sealed]:
            assert secret not in typed.replace(f'value="{secret}"', "")


def test_a_question_that_takes_too_long_is_refused(agent, monkeypatch):
    monkeypatch.setattr("tenants.support.looking._PATIENCE", "100ms")
    with psycopg.connect(owner_url()) as owner:
        owner.execute("LOCK TABLE keys_keyreplacement IN ACCESS EXCLUSIVE MODE")
        answer = agent.post("", term="wXyZ")
    assert (answer.status_code, "lookup_too_wide" in answer.text) == (503, True)
    assert agent.post("", term="wXyZ").status_code == 200
