"""Ask Charlie at the desk: every address under /admin/, and who may do what there.

The big permission table knows the desk by its prefix only, because its callers carry tokens and
sessions of the console, which all get the same here: the way to the sign-in. What differs is a
staff role and a session, so the table of those is here, and an address that is not in it fails.
"""

import re
import time
from pathlib import Path

import pytest
from django.test import Client

from tenants.assistance import services
from tenants.assistance.staff import CAPABILITIES, StaffRole
from tenants.common import scope
from tenants.common.problems import Forbidden
from tenants.keys.models import MistralKey
from tenants.registry.publications import publish_model
from tenants.support.urls import urlpatterns
from tests import people
from tests.api.callers import platform_caller
from tests.api.world import WholeWorld, everything, whole_world
from tests.factories import ACTOR
from tests.support.conftest import Worker, hire, second_factor, staff_person, verbs_of

ROOT = Path(__file__).resolve().parents[2]
INSIDE = "organizations/<uuid:organization_id>"
VIEWER, AGENT, LEAD, SECURITY = StaffRole

#: Open to everybody: it asks who one is.
OPEN = {"login", "login/second-factor", "logout"}
#: Without a session: the roles that get in.
PLATFORM = {
    "": set(StaffRole),
    "search": set(StaffRole),
    "platform": set(StaffRole),
    "platform/prices": set(StaffRole),
    "platform/keyring": set(StaffRole),
    "log": {LEAD, SECURITY},
    "staff": {SECURITY},
    f"{INSIDE}/open": set(StaffRole),
}
#: In a session, whichever: any role looks, and the audit log says so by this verb.
LOOKS = {
    INSIDE: "support.overview_viewed",
    f"{INSIDE}/keys": "support.keys_viewed",
    f"{INSIDE}/models": "support.models_viewed",
    f"{INSIDE}/calls": "support.calls_viewed",
    f"{INSIDE}/people": "support.people_viewed",
    f"{INSIDE}/outside": "support.outside_viewed",
    f"{INSIDE}/audit": "support.audit_viewed",
}
#: In a session that may act: the roles that may, and what the audit log says.
VERBS = {
    f"{INSIDE}/keys/<uuid:key_id>/check": ({AGENT, LEAD}, "key.check_requested"),
    f"{INSIDE}/invitations/<uuid:invitation_id>/resend": ({AGENT, LEAD}, "invitation.sent_again"),
    f"{INSIDE}/holds/release": ({LEAD}, "support.holds_released"),
    f"{INSIDE}/tokens/<uuid:token_id>/revoke": ({LEAD, SECURITY}, "token.revoked"),
    f"{INSIDE}/models/<uuid:model_id>/stop": ({LEAD, SECURITY}, "model.token_rotated"),
    f"{INSIDE}/models/<uuid:model_id>/publish": ({AGENT, LEAD}, "model.publish_requested"),
    f"{INSIDE}/deliveries/<uuid:delivery_id>/replay": ({AGENT, LEAD}, "webhook.delivery_replayed"),
    f"{INSIDE}/suspend": ({LEAD, SECURITY}, "organization.suspended"),
    f"{INSIDE}/reactivate": ({LEAD, SECURITY}, "organization.reactivated"),
}
#: Told apart elsewhere: one call (test_pages), the end of a session (test_sessions).
ELSEWHERE = {f"{INSIDE}/calls/<uuid:call_id>", f"{INSIDE}/end"}


def address(route: str, found: WholeWorld) -> str:
    return re.sub(r"<uuid:(\w+)>", lambda match: str(found.ids[match.group(1)]), route)


def test_every_address_of_the_desk_is_in_a_table():
    routes = {str(pattern.pattern) for pattern in urlpatterns}
    assert routes == OPEN | set(PLATFORM) | set(LOOKS) | set(VERBS) | ELSEWHERE


def test_the_documented_table_is_the_code():
    text = (ROOT / "docs" / "support.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+:\w+)` \|(.+)\|$", text, re.MULTILINE)
    told = {
        name: frozenset(
            role for role, cell in zip(StaffRole, cells.split("|"), strict=True) if "✓" in cell
        )
        for name, cells in rows
    }
    assert told == CAPABILITIES


@pytest.fixture(scope="module")
def outsiders(hers) -> dict[str, Client]:
    """Everybody who is signed in somehow, and is not the staff at work."""
    told = {"nobody": Client()}
    roleless, member = staff_person(None), people.person("Alice")
    stale, password_only = staff_person(LEAD), staff_person(LEAD)
    former = staff_person(SECURITY)
    for name, person, at in [
        ("staff without a role", roleless, time.time()),
        ("a customer's person", member, time.time()),
        ("staff whose proof is a day old", stale, time.time() - 86_400),
        ("staff with a password only", password_only, 0.1),
        ("former staff", former, time.time()),
    ]:
        client = Client()
        client.force_login(person, backend=people.BACKEND)
        second_factor(client, person, at)
        told[name] = client
    former.is_active = False
    former.save(update_fields=["is_active"])
    token = platform_caller("organizations:read").token
    told["a platform token"] = Client(headers={"Authorization": f"Bearer {token}"})
    return told


def test_outsiders_are_led_to_the_sign_in_and_nothing_changes(outsiders, hers):
    before = everything(hers.organization.pk)
    routes = [*PLATFORM, *LOOKS, *VERBS, *ELSEWHERE]
    ids = hers.ids | {"call_id": hers.key.pk}
    for client in outsiders.values():
        for route in routes:
            path = re.sub(r"<uuid:(\w+)>", lambda match: str(ids[match.group(1)]), route)
            is_post = route in VERBS or route.endswith("/end")
            answer = client.post(f"/admin/{path}") if is_post else client.get(f"/admin/{path}")
            assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/login"), route
    assert everything(hers.organization.pk) == before


@pytest.mark.parametrize("role", StaffRole)
def test_what_a_role_may_see_and_do_with_and_without_a_session(role):
    found = whole_world()
    worker = hire(role)
    organization = found.organization
    publish_model(actor=ACTOR, model=found.model)
    for route, roles in PLATFORM.items():
        status = worker.get(address(route, found)).status_code
        assert status == (200 if role in roles else 403), route
    before = everything(organization.pk)
    for route in LOOKS:
        assert worker.get(address(route, found)).status_code == (302 if route == INSIDE else 403)
    for route in VERBS:
        assert worker.post(address(route, found)).status_code == 403, route
    assert everything(organization.pk) == before
    assert verbs_of(organization.pk, worker.person) == []

    worker.enter(organization)
    for route in LOOKS:
        assert worker.get(address(route, found)).status_code == 200, route
    for route in VERBS:
        assert worker.post(address(route, found)).status_code == 403, route
    assert verbs_of(organization.pk, worker.person) == ["support.session_opened", *LOOKS.values()]

    services.close_session(staff=worker.staff, organization_id=organization.pk)
    if role is VIEWER:
        with pytest.raises(Forbidden):
            worker.enter(organization, elevated=True)
        return
    worker.enter(organization, elevated=True)
    for route, (roles, verb) in VERBS.items():
        status = worker.post(address(route, found)).status_code
        assert status == (302 if role in roles else 403), route
        assert (verbs_of(organization.pk, worker.person)[-1] == verb) is (role in roles)


def test_verbs_are_posts_and_looks_are_gets(lead: Worker, hers: WholeWorld):
    for route in VERBS:
        assert lead.get(address(route, hers)).status_code == 405, route
    for route in LOOKS:
        assert lead.post(address(route, hers)).status_code == 405, route


def test_a_session_in_one_organization_opens_no_other(hers, stranger):
    worker = hire(LEAD)
    worker.enter(stranger, elevated=True)
    before = everything(hers.organization.pk)
    for route in LOOKS:
        assert worker.get(address(route, hers)).status_code in {302, 403}
    for route in VERBS:
        assert worker.post(address(route, hers)).status_code == 403
        elsewhere = address(route, hers).replace(str(hers.organization.pk), str(stranger.pk))
        assert worker.post(elsewhere).status_code in {302, 404}  # holds have no id of theirs
    assert everything(hers.organization.pk) == before


def test_without_a_scope_the_tenants_tables_are_empty_for_the_staff_too(lead, hers):
    assert not MistralKey.objects.exists()
    with scope.platform():
        assert not MistralKey.objects.exists()
    answer = lead.post("", term=hers.key.last4)
    assert hers.organization.name.encode() in answer.content
    assert hers.key.name.encode() not in answer.content
