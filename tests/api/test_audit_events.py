"""The audit trail over HTTP: what was done is found by who, what, to what and when."""

from datetime import datetime
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tenants.organizations import audit_chain
from tests import factories
from tests.api.callers import Caller, organization_caller


@pytest.fixture(scope="module")
def told() -> tuple[Caller, str]:
    """An organization in which something was done, and where it is told."""
    organization = factories.organization()
    caller = organization_caller(organization)
    address = f"organizations/{organization.pk}"
    caller.patch(address, {"name": "Nuova"})
    caller.post(f"{address}/workspaces", {"name": "Vendite"}, {"X-Request-Id": "mine-8"})
    caller.patch(address, {"name": "Altra", "locale": "en"})
    return caller, f"{address}/audit-events"


def test_each_event_says_who_what_to_what_and_its_place(told):
    caller, path = told
    body = caller.get(path).body
    events = body["results"]
    assert [event["action"] for event in events] == [
        "organization.updated",
        "workspace.created",
        "organization.updated",
        "token.issued",
        "organization.created",
    ]
    assert [event["sequence"] for event in events] == [5, 4, 3, 2, 1]
    newest = events[0]
    assert (newest["changed"], newest["actor"]["kind"]) == (["locale", "name"], "organization")
    assert newest["actor"]["name"] == "script"
    assert newest["target"] == {"kind": "organization", "id": path.split("/")[1]}
    assert events[1]["request_id"] == "mine-8"
    assert body["head"] == {"sequence": 5, "hash": newest["hash"]}
    assert b"Nuova" not in caller.get(path).raw, "names of members, no values"


def test_events_are_found_by_every_condition_and_by_all_together(told):
    caller, path = told
    events = caller.get(path).body["results"]
    who = events[0]["actor"]["id"]
    whole = events[0]["target"]["id"]
    for query, expected in (
        (f"actor={who}", [5, 4, 3]),
        ("action=token.issued", [2]),
        ("action=token", []),
        (f"target={whole}", [5, 3, 1]),
        (f"since={events[2]['occurred_at']}", [5, 4, 3]),
        (f"until={events[2]['occurred_at']}", [2, 1]),
        (f"since={events[3]['occurred_at']}&until={events[1]['occurred_at']}", [3, 2]),
        (f"actor={who}&action=organization.updated&target={whole}&limit=1", [5]),
        ("since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59Z", [5, 4, 3, 2, 1]),
    ):
        found = caller.get(f"{path}?{query}".replace("+", "%2B")).body["results"]
        assert [event["sequence"] for event in found] == expected, query
    page = caller.get(f"{path}?action=organization.updated&limit=1").body
    rest = caller.get(f"{path}?action=organization.updated&limit=9&cursor={page['next']}").body
    assert [event["sequence"] for event in page["results"] + rest["results"]] == [5, 3]


@pytest.mark.parametrize(
    "query", ["since=yesterday", "target=x", "until=2026-01-01T00:00:00", "actor=%00", "who=x"]
)
def test_a_wrong_condition_is_refused(query, told):
    caller, path = told
    assert caller.get(f"{path}?{query}").status == 422


def test_a_page_takes_as_many_queries_as_an_event(told):
    caller, path = told
    caller.get(path)  # the first use of a token is noted
    counts = []
    for limit in (1, 5):
        with CaptureQueriesContext(connection) as queries:
            assert len(caller.get(f"{path}?limit={limit}").body["results"]) == limit
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_reader_can_prove_the_chain_by_what_is_answered(told):
    """docs/audit.md shows this way: nothing but the answers goes in."""
    caller, path = told
    previous = ""
    for event in reversed(caller.get(path).body["results"]):
        linked = SimpleNamespace(
            sequence=event["sequence"],
            event_id=event["id"],
            created_at=datetime.fromisoformat(event["occurred_at"]),
            actor_kind=event["actor"]["kind"],
            actor_id=event["actor"]["id"],
            actor_name=event["actor"]["name"],
            verb=event["action"],
            target_kind=event["target"]["kind"],
            target_id=event["target"]["id"],
            request_id=event["request_id"],
            changed=event["changed"],
        )
        previous = audit_chain.hash_of(previous, path.split("/")[1], linked)
        assert previous == event["hash"]
