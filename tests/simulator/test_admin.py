"""The Admin API: only for Admin keys, in the published shapes, and its usage is the bill."""

import dataclasses
from datetime import date
from decimal import Decimal

import httpx
import pytest

from aisuru_mistral.simulator.keys import WELL_KNOWN
from tests.simulator.conftest import CHAT, HELLO
from tests.simulator.schema import check

SHAPES = {
    "usage": "UsageOUTJSON",
    "spend-limit": "LimitsOUT",
    "rate-limit": "RateLimitsOUT",
    "api-keys": "APIKeysExtendedOUT",
    "users": "OrganizationAdminUsersOUT",
    "workspaces": "WorkspacesOut",
    "roles": "RolesOut",
}


@pytest.fixture
def ask(simulator):
    with httpx.Client(base_url=simulator.url, timeout=10, verify=False) as client:  # noqa: S501 - plain HTTP

        def get(path, key="admin", header="x-api-key", **query):
            shown = WELL_KNOWN[key] if header == "x-api-key" else f"Bearer {WELL_KNOWN[key]}"
            return client.get(f"/v1/admin/{path}", params=query, headers={header: shown})

        yield get


@pytest.mark.parametrize("path", SHAPES)
def test_every_answer_has_its_published_shape(simulator, ask, alice, path):
    assert alice.post(CHAT, json=HELLO).status_code == 200
    answer = ask(path)
    assert answer.status_code == 200
    check(answer.json(), SHAPES[path])


def test_an_ordinary_key_opens_nothing_and_an_admin_key_nothing_else(ask, as_key):
    assert ask("usage", key="valid").status_code == 401
    assert as_key("admin").get("/v1/models").status_code == 401
    assert ask("usage", header="authorization").status_code == 401
    assert ask("usage", key="admin_by_bearer", header="authorization").status_code == 200


def test_the_usage_is_the_bill_of_the_month_and_the_workspace(simulator, ask, as_key):
    simulator.state.ledger.today = lambda: date(2026, 10, 31)
    for name in ("valid", "valid_second", "valid_other_workspace"):
        assert as_key(name).post(CHAT, json=HELLO).status_code == 200
    simulator.state.ledger.today = lambda: date(2026, 11, 1)
    assert as_key("valid").post(CHAT, json=HELLO).status_code == 200
    month = {"month": "10", "year": "2026"}
    whole = ask("usage", **month).json()
    assert billed(whole) == sum(
        line.cost(simulator.state.catalogue.price_in_euro(line.model))
        for line in simulator.state.ledger.lines()
        if line.day.month == 10
    )
    (rows,) = {row["timestamp"] for row in every_row(whole)}
    assert rows == "2026-10-31"
    for row in every_row(whole):
        check(row, "UsageRowObserved")
    support = simulator.state.key("valid_other_workspace").workspace.id
    assert 0 < billed(ask("usage", workspace_id=support, **month).json()) < billed(whole)
    assert billed(ask("usage", key="admin_by_bearer", header="authorization", **month).json()) == 0


def test_a_month_that_is_none_is_refused(ask):
    assert ask("usage", month="13", year="2026").status_code == 422


def test_keys_are_masked_and_come_by_offset(simulator, ask):
    first = ask("api-keys", limit=1).json()["keys"]
    second = ask("api-keys", limit=1, offset=1).json()["keys"]
    assert [row["hidden_key"] for row in (*first, *second)] == ["SimV...0001", "SimV...0002"]
    assert [row["key_id"] for row in ask("api-keys", name="0002").json()["keys"]] == [
        simulator.state.key("valid_second").id
    ]


def test_limits_are_what_the_state_says(simulator, ask):
    simulator.state.admin.spend_limit = None
    assert ask("spend-limit").json()["limits"]["completion"]["no_monthly_limit"] is True
    simulator.state.admin.token_limits = {"mistral-small-2603": (1, 2)}
    limits = ask("rate-limit").json()["tokens_limits_by_model"]
    assert limits == {"mistral-small-2603": {"tokens_per_minute": 1, "tokens_per_month": 2}}


def test_priority_and_batches_cost_what_the_bill_says(simulator, ask):
    key = simulator.state.key("valid")
    facts = {
        "key": "valid",
        "organization": key.organization.id,
        "workspace": key.workspace.id,
        "model": "mistral-small-2603",
    }
    for tier, batch in (("standard", False), ("priority", False), ("standard", True)):
        line = simulator.state.ledger.line(**facts, service_tier=tier, batch=batch)
        line.prompt_tokens, line.completion_tokens, line.cached_tokens = 1001, 77, 64
    assert billed(ask("usage").json()) == sum(
        line.cost(simulator.state.catalogue.price_in_euro(line.model))
        for line in simulator.state.ledger.lines()
    )
    assert dataclasses.asdict(simulator.state.ledger.total())["calls"] == 0


def every_row(usage):
    for part in ("completion", "ocr", "connectors", "audio", "audio_characters"):
        for groups in usage[part]["models"].values():
            for rows in groups.values():
                yield from rows


def billed(usage):
    prices = {
        (row["billing_metric"], row["billing_group"], row["service_tier"]): Decimal(row["price"])
        for row in usage["prices"]
    }
    return sum(
        Decimal(str(row["value_paid"]))
        * prices[row["billing_metric"], row["billing_group"], row["service_tier"]]
        for row in every_row(usage)
    )
