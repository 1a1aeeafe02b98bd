"""Coming in: several invitations at once, and people of a verified domain who ask."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from tenants.common import scope
from tenants.organizations import invitations
from tenants.organizations.invitation_mail import token_of
from tenants.organizations.models import Invitation, Member, OrganizationDomain, WorkspaceMember
from tenants.organizations.roles import Role, WorkspaceRole
from tests import people
from tests.api.callers import Caller
from tests.people import session_caller


@pytest.fixture
def alice(organization) -> Caller:
    """An administrator who has just proved to be herself."""
    return session_caller(people.member(organization, Role.ADMIN).person)


@pytest.fixture
def path(organization) -> str:
    return f"organizations/{organization.pk}"


def invited(answer) -> dict[str, str]:
    assert answer.status == 200, answer.raw
    return {one["email"]: one["result"] for one in answer.body["results"]}


@pytest.mark.parametrize("as_list", [True, False])
def test_each_address_has_a_result_of_its_own_once(as_list, alice, path, organization):
    bruno = people.member(organization).person.email
    typed = ["Anna@X.example", "anna@x.example", bruno.upper(), "no-address", "eva@x.example"]
    first = alice.post(f"{path}/invitations", {"emails": ["eva@x.example"], "role": "member"})
    assert invited(first) == {"eva@x.example": "invited"}
    emails = typed if as_list else f"{typed[0]}, {typed[1]}\n{typed[2]}\r\n{typed[3]},\n{typed[4]}"
    answer = alice.post(f"{path}/invitations", {"emails": emails, "role": "billing"})
    assert invited(answer) == {
        "anna@x.example": "invited",
        bruno: "already_member",
        "no-address": "invalid",
        "eva@x.example": "already_invited",
    }
    listed = alice.get(f"{path}/invitations?status=pending").body["results"]
    roles = {one["email"]: one["role"] for one in listed}
    assert roles == {"anna@x.example": "billing", "eva@x.example": "member"}


def one_of(organization, email: str) -> Invitation:
    with scope.tenant(organization.pk):
        return Invitation.objects.get(email=email)


def test_an_invitation_leads_into_workspaces_and_says_what_became_of_it(
    alice, path, organization, workspace
):
    place = [{"id": str(workspace.pk), "role": "admin"}, {"id": str(workspace.pk)}]
    body = {"emails": "eva@x.example", "role": "member", "workspaces": place[:1]}
    alice.post(f"{path}/invitations", body)
    row = one_of(organization, "eva@x.example")
    old = token_of(row).reveal()
    again = alice.post(f"{path}/invitations/{row.pk}/resend", {})
    assert (again.status, again.body["status"]) == (200, "pending")
    eva = people.person("Eva", email="eva@x.example")
    hers = session_caller(eva)
    assert hers.post("me/invitations", {"token": old}).code == "invitation_unknown"
    fresh = token_of(one_of(organization, "eva@x.example")).reveal()
    assert hers.post("me/invitations", {"token": fresh}).status == 201
    assert alice.get(f"{path}/invitations/{row.pk}").body["status"] == "accepted"
    with scope.tenant(organization.pk):
        placed = WorkspaceMember.objects.get(member__person=eva)
    assert (placed.workspace_id, placed.role) == (workspace.pk, WorkspaceRole.ADMIN)


def test_an_invitation_expires_and_can_be_taken_back(alice, path, organization):
    alice.post(f"{path}/invitations", {"emails": "a@x.example, b@x.example", "role": "member"})
    late, gone = one_of(organization, "a@x.example"), one_of(organization, "b@x.example")
    with scope.tenant(organization.pk):
        past = timezone.now() - timedelta(seconds=1)
        Invitation.objects.filter(pk=late.pk).update(expires_at=past)
    assert alice.delete(f"{path}/invitations/{gone.pk}").status == 204
    statuses = {
        one["email"]: one["status"] for one in alice.get(f"{path}/invitations").body["results"]
    }
    assert statuses == {"a@x.example": "expired", "b@x.example": "revoked"}
    for email, code in (
        ("a@x.example", "invitation_expired"),
        ("b@x.example", "invitation_unknown"),
    ):
        reader = session_caller(people.person("R", email=email))
        token = token_of(one_of(organization, email)).reveal()
        assert reader.post("me/invitations", {"token": token}).code == code
    assert alice.post(f"{path}/invitations/{gone.pk}/resend", {}).code == "invitation_closed"
    assert timedelta(days=7) == invitations.LIFETIME


def test_people_of_a_verified_domain_ask_and_an_administrator_lets_them_in(
    alice, path, organization, workspace
):
    domain = f"d{organization.pk.hex[-12:]}.example"
    with scope.tenant(organization.pk):
        OrganizationDomain.objects.create(organization=organization, domain=domain)
    dora = session_caller(people.person("Dora", email=f"dora@{domain}"))
    liar = session_caller(people.person("Liar", email=f"liar@{domain}", is_verified=False))
    other = session_caller(people.person("Other"))
    body = {"organization_id": str(organization.pk)}
    for caller in (liar, other):
        assert caller.post("me/join-requests", body).status in {401, 404}
    joinable = dora.get("me").body["joinable"]
    assert [one["organization_id"] for one in joinable] == [str(organization.pk)]
    assert dora.post("me/join-requests", body).status in {200, 201, 202}
    assert dora.post("me/join-requests", body).status in {200, 201, 202}
    (asked,) = alice.get(f"{path}/join-requests").body["results"]
    assert (asked["email"], asked["status"]) == (f"dora@{domain}", "pending")
    assert dora.get(path).status == 404, "asking lets nobody in"
    place = {"role": "member", "workspaces": [{"id": str(workspace.pk), "role": "member"}]}
    approve = f"{path}/join-requests/{asked['id']}/approve"
    assert alice.post(approve, place).body["role"] == "member"
    assert alice.post(approve, place).code == "join_request_closed"
    assert dora.get(path).status == 200
    assert [one["id"] for one in dora.get(f"{path}/workspaces").body["results"]] == [
        str(workspace.pk)
    ]


def test_a_domain_of_everybody_or_of_others_is_nobodys(alice, path):
    for domain, code in (
        ("gmail.com", "domain_public"),
        ("no domain", "domain_invalid"),
        ("somebody-elses.example", "domain_not_verified"),
    ):
        answer = alice.post(f"{path}/domains", {"domain": domain})
        assert code in {answer.code, *answer.pointers.values()}, answer.raw


def test_a_workspace_can_begin_with_everybody(alice, path, organization):
    everybody = {people.member(organization).pk for _ in range(3)}
    made = alice.post(f"{path}/workspaces", {"name": "Tutti", "add_all_members": True})
    assert made.status == 201
    alone = alice.post(f"{path}/workspaces", {"name": "Pochi"})
    with scope.tenant(organization.pk):
        inside = WorkspaceMember.objects.filter(workspace_id=made.body["id"])
        assert everybody <= set(inside.values_list("member_id", flat=True))
        few = WorkspaceMember.objects.filter(workspace_id=alone.body["id"])
        assert not everybody & set(few.values_list("member_id", flat=True))


def test_a_member_leaves_a_workspace_or_the_organization_and_the_last_admin_stays(
    alice, path, organization, workspace
):
    bruno = people.member(organization, workspaces={workspace: WorkspaceRole.MEMBER})
    his = session_caller(bruno.person)
    assert his.get(f"workspaces/{workspace.pk}").status == 200
    other = people.member(organization, workspaces={workspace: WorkspaceRole.MEMBER})
    leaving = f"workspaces/{workspace.pk}/members"
    two = alice.delete(f"{leaving}?member_id={other.pk}", {"member_id": str(bruno.pk)})
    assert (two.code, two.pointers) == ("ambiguous", {"/member_id": "ambiguous"})
    assert his.get(f"workspaces/{workspace.pk}").status == 200
    assert alice.delete(leaving, {"member_id": str(bruno.pk)}).status == 204
    assert his.get(f"workspaces/{workspace.pk}").status == 404
    assert alice.delete(f"{leaving}?member_id={other.pk}").status == 204
    assert alice.delete(f"{path}/members/{other.pk}").status == 204
    assert his.get(path).status == 200
    assert alice.delete(f"{path}/members/{bruno.pk}").status == 204
    assert his.get(path).status == 404
    with scope.tenant(organization.pk):
        (admin,) = Member.objects.all()
    assert alice.delete(f"{path}/members/{admin.pk}").code == "last_admin"
    assert alice.patch(f"{path}/members/{admin.pk}", {"role": "member"}).code == "last_admin"


def signed_in(email: str, browser: str) -> Caller:
    """Sign in as people do: that makes the session one of those that are listed."""
    caller = Caller(client=Client(HTTP_USER_AGENT=browser))
    body = {"email": email, "password": people.PASSWORD}
    assert caller.post("/_allauth/browser/v1/auth/login", body).status == 200
    assert caller.get("me").status == 200
    return caller


def test_sessions_are_listed_and_ended_from_another_one():
    nora = people.person("Nora", password=people.PASSWORD)
    here, there = (signed_in(nora.email, name) for name in ("Here", "There"))
    listed = here.get("/_allauth/browser/v1/auth/sessions").body["data"]
    assert {one["user_agent"] for one in listed} == {"Here", "There"}
    others = [one["id"] for one in listed if not one["is_current"]]
    ended = here.call("DELETE", "/_allauth/browser/v1/auth/sessions", {"sessions": others})
    assert ended.status == 200
    assert there.get("me").status == 401
    assert here.get("me").status == 200
