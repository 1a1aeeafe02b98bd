"""Mails: to whom, in which language, what they say, once each, and what a crash leaves."""

from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.utils import timezone

from tenants.common import scope
from tenants.common.problems import Invalid
from tenants.keys.models import KeyStatus, MistralKey
from tenants.notices import audiences, letters, mailing, publishing, services
from tenants.notices.kinds import KINDS, is_mailed
from tenants.notices.models import MutedKind, Notice
from tenants.organizations import outbox
from tenants.organizations.models import Announcement, AuditEvent, Workspace
from tenants.organizations.roles import Role, WorkspaceRole
from tenants.people import mail
from tests import factories, people
from tests.api.callers import Caller
from tests.factories import ACTOR
from tests.letters import looked_at
from tests.notices.samples import KEY, MODEL, SAMPLES

WITH_WORKSPACE = {"key.", "model.", "alias."}


class Links(HTMLParser):
    """Gathers what is linked, and the language."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str | None] = []
        self.language: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.links.append(dict(attrs)["href"])
        if tag == "html":
            self.language = dict(attrs)["lang"]


@pytest.fixture
def production(organization):
    return factories.workspace(organization, "Produzione")


@pytest.fixture
def announced(organization, production):
    """Announce and publish; a kind about keys or models is about a workspace."""

    def announce(kind: str, workspace=production, **data) -> Announcement:
        with scope.tenant(organization.pk):
            outbox.announce(
                organization_id=organization.pk,
                kind=kind,
                data=data,
                workspace_id=workspace.pk if workspace else None,
            )
            row = Announcement.objects.filter(kind=kind).first()
        publishing.publish(organization.pk)
        assert row is not None
        return row

    return announce


def addresses(organization) -> dict[str, Notice]:
    with scope.tenant(organization.pk):
        rows = Notice.objects.select_related("member__person", "announcement").order_by("id")
        return {row.member.person.email: row for row in rows if row.member}


def test_every_kind_that_is_mailed_has_a_letter_and_a_sample():
    mailed = {name for name, kind in KINDS.items() if kind.audience is not None}
    assert mailed == set(SAMPLES) == set(letters._WRITERS)


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_letter_says_the_fact_in_both_languages_and_has_one_button(
    kind, organization, production
):
    data, italian, english = SAMPLES[kind]
    is_inside = any(kind.startswith(prefix) for prefix in WITH_WORKSPACE)
    place = production.pk if is_inside and kind != "key.used_elsewhere" else None
    row = Announcement(
        organization=organization,
        kind=kind,
        data=data,
        workspace_id=place,
        created_at=timezone.now(),
    )
    for language, subject in (("it", italian), ("en", english)):
        with scope.tenant(organization.pk):
            letter = letters.write(row, organization, language=language)
        assert letter.subject == subject
        looked_at(kind, language, letter)
        page = Links(letter.html)
        assert page.language == language
        assert len(page.links) == 1
        assert letter.button is not None
        assert page.links[0] == letter.button.link
        assert letter.button.link in letter.text
        assert letter.button.link.removeprefix("http://gateway.test/"), "a page of the console"
        assert all(paragraph in letter.text for paragraph in letter.paragraphs)
        assert len(letter.paragraphs) >= 1


def test_buttons_of_statements_and_keys_lead_where_their_words_say(organization, production):
    def button(kind: str):
        row = Announcement(
            organization=organization, kind=kind, data=SAMPLES[kind][0], created_at=timezone.now()
        )
        with scope.tenant(organization.pk):
            letter = letters.write(row, organization, language="en")
        assert letter.button is not None
        return letter.button.label, letter.button.link.removeprefix("http://gateway.test")

    whole = f"/organizations/{organization.pk}"
    assert button("statement.closed") == ("Open the statements", f"{whole}/statements")
    keys = f"/workspaces/{production.pk}/keys"
    with scope.tenant(organization.pk):
        others = Workspace.objects.exclude(pk=production.pk)
        others.update(archived_at=timezone.now())
    assert button("key.used_elsewhere") == ("Open the keys", keys)
    factories.workspace(organization, "Altrove")
    assert button("key.used_elsewhere") == ("Open the workspaces", f"{whole}/workspaces")


def test_what_a_letter_is_made_of_is_escaped(organization):
    row = Announcement(
        organization=organization, kind="member.joined", data={"name": "<b>Eva</b>", "role": "x"}
    )
    with scope.tenant(organization.pk):
        letter = letters.write(row, organization, language="it")
    assert "<b>" not in letter.html
    assert "<b>Eva</b>" in letter.text


def test_a_key_that_stopped_is_told_with_the_words_of_its_verdict(organization, production):
    with scope.tenant(organization.pk):
        key = factories.raw_key(organization, production)
        MistralKey.objects.filter(pk=key.pk).update(
            status=KeyStatus.SUSPENDED,
            verdict_code="billing_inactive",
            checked_at=timezone.now(),
            evidence={},
        )
        data = KEY | {"key_id": str(key.pk), "status": "suspended", "in_use_by": 1}
        kind = "key.invalid"
        told, stale = (
            letters.write(
                Announcement(organization=organization, kind=kind, data=data | {"code": code}),
                organization,
                language="it",
            )
            for code in ("billing_inactive", "key_unknown")
        )
    assert told.paragraphs != stale.paragraphs
    assert "La usa 1 modello" in told.text


def test_the_right_people_are_told_each_in_their_language(organization, production, announced):
    elsewhere = factories.workspace(organization, "Altrove")
    cast = {
        "admin": people.member(organization, Role.ADMIN),
        "billing": people.member(organization, Role.BILLING),
        "member": people.member(organization),
        "workspace admin": people.member(
            organization, workspaces={production: WorkspaceRole.ADMIN}
        ),
        "workspace member": people.member(
            organization, workspaces={production: WorkspaceRole.MEMBER}
        ),
        "admin elsewhere": people.member(organization, workspaces={elsewhere: WorkspaceRole.ADMIN}),
    }
    names = {member.pk: name for name, member in cast.items()}

    def told(kind: str, workspace_id=None) -> set[str]:
        with scope.tenant(organization.pk):
            return {names[pk] for pk in audiences.of(kind, workspace_id) if pk}

    assert told("key.invalid", production.pk) == {"admin", "workspace admin"}
    assert told("token.leaked") == {"admin"}
    assert told("spend.limit_reached") == {"admin", "billing"}
    assert told("spend.limit_reached", production.pk) == {"admin", "billing", "workspace admin"}
    assert told("statement.closed") == {"admin", "billing"}
    assert told("member.requested") == {"admin"}
    assert told("model.created") == told("unheard.of") == set()


def test_a_mail_arrives_once_in_text_and_html_with_a_name_that_stays(
    organization, announced, mailoutbox
):
    alice = people.member(organization, Role.ADMIN)
    type(alice.person).objects.filter(pk=alice.person_id).update(locale="en")
    row = announced("key.invalid", **SAMPLES["key.invalid"][0])
    publishing.publish(organization.pk)
    assert mailing.mail_due() == 1
    assert mailing.mail_due() == 0
    (sent,) = mailoutbox
    assert (sent.subject, sent.to) == (SAMPLES["key.invalid"][2], [alice.person.email])
    assert "2 models use it" in sent.body
    ((html, kind),) = sent.alternatives
    assert kind == "text/html"
    assert "2 models use it" in html
    notice = addresses(organization)[alice.person.email]
    assert sent.extra_headers["Message-ID"].startswith(f"<{notice.pk.hex}@")
    assert (notice.status, notice.announcement_id) == ("sent", row.pk)


def test_without_members_the_owner_is_told_until_somebody_is_one(
    organization, announced, mailoutbox
):
    for kind in ("key.invalid", "spend.threshold_reached", "model.created"):
        announced(kind, **SAMPLES.get(kind, [{}])[0])
    publishing.publish(organization.pk)
    assert mailing.mail_due() == 2
    assert {one.to[0] for one in mailoutbox} == {organization.owner_email}
    assert mailoutbox[0].subject == SAMPLES["key.invalid"][1], "in the organization's language"
    assert "non ha ancora membri" in mailoutbox[0].body
    assert not any("unsubscribe" in str(one.extra_headers).lower() for one in mailoutbox)
    alice = people.member(organization, Role.ADMIN)
    announced("spend.limit_reached", None, **SAMPLES["spend.limit_reached"][0])
    assert mailing.mail_due() == 1
    assert mailoutbox[-1].to == [alice.person.email]


def test_a_key_that_simply_works_is_no_mail(organization, announced):
    people.member(organization, Role.ADMIN)
    announced("key.validated", **KEY, status="valid", models=[])
    assert addresses(organization) == {}
    assert is_mailed("key.validated", {"models": [MODEL]})


def test_a_worker_that_dies_before_or_after_sending_loses_no_mail(
    organization, announced, mailoutbox, monkeypatch
):
    people.member(organization, Role.ADMIN)
    announced("member.requested", None, name="Dora")

    def die(*_facts: object, **_more: object) -> bool:
        raise SystemExit

    def send_and_die(*facts: Any, **more: Any) -> bool:
        honest(*facts, **more)
        raise SystemExit

    honest = mail.send
    for last_words, sent in ((die, 0), (send_and_die, 1)):
        monkeypatch.setattr(mail, "send", last_words)
        with pytest.raises(SystemExit):
            mailing.mail_due()
        monkeypatch.undo()
        assert len(mailoutbox) == sent
        assert mailing.mail_due() == 0, "the dead worker's lease holds"
        overdue(organization)
    assert mailing.mail_due() == 1
    first, second = mailoutbox
    assert first.extra_headers["Message-ID"] == second.extra_headers["Message-ID"]


def overdue(organization) -> None:
    past = timezone.now() - timedelta(seconds=1)
    with scope.tenant(organization.pk):
        Notice.objects.filter(due_at__isnull=False).update(due_at=past, held_until=None)


def test_what_the_mail_server_does_not_take_is_sent_later_and_given_up_in_the_end(
    organization, announced, mailoutbox, monkeypatch, settings
):
    settings.NOTICES_TIMING = {"mail_waits": (60,)}
    people.member(organization, Role.ADMIN)
    announced("member.requested", None, name="Dora")
    monkeypatch.setattr(mail, "send", lambda *_facts, **_more: False)
    for status, attempts in (("pending", 1), ("failed", 2)):
        mailing.mail_due()
        (row,) = addresses(organization).values()
        assert (row.status, row.attempts) == (status, attempts)
        overdue(organization)
    assert mailoutbox == []


def test_who_left_before_it_was_sent_gets_nothing(organization, announced, mailoutbox):
    people.member(organization, Role.ADMIN)
    gone = people.member(organization, Role.ADMIN)
    announced("member.requested", None, name="Dora")
    with scope.tenant(organization.pk):
        type(gone).objects.filter(pk=gone.pk).delete()
    mailing.mail_due()
    assert len(mailoutbox) == 1


def test_a_letter_that_cannot_be_written_keeps_no_other_from_going_out(
    organization, announced, mailoutbox
):
    people.member(organization, Role.ADMIN)
    announced("statement.closed", None, month="no month")
    announced("member.requested", None, name="Dora")
    mailing.mail_due()
    assert [one.subject for one in mailoutbox] == ["Dora chiede di entrare in Rossi Srl"]


def test_what_is_no_matter_of_safety_can_be_muted(organization, announced, mailoutbox):
    alice = people.member(organization, Role.ADMIN)
    bob = people.member(organization, Role.ADMIN)
    muted = services.mute(actor=ACTOR, member=alice, kinds=["member.joined", "statement.closed"])
    assert muted == ["member.joined", "statement.closed"]
    services.mute(actor=ACTOR, member=alice, kinds=["member.joined"])
    announced("member.joined", None, name="Eva", role="member")
    assert set(addresses(organization)) == {bob.person.email}
    with scope.tenant(organization.pk):
        events = AuditEvent.objects.filter(verb="member.notices_chosen").order_by("id")
        assert [one.changed for one in events] == [
            ["member.joined", "statement.closed"],
            ["statement.closed"],
        ]


def test_routine_help_of_the_staff_can_be_muted_and_nothing_else_of_theirs(
    organization, announced, mailoutbox
):
    alice = people.member(organization, Role.ADMIN)
    bob = people.member(organization, Role.ADMIN)
    services.mute(actor=ACTOR, member=alice, kinds=["support.helped"])
    told = {"staff": "Lea", "reason": "ticket 7", "ticket": ""}
    announced("support.helped", None, verb="key.check_requested", **told)
    assert set(addresses(organization)) == {bob.person.email}
    announced("support.acted", None, verb="token.revoked", **told)
    assert set(addresses(organization)) == {alice.person.email, bob.person.email}
    for kind in ("support.acted", "support.session_opened"):
        with pytest.raises(Invalid):
            services.mute(actor=ACTOR, member=alice, kinds=[kind])


def test_a_link_in_the_mail_mutes_its_kind_and_only_when_it_is_asked_to(
    organization, announced, mailoutbox
):
    alice = people.member(organization, Role.ADMIN)
    announced("member.joined", None, name="Bruno", role="member")
    announced("webhook.disabled", None, **SAMPLES["webhook.disabled"][0])
    mailing.mail_due()
    sent = {one.subject: one for one in mailoutbox}
    safety, news = (sent[SAMPLES[kind][1]] for kind in ("webhook.disabled", "member.joined"))
    assert "List-Unsubscribe" not in safety.extra_headers
    link = news.extra_headers["List-Unsubscribe"].strip("<>")
    assert news.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert f"\nList-Unsubscribe: <{link}>\n" in news.message().as_string()
    assert link in news.body
    assert link in Links(news.alternatives[0][0]).links
    path = link.removeprefix("http://gateway.test")
    nobody = Caller()
    asked = nobody.get(path)
    assert (asked.status, b"Non ricevere" in asked.raw, b"<form" in asked.raw) == (200, True, True)
    assert muted_by(organization) == []
    for _ in range(2):
        done = nobody.send("POST", path, b"List-Unsubscribe=One-Click", content_type="text/plain")
        assert (done.status, b"<form" in done.raw) == (200, False)
    assert muted_by(organization) == ["member.joined"]
    assert nobody.call("PUT", path).code == "method_not_allowed"
    with scope.tenant(organization.pk):
        (event,) = AuditEvent.objects.filter(verb="member.notices_chosen")
        assert event.actor_id == str(alice.person_id)
        type(alice).objects.filter(pk=alice.pk).delete()
    for broken in (path, f"{path}x", "/api/v1/unsubscribe/x", "/api/v1/unsubscribe/a:b:c"):
        for method in ("GET", "POST"):
            assert nobody.call(method, broken).status == 404


def muted_by(organization) -> list[str]:
    with scope.tenant(organization.pk):
        return list(MutedKind.objects.values_list("kind", flat=True))
