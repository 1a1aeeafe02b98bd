"""Ask Charlie at the desk: every address under /admin/, and who may do what there.

The big permission table knows the desk by its prefix only, because its callers carry tokens and
sessions of the console, which all get the same here: the way to the sign-in. What differs is a
staff role and a session, so the table of those is here, and an address that is not in it fails.
"""

import re
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from tenants.assistance import services
from tenants.assistance.models import CorrectionRequest
from tenants.assistance.staff import CAPABILITIES, StaffRole
from tenants.common import scope
from tenants.common.problems import Forbidden
from tenants.keys.models import MistralKey
from tenants.registry.publications import publish_model
from tenants.spend import limits
from tenants.spend.meter import Meter
from tenants.spend.services import set_limit
from tenants.support.urls import urlpatterns
from tests import people
from tests.api.callers import platform_caller
from tests.api.world import WholeWorld, World, everything, whole_world
from tests.factories import ACTOR
from tests.spend import made
from tests.support import factors
from tests.support.conftest import Worker, hire, second_factor, staff_person, verbs_of

pytestmark = pytest.mark.slow

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
    "platform/attention": set(StaffRole),
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
    f"{INSIDE}/keys/<uuid:key_id>": "support.key_viewed",
    f"{INSIDE}/calls": "support.calls_viewed",
    f"{INSIDE}/spend": "support.spend_viewed",
    f"{INSIDE}/people": "support.people_viewed",
    f"{INSIDE}/outside": "support.outside_viewed",
    f"{INSIDE}/audit": "support.audit_viewed",
}
#: In a session that may act: the roles that may, and what the audit log says.
VERBS = {
    f"{INSIDE}/keys/<uuid:key_id>/check": ({AGENT, LEAD}, "key.check_requested"),
    f"{INSIDE}/invitations/<uuid:invitation_id>/resend": ({AGENT, LEAD}, "invitation.sent_again"),
    f"{INSIDE}/holds/release": ({LEAD}, "support.holds_released"),
    f"{INSIDE}/tokens/<uuid:token_id>/rotate": ({LEAD, SECURITY}, "token.rotated"),
    f"{INSIDE}/models/<uuid:model_id>/rotate": ({LEAD, SECURITY}, "model.token_rotated"),
    f"{INSIDE}/models/<uuid:model_id>/unblock": ({AGENT, LEAD}, "key.check_requested"),
    f"{INSIDE}/limits/extend": ({LEAD}, "limit.extended"),
    f"{INSIDE}/corrections": ({AGENT, LEAD}, "correction.posted"),
    f"{INSIDE}/corrections/<uuid:request_id>/confirm": ({LEAD, SECURITY}, "correction.posted"),
    f"{INSIDE}/corrections/<uuid:request_id>/refuse": ({LEAD, SECURITY}, "correction.refused"),
    f"{INSIDE}/reconciliations": ({AGENT, LEAD}, "reconciliation.requested"),
    f"{INSIDE}/models/<uuid:model_id>/stop": ({LEAD, SECURITY}, "model.token_rotated"),
    f"{INSIDE}/tokens/<uuid:token_id>/revoke": ({LEAD, SECURITY}, "token.revoked"),
    f"{INSIDE}/models/<uuid:model_id>/publish": ({AGENT, LEAD}, "model.publish_requested"),
    f"{INSIDE}/deliveries/<uuid:delivery_id>/replay": ({AGENT, LEAD}, "webhook.delivery_replayed"),
    f"{INSIDE}/members/<uuid:member_id>/reset": (
        {SECURITY},
        "member.second_factor_reset_requested",
    ),
    f"{INSIDE}/resets/<uuid:reset_id>/confirm": (
        {LEAD, SECURITY},
        "member.second_factor_reset",
    ),
    f"{INSIDE}/resets/<uuid:reset_id>/refuse": (
        {LEAD, SECURITY},
        "member.second_factor_reset_refused",
    ),
    f"{INSIDE}/suspend": ({LEAD, SECURITY}, "organization.suspended"),
    f"{INSIDE}/reactivate": ({LEAD, SECURITY}, "organization.reactivated"),
}
#: Verbs that owners may mute the mail about: nobody may do more afterwards, or spend more.
HELP = {
    "key.check_requested",
    "invitation.sent_again",
    "support.holds_released",
    "reconciliation.requested",
    "model.publish_requested",
    "webhook.delivery_replayed",
}
#: Told apart elsewhere: one call (test_pages), the end of a session (test_sessions), saved filters.
ELSEWHERE = {
    f"{INSIDE}/calls/<uuid:call_id>",
    f"{INSIDE}/end",
    f"{INSIDE}/filters/<slug:page>",
    f"{INSIDE}/filters/<slug:page>/<uuid:filter_id>/forget",
}
POSTED = ("/end", "/filters/<slug:page>", "/forget")


def address(route: str, found: WholeWorld, **more: Any) -> str:
    ids = found.ids | {"call_id": found.key.pk, "filter_id": found.key.pk, "page": "keys"} | more
    return re.sub(r"<\w+:(\w+)>", lambda match: str(ids.get(match.group(1), found.key.pk)), route)


def posted(route: str, found: WholeWorld) -> dict[str, str]:
    """What the form of a verb has in it."""
    month = f"{timezone.now():%Y-%m}"
    if route.endswith("/extend"):
        until = timezone.now() + timedelta(days=3)
        limit = limits.read_limit(organization=found.organization, subject=found.organization)
        return {
            "limit": str(limit.pk),
            "monthly_spend": str((limit.monthly_spend or 0) + 5),
            "until": f"{until:%Y-%m-%d}",
        }
    return {
        f"{INSIDE}/corrections": {
            "month": month,
            "workspace": str(found.workspace.pk),
            "amount": "-0.50",
            "reason": "ticket 7",
        },
        f"{INSIDE}/reconciliations": {"month": month, "source": "manual", "amount": "3"},
    }.get(route, {})


def prepare(route: str, found: WholeWorld) -> dict[str, Any]:
    """Bring about what a verb is for; tell the ids that it names."""
    pk = found.organization.pk
    if route.endswith("/extend"):
        set_limit(
            actor=ACTOR,
            organization=found.organization,
            subject=found.organization,
            monthly_spend=Decimal(500),
        )
    if route == f"{INSIDE}/corrections":
        spent(found)
    if route.endswith("/unblock"):
        with scope.tenant(pk):
            MistralKey.objects.filter(pk=found.key.pk).update(status="invalid")
    if route.endswith("/reset"):
        return {"member_id": factors.locked_out(found.organization).pk}
    if "<uuid:reset_id>" in route:
        return {"reset_id": factors.asked(found.organization, hire(SECURITY))}
    if "<uuid:request_id>" in route:
        spent(found)
        return {"request_id": asked(found)}
    return {}


def told(answer: Any) -> str:
    """What a page says of a refusal."""
    return " ".join(re.findall(r'<p class="mb-4">(.*?)</p>|<dd[^>]*>(.*?)</dd>', answer.text)[0])


def announced(organization_id: UUID) -> list[tuple[str, str]]:
    """Verbs of the staff that were announced in the transaction that wrote their audit rows."""
    return made.as_owner(
        """SELECT e.verb, a.kind FROM organizations_announcement a JOIN organizations_auditevent e
             ON e.organization_id = a.organization_id AND e.verb = a.data ->> 'verb'
            AND e.target_id::text = a.data ->> 'target_id' AND e.xmin = a.xmin
           WHERE a.organization_id = %s AND a.kind IN ('support.acted', 'support.helped')
             AND e.actor_name = a.data ->> 'staff' ORDER BY a.id""",
        organization_id,
    )


def spent(found: World) -> None:
    """Have something spent that a correction can give back."""
    meter = Meter()
    call = made.intent(
        found.organization, found.workspace, "90", model_id=found.model.id, key_id=found.key.id
    )
    meter.open_calls([call])
    meter.settle_calls([made.settlement(call, "80")])
    meter.close()


def asked(found: World, amount: str = "-60") -> UUID:
    """Have a colleague ask for a large correction."""
    colleague = hire(AGENT)
    colleague.enter(found.organization, elevated=True)
    colleague.post(
        f"organizations/{found.organization.pk}/corrections",
        month=f"{timezone.now():%Y-%m}",
        workspace=str(found.workspace.pk),
        amount=amount,
        reason="too much",
    )
    with scope.tenant(found.organization.pk):
        return CorrectionRequest.objects.filter(asked_by=colleague.person).latest("pk").pk


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
    for client in outsiders.values():
        for route in routes:
            path = address(route, hers)
            is_post = route in VERBS or route.endswith(POSTED)
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
        ids, so_far = prepare(route, found), len(verbs_of(organization.pk, worker.person))
        told_before = announced(organization.pk)
        answer = worker.post(address(route, found, **ids), **posted(route, found))
        assert answer.status_code == (302 if role in roles else 403), (route, told(answer))
        done = verbs_of(organization.pk, worker.person)[so_far:]
        assert (verb in done) is (role in roles), route
        told_now = announced(organization.pk)[len(told_before) :]
        kind = "support.helped" if verb in HELP else "support.acted"
        assert told_now == ([(verb, kind)] if role in roles else []), route


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
    for route, (roles, _verb) in VERBS.items():
        assert worker.post(address(route, hers)).status_code == 403
        elsewhere = address(route, hers).replace(str(hers.organization.pk), str(stranger.pk))
        answers = {302, 404, 422} if LEAD in roles else {403}  # some name no row
        assert worker.post(elsewhere).status_code in answers
    assert everything(hers.organization.pk) == before


def test_without_a_scope_the_tenants_tables_are_empty_for_the_staff_too(lead, hers):
    assert not MistralKey.objects.exists()
    with scope.platform():
        assert not MistralKey.objects.exists()
    answer = lead.post("", term=hers.key.last4)
    assert hers.organization.name.encode() in answer.content
    assert hers.key.name.encode() not in answer.content
