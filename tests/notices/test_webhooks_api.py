"""Webhooks and preferences over HTTP, as scripts and the console use them."""

import logging

from tenants.common import scope
from tenants.notices import delivering
from tenants.notices.models import WebhookSecret
from tenants.organizations.models import AuditEvent
from tenants.organizations.roles import Role
from tests import people
from tests.api.callers import Caller, organization_caller
from tests.keys.test_secrecy import assert_absent, everything_stored
from tests.notices.receiver import Say
from tests.people import session_caller

ELSEWHERE = "https://hooks.example.com/mistral?tenant=7"


def created(alice: Caller, organization, **facts):
    answer = alice.post(f"organizations/{organization.pk}/webhooks", {"url": ELSEWHERE} | facts)
    assert answer.status == 201, answer.raw
    return answer


def test_a_secret_is_shown_once_and_sealed(organization):
    alice = organization_caller(organization)
    made = created(alice, organization, kinds=["key.invalid"], description="ERP")
    assert made.body["secret"].startswith("whsec_")
    assert (made.body["kinds"], made.body["enabled"]) == (["key.invalid"], True)
    read = alice.get(made.headers["Location"])
    listed = alice.get(f"organizations/{organization.pk}/webhooks")
    assert made.body["secret"].encode() not in read.raw + listed.raw
    assert "secret" not in read.body
    assert listed.body["results"] == [read.body]
    with scope.tenant(organization.pk):
        row = WebhookSecret.objects.get()
        assert made.body["secret"].encode() not in bytes(row.sealed)
        events = AuditEvent.objects.filter(verb__startswith="webhook.")
        assert [one.verb for one in events] == ["webhook.created"]


def test_a_secret_is_nowhere_but_in_the_answer_that_made_it(hook, receiver, caplog):
    caplog.set_level(logging.DEBUG)
    alice = organization_caller(hook.organization)
    place = f"organizations/{hook.organization.pk}/webhooks"
    made = alice.post(place, {"url": ELSEWHERE}, {"Idempotency-Key": "one"})
    again = alice.post(place, {"url": ELSEWHERE}, {"Idempotency-Key": "one"})
    assert again.body == made.body
    rotated = alice.post(f"{place}/{hook.row.pk}/secret", {"grace_seconds": 60})
    hook.announce()
    delivering.deliver_due()
    assert len(receiver.received) == 1
    stored = everything_stored()
    assert str(hook.row.pk) in stored
    for secret in (made.body["secret"], rotated.body["secret"], hook.secret):
        assert_absent(secret, stored, caplog.text, str(receiver.received))


def test_it_is_changed_rotated_and_deleted_and_each_is_in_the_trail(organization):
    alice = organization_caller(organization)
    made = created(alice, organization)
    place = made.headers["Location"]
    changed = alice.patch(place, {"url": "https://hooks.example.com:443/new", "enabled": False})
    assert changed.body["url"] == "https://hooks.example.com/new"
    assert (changed.body["enabled"], changed.body["disabled_reason"]) == (False, "person")
    assert alice.post(f"{place}/test").code == "webhook_disabled"
    assert alice.patch(place, {"enabled": True}).body["disabled_reason"] == ""
    rotated = alice.post(f"{place}/secret", {"grace_seconds": 60})
    assert rotated.body["secret"] != made.body["secret"]
    assert rotated.body["secrets_in_force"] == 2
    assert alice.delete(place).status == 204
    assert alice.get(place).status == 404
    with scope.tenant(organization.pk):
        events = AuditEvent.objects.filter(verb__startswith="webhook.").order_by("id")
        assert [(one.verb, one.changed) for one in events] == [
            ("webhook.created", []),
            ("webhook.updated", ["is_enabled", "url"]),
            ("webhook.updated", ["is_enabled"]),
            ("webhook.secret_rotated", ["secret"]),
            ("webhook.deleted", []),
        ]


def test_what_cannot_be_is_refused(organization):
    alice = organization_caller(organization)
    place = f"organizations/{organization.pk}/webhooks"
    for body, pointer, code in (
        ({"url": "http://example.com/"}, "/url", "url_not_https"),
        ({"url": "https://10.0.0.1/"}, "/url", "url_not_public"),
        ({"url": "https://example.com:25/"}, "/url", "url_port_refused"),
        ({"url": "https://a:b@example.com/"}, "/url", "url_invalid"),
        ({"url": ELSEWHERE, "kinds": ["key.made_up"]}, "/kinds", "kinds_unknown"),
        ({"url": ELSEWHERE, "kinds": ["webhook.test"]}, "/kinds", "kinds_unknown"),
        ({"url": ELSEWHERE, "secret": "whsec_mine"}, "/secret", "unknown_field"),
    ):
        answer = alice.post(place, body)
        assert (answer.status, answer.pointers) == (422, {pointer: code}), body
    made = created(alice, organization).headers["Location"]
    too_long = alice.post(f"{made}/secret", {"grace_seconds": 31 * 86_400})
    assert too_long.code == "grace_out_of_range"
    assert alice.patch(made, {"url": "https://127.0.0.1/"}).code == "url_not_public"
    for _ in range(19):
        created(alice, organization)
    assert alice.post(place, {"url": ELSEWHERE}).code == "too_many_webhooks"


def test_deliveries_are_listed_by_page_and_status_read_and_replayed(hook, receiver):
    alice = organization_caller(hook.organization)
    place = f"organizations/{hook.organization.pk}/webhooks/{hook.row.pk}/deliveries"
    receiver.answers.append(Say(500, body=b"not now"))
    hook.announce("key.validated", key_id="k")
    delivering.deliver_due()
    hook.hurry()
    hook.announce("key.invalid", key_id="k")
    hook.announce("model.created", name="M")
    first = alice.get(f"{place}?limit=2").body
    second = alice.get(f"{place}?limit=2&cursor={first['next']}").body
    assert [one["kind"] for one in first["results"] + second["results"]] == [
        "model.created",
        "key.invalid",
        "key.validated",
    ]
    assert second["next"] is None
    delivering.deliver_due()
    assert len(alice.get(f"{place}?status=delivered").body["results"]) == 3
    assert alice.get(f"{place}?status=failed").body["results"] == []
    row = alice.get(f"{place}/{second['results'][0]['id']}").body
    assert [one["status_code"] for one in row["log"]] == [500, 200]
    assert row["message_id"] == receiver.received[0].headers["webhook-id"]
    assert row["body"].encode() == receiver.received[0].body
    replayed = alice.post(f"{place}/{row['id']}/replay")
    assert (replayed.status, replayed.body["status"]) == (202, "pending")
    delivering.deliver_due()
    assert alice.get(replayed.headers["Location"]).body["status"] == "delivered"
    assert receiver.received[-1].headers["webhook-id"] == row["message_id"]


def test_the_test_button_tells_what_the_endpoint_answers(hook, receiver):
    alice = organization_caller(hook.organization)
    place = f"organizations/{hook.organization.pk}/webhooks/{hook.row.pk}"
    receiver.answers.append(Say(401, body=b"who are you"))
    answer = alice.post(f"{place}/test")
    assert answer.status == 202
    delivering.deliver_due()
    told = alice.get(answer.headers["Location"]).body
    assert (told["status"], told["status_code"], told["response"]) == ("failed", 401, "who are you")


def test_a_delivery_is_found_at_its_own_webhook_only(hook, receiver, organization):
    alice = organization_caller(hook.organization)
    hook.announce()
    other = created(alice, organization).headers["Location"]
    (row,) = hook.deliveries
    assert alice.get(f"{other}/deliveries/{row.pk}").status == 404
    assert alice.post(f"{other}/deliveries/{row.pk}/replay").status == 404


def test_a_person_chooses_what_to_be_mailed_about(organization):
    member = people.member(organization, Role.BILLING)
    vera = session_caller(member.person)
    place = f"me/organizations/{organization.pk}/notices"
    before = {one["kind"]: one for one in vera.get(place).body["kinds"]}
    assert before["statement.closed"]["can_be_muted"]
    assert not before["key.leaked"]["can_be_muted"]
    assert not any(one["is_muted"] for one in before.values())
    after = vera.put(place, {"muted": ["statement.closed"]}).body["kinds"]
    assert {one["kind"] for one in after if one["is_muted"]} == {"statement.closed"}
    refused = vera.put(place, {"muted": ["key.leaked"]})
    assert (refused.status, refused.pointers) == (422, {"/muted": "kinds_unknown"})
