"""A model that somebody reported under a formula's name is text in every table that is given."""

import csv
import io
from datetime import timedelta

import pytest
from django.utils import timezone

from tenants.accounting import statements
from tenants.organizations.roles import Role
from tenants.spend.groups import QUANTITIES
from tenants.spend.reporting import ReportedCall, report_usage
from tests import people
from tests.api import callers
from tests.api.world import whole_world
from tests.factories import ACTOR
from tests.people import session_caller

FORMULA = '=HYPERLINK("https://evil.example","Total")'


@pytest.fixture(scope="module")
def hers():
    made = whole_world()
    report_usage(
        actor=ACTOR,
        organization=made.organization,
        calls=[
            ReportedCall(
                event_id="one",
                workspace_id=made.workspace.pk,
                key_id=made.key.pk,
                model_id=None,
                model=FORMULA,
                endpoint="/v1/chat/completions",
                occurred_at=timezone.now() - timedelta(seconds=1),
                usage={"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10},
            )
        ],
    )
    return made


def cells(table):
    return [cell for row in csv.reader(io.StringIO(table.decode("utf-8-sig"))) for cell in row]


def assert_is_text(table):
    found = cells(table)
    assert f"'{FORMULA}" in found
    assert FORMULA not in found


@pytest.mark.parametrize("page", ["spend.csv", "calls.csv"])
def test_in_the_consoles_tables(hers, page):
    client = session_caller(people.member(hers.organization, Role.ADMIN).person).client
    assert_is_text(client.get(f"/organizations/{hers.organization.pk}/{page}").getvalue())


def test_in_the_apis_table(hers):
    caller = callers.organization_caller(hers.organization)
    answer = caller.get("spend?group_by=model", {"Accept": "text/csv"})
    assert_is_text(answer.raw)


def test_in_statements_whose_amounts_may_be_below_zero():
    line = {
        "month": "2026-09",
        "category": "completion",
        "mistral_model": FORMULA,
        "workspace_id": "w",
        "workspace": "+Sales",
        "amount": "-0.40",
        "quantities": dict.fromkeys(QUANTITIES, -1),
    }
    document = {"month": "2026-10", "timezone": "UTC", "currency": "EUR", "lines": []}
    table = statements.as_csv(document | {"adjustments": [line]})
    assert_is_text(table)
    assert {"'+Sales", "-0.40", "-1"} <= set(cells(table))
