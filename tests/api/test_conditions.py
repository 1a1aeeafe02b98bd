"""If-Match: nobody changes what they have not seen."""

import threading
from typing import Any

import pytest
from django.db import connection

from tests.api.callers import Answer, Caller
from tests.api.test_permission_table import TABLE
from tests.api.world import WholeWorld, whole_world

CHANGED = [row for row in TABLE if row.method in {"PUT", "PATCH"} and not row.personal]
ACTS = ("archive", "validate", "versions", "token", "publish", "rotate", "secret", "test", "resend")
REMOVED = [row for row in TABLE if row.method == "DELETE" and not row.personal]
#: They are changed at an address that lists, or have no one that reads.
UNTAGGED = {
    "workspaces/<id:workspace_id>/members",
    "organizations/<id:organization_id>/domains/<id:domain_id>",
    "organizations/<id:organization_id>/support-access/<id:grant_id>",
}

ACTIONS = [
    row for row in TABLE if row.method == "POST" and row.route.rpartition("_id>/")[2] in ACTS
]


@pytest.fixture
def hers(organization) -> WholeWorld:
    """Everything in it can be named by an address."""
    return whole_world(organization)


@pytest.fixture(scope="module")
def shared() -> WholeWorld:
    return whole_world()


def change(caller: Caller, path: str, body: Any, tag: str, method: str = "PATCH") -> Answer:
    return caller.call(method, path, body, {"If-Match": tag})


@pytest.mark.parametrize("row", [*CHANGED, *REMOVED], ids=str)
def test_whatever_can_be_changed_has_a_tag_and_refuses_a_stale_one(row, shared, platform):
    address = row.address(shared)
    path = address.partition("?")[0]
    read = platform.get(path)
    body = row.body(shared) if row.body else None
    if row.route in UNTAGGED:
        assert "ETag" not in read.headers
    else:
        assert read.status == 200, read.raw
        assert read.headers["ETag"].startswith('"')
        assert platform.get(path).headers["ETag"] == read.headers["ETag"]
    refusal = change(platform, address, body, '"0123"', row.method)
    assert (refusal.status, refusal.code) == (412, "stale"), refusal.raw
    assert platform.get(path).headers.get("ETag") == read.headers.get("ETag")
    if row.route not in UNTAGGED and row.method != "DELETE":
        done = change(platform, path, body, read.headers["ETag"], row.method)
        assert done.status == row.status, done.raw
        if "ETag" in done.headers:
            assert platform.get(path).headers["ETag"] == done.headers["ETag"]


@pytest.mark.parametrize("row", ACTIONS, ids=str)
def test_what_acts_on_a_resource_refuses_a_stale_tag_of_it(row, hers, platform):
    path = row.address(hers)
    above = path.rpartition("/")[0]
    tag = platform.get(above).headers["ETag"]
    body = row.body(hers) if row.body else None
    for repeated in ({}, {"Idempotency-Key": "once"}):
        stale = platform.post(path, body, {"If-Match": '"0123"', **repeated})
        assert (stale.status, stale.code) == (412, "stale"), stale.raw
    assert platform.get(above).headers["ETag"] == tag
    for _again in range(2):
        done = platform.post(path, body, {"If-Match": tag, "Idempotency-Key": "once"})
        assert done.status == row.status, done.raw
    if "ETag" in done.headers:
        assert platform.get(above).headers["ETag"] == done.headers["ETag"]


def test_nobody_deletes_what_they_have_not_seen(alice, hers):
    path = f"models/{hers.model.pk}"
    tag = alice.get(path).headers["ETag"]
    seen = alice.patch(path, {"description": "Nuova"}).headers["ETag"]
    assert change(alice, path, None, tag, "DELETE").code == "stale"
    assert alice.get(path).status == 200
    assert change(alice, path, None, seen, "DELETE").status == 204
    assert alice.get(path).status == 404


def test_a_tag_changes_with_what_is_shown_and_comes_with_the_change(alice, organization):
    path = f"organizations/{organization.pk}"
    first = alice.get(path).headers["ETag"]
    done = change(alice, path, {"name": "Nuova"}, first)
    assert done.status == 200
    assert done.headers["ETag"] != first
    assert alice.get(path).headers["ETag"] == done.headers["ETag"]
    stale = change(alice, path, {"name": "Altra"}, first)
    assert (stale.status, stale.code) == (412, "stale")
    assert alice.get(path).body["name"] == "Nuova"


def test_every_form_of_the_header_is_read(alice, organization):
    path = f"organizations/{organization.pk}"
    tag = alice.get(path).headers["ETag"]
    for good in ("*", f'"x", {tag}', f"W/{tag}", f'W/"y",{tag}'):
        assert change(alice, path, {"locale": "it"}, good).status == 200, good
    for bad in ("", tag.strip('"'), "x", '""', f'"{tag}'):
        assert change(alice, path, {"name": "Nein"}, bad).status == 412, bad
    assert alice.patch(path, {"locale": "en"}).status == 200, "without a condition, as ever"


def test_a_stranger_learns_nothing_by_a_condition(charlie, hers):
    for tag in ("*", '"x"'):
        for path in (f"keys/{hers.key.pk}", f"organizations/{hers.organization.pk}"):
            answer = change(charlie, path, {"name": "x"}, tag)
            assert (answer.status, answer.code) == (404, "not_found")


def test_when_a_token_was_used_is_no_change_of_it(alice, organization):
    path = f"organizations/{organization.pk}/tokens"
    made = alice.post(path, {"name": "x", "scopes": ["tokens:read"]}).body
    tag = alice.get(f"{path}/{made['id']}").headers["ETag"]
    Caller(made["token"]).get(path)
    assert alice.get(f"{path}/{made['id']}").body["last_used_at"]
    assert alice.get(f"{path}/{made['id']}").headers["ETag"] == tag


def test_of_many_at_once_with_the_same_tag_one_wins(alice, organization):
    path = f"organizations/{organization.pk}"
    tag = alice.get(path).headers["ETag"]
    answers: list[int] = []

    def race(name: str) -> None:
        try:
            answers.append(change(Caller(alice.token), path, {"name": name}, tag).status)
        finally:
            connection.close()

    threads = [threading.Thread(target=race, args=(f"N{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] + [412] * 5


def test_no_lock_stays_behind(alice, organization):
    path = f"organizations/{organization.pk}"
    change(alice, path, {"name": "x"}, '"stale"')
    alice.patch(path, {"name": 7})
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        )
        assert cursor.fetchone()[0] == 0
