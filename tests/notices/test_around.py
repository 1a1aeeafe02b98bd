"""What is around telling: invitations that survive a crash, forgetting, erasing, announcers."""

import ast
import importlib
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from django.utils import timezone

from tenants.common import scope
from tenants.notices import delivering, erasure, forgetting, mailing
from tenants.notices.kinds import KINDS, TEST
from tenants.notices.models import (
    Delivery,
    MutedKind,
    Notice,
    WebhookEndpoint,
    WebhookSecret,
)
from tenants.organizations import invitation_mail, invitations, outbox
from tenants.organizations.models import Announcement, Invitation
from tenants.organizations.roles import Role
from tenants.people import mail
from tests import people
from tests.api.callers import platform_caller
from tests.api.world import registered_model, valid_key
from tests.factories import ACTOR
from tests.notices.conftest import Hook
from tests.notices.receiver import Say
from tests.postgres import owner_url

ROOT = Path(__file__).resolve().parents[2]


def announced_in_the_tree() -> tuple[set[str], set[str]]:
    """Every kind that a room which announces spells out, and those it announces literally."""
    spelled: set[str] = set()
    literal: set[str] = set()
    for path in (ROOT / "tenants").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "outbox" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                spelled.add(node.value)
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "announce":
                kinds = [one.value for one in node.keywords if one.arg == "kind"]
                literal |= {
                    one.value
                    for one in kinds
                    if isinstance(one, ast.Constant) and isinstance(one.value, str)
                }
    return spelled, literal


def test_every_kind_is_announced_somewhere_and_every_announced_kind_is_known():
    spelled, literal = announced_in_the_tree()
    assert set(KINDS) - {TEST} - spelled == set()
    assert literal - set(KINDS) == set()


def test_who_chose_what_the_staff_does_goes_on_hearing_all_of_it(organization, receiver, owner):
    chosen = ["key.invalid", "support.acted"]
    hooks = [Hook(organization, receiver.url, kinds=kinds) for kinds in (chosen, chosen[:1], [])]
    migration = importlib.import_module("tenants.notices.migrations.0004_routine_help_is_a_kind")
    (change,) = migration.Migration.operations
    for _again in range(2):
        owner.execute(change.sql)
        told = [hook.endpoint.kinds for hook in hooks]
        assert told == [[*chosen, "support.helped"], chosen[:1], []]
    owner.execute(change.reverse_sql)
    assert [hook.endpoint.kinds for hook in hooks] == [chosen, chosen[:1], []]


def test_a_model_that_is_registered_is_announced_once(organization, workspace):
    key = valid_key(workspace)
    model = registered_model(workspace, key, "Assistente")
    with scope.tenant(organization.pk):
        (row,) = Announcement.objects.filter(kind="model.created")
    assert row.workspace_id == workspace.pk
    assert (row.data["model_id"], row.data["name"]) == (str(model.pk), "Assistente")


def invited(organization) -> Invitation:
    (result,) = invitations.invite(
        actor=ACTOR,
        organization=organization,
        addresses=["eva@people.example"],
        role=Role.MEMBER,
        workspaces={},
    )
    assert result.invitation is not None
    return result.invitation


def test_an_invitation_survives_a_worker_that_dies_around_sending(
    organization, mailoutbox, monkeypatch
):
    row = invited(organization)

    def die(*_facts: object, **_more: object) -> bool:
        raise SystemExit

    monkeypatch.setattr(mail, "send", die)
    with pytest.raises(SystemExit):
        invitation_mail.deliver(organization.pk, row.pk)
    monkeypatch.undo()
    invitation_mail.deliver(organization.pk, row.pk)
    assert mailoutbox == [], "the dead worker's lease holds"
    with scope.tenant(organization.pk):
        past = timezone.now() - timedelta(minutes=1)
        Invitation.objects.filter(pk=row.pk).update(held_until=past, created_at=past)
    with psycopg.connect(owner_url()) as owner:  # those of other tests come first otherwise
        owner.execute(
            "UPDATE organizations_invitation SET mailed_at = now() WHERE organization_id <> %s",
            [organization.pk],
        )
    assert (organization.pk, row.pk) in invitation_mail.due()
    for _ in range(2):
        invitation_mail.deliver(organization.pk, row.pk)
    (sent,) = mailoutbox
    assert sent.to == ["eva@people.example"]
    link = invitation_mail.link_of(row).reveal()
    assert link in sent.body
    assert link in sent.alternatives[0][0]
    assert (organization.pk, row.pk) not in invitation_mail.due()


def test_an_invitation_that_the_server_does_not_take_is_due_again(
    organization, mailoutbox, monkeypatch
):
    row = invited(organization)
    monkeypatch.setattr(mail, "send", lambda *_facts, **_more: False)
    invitation_mail.deliver(organization.pk, row.pk)
    with scope.tenant(organization.pk):
        assert Invitation.objects.get(pk=row.pk).mailed_at is None
    again = invitations.send_again(actor=ACTOR, invitation=row)
    monkeypatch.undo()
    invitation_mail.deliver(organization.pk, row.pk)
    assert invitation_mail.link_of(again).reveal() in mailoutbox[0].body


def test_what_was_told_long_ago_is_forgotten_and_once_stays_once(hook, receiver):
    organization = hook.organization
    people.member(organization, Role.ADMIN)
    hook.announce("member.requested", name="Dora")
    hook.announce("statement.closed", month="2026-10", total="1", currency="EUR")
    with scope.tenant(organization.pk):
        outbox.announce(
            organization_id=organization.pk, kind="member.joined", data={"name": "Eva"}, once="x"
        )
    hook.announce("model.created")
    receiver.answers.extend([Say(200), Say(200), Say(200), Say(500)])
    delivering.deliver_due()
    mailing.mail_due()
    hook.change(is_enabled=True)
    old = timezone.now() - timedelta(days=31)
    with scope.tenant(organization.pk):
        for model in (Delivery, Notice, Announcement):
            model.objects.all().update(created_at=old)
        pending = Delivery.objects.filter(status="pending").count()
    forgetting.forget_old_of(organization.pk)
    with scope.tenant(organization.pk):
        left = {row.kind: row.data for row in Announcement.objects.all()}
        assert Delivery.objects.count() == pending == 1
        assert Notice.objects.count() == 0
        assert left.pop(Delivery.objects.get().kind) is not None
        assert left in ({}, {"member.joined": {}})
        assert not outbox.announce(
            organization_id=organization.pk, kind="member.joined", data={}, once="x"
        )


def test_erasing_an_organization_leaves_nothing_of_it_to_tell(hook, receiver):
    organization = hook.organization
    alice = people.member(organization, Role.ADMIN)
    with scope.tenant(organization.pk):
        MutedKind.objects.create(organization=organization, member=alice, kind="member.joined")
    hook.announce("member.requested", name="Dora")
    assert platform_caller().delete(f"organizations/{organization.pk}").status == 202
    with scope.tenant(organization.pk):
        for model in (
            Announcement,
            Delivery,
            MutedKind,
            Notice,
            WebhookEndpoint,
            WebhookSecret,
        ):
            assert not model.objects.exists(), model
    delivering.deliver_due()
    assert receiver.received == []


def test_erasing_forgets_nothing_of_another(hook, stranger):
    with scope.tenant(stranger.pk):
        erasure.forget()
    assert hook.endpoint.is_enabled
