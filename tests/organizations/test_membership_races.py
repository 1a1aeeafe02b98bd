"""Members, when several act at once: somebody always administers, and a link works once."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from tenants.common import scope
from tenants.common.problems import Problem
from tenants.organizations import audit_chain, invitations, members
from tenants.organizations.invitation_mail import token_of
from tenants.organizations.models import Invitation, Member
from tenants.organizations.roles import Role
from tests import people
from tests.factories import ACTOR


def at_once(acts: Sequence[Callable[[], Any]]) -> list[str]:
    """Do all of it in threads of their own; tell what each was refused with, or ``done``."""

    def act(one: Callable[[], Any]) -> str:
        try:
            one()
        except Problem as refusal:
            return refusal.code
        else:
            return "done"
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return sorted(pool.map(act, acts))


def admins(organization) -> int:
    with scope.tenant(organization.pk):
        return Member.objects.filter(role=Role.ADMIN).count()


def leaves(member: Member) -> Callable[[], Any]:
    return lambda: members.remove_member(actor=ACTOR, member=member)


def steps_down(member: Member) -> Callable[[], Any]:
    return lambda: members.change_role(actor=ACTOR, member=member, role=Role.MEMBER)


@pytest.mark.parametrize("ways", [(leaves, leaves), (steps_down, steps_down), (leaves, steps_down)])
def test_of_the_last_administrators_that_go_at_once_one_stays(ways, organization):
    everyone = [people.member(organization, Role.ADMIN) for _ in range(4)]
    acts = [ways[number % 2](member) for number, member in enumerate(everyone)]
    assert at_once(acts) == ["done"] * 3 + ["last_admin"]
    assert admins(organization) == 1
    assert audit_chain.verify(organization.pk).findings == []


@pytest.fixture
def invitation(organization) -> Invitation:
    with scope.tenant(organization.pk):
        made = invitations.make(
            organization, "eva@people.example", role=Role.ADMIN, workspaces={}, invited_by="Alice"
        )
        made.save(force_insert=True)
    return made


def accepts(who: Any, link: str) -> Callable[[], Any]:
    return lambda: invitations.accept(actor=people.actor(who), person=who, token=link)


@pytest.fixture(scope="module")
def eva():
    return people.person("Eva", email="eva@people.example")


def test_a_link_that_is_followed_many_times_at_once_makes_one_member(invitation, organization, eva):
    link = token_of(invitation).reveal()
    assert at_once([accepts(eva, link)] * 5) == ["done"] + ["invitation_unknown"] * 4
    with scope.tenant(organization.pk):
        assert Member.objects.filter(person=eva).count() == 1
        assert Invitation.objects.get(pk=invitation.pk).closed_as == "accepted"


def test_a_link_cannot_be_used_again_after_its_reader_was_removed(invitation, organization, eva):
    link = token_of(invitation).reveal()
    member = invitations.accept(actor=people.actor(eva), person=eva, token=link)
    people.member(organization, Role.ADMIN)
    members.remove_member(actor=ACTOR, member=member)
    assert at_once([accepts(eva, link)]) == ["invitation_unknown"]
    assert admins(organization) == 1


def test_somebody_else_with_the_link_gets_nothing(invitation, organization):
    mallory = people.person("Mallory")
    unverified = people.person("Trudy", email="eva@people.example.org", is_verified=False)
    link = token_of(invitation).reveal()
    for other in (mallory, unverified):
        assert at_once([accepts(other, link)]) == ["invitation_for_another"]
    assert admins(organization) == 0


def test_of_accepting_and_revoking_at_once_one_wins(invitation, organization, eva):
    link = token_of(invitation).reveal()

    def revoke() -> None:
        invitations.revoke(actor=ACTOR, invitation=invitation)

    answers = at_once([accepts(eva, link), revoke])
    with scope.tenant(organization.pk):
        row = Invitation.objects.get(pk=invitation.pk)
        is_member = Member.objects.filter(person=eva).exists()
    assert (row.closed_as == "accepted") == is_member, answers
