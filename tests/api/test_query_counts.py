"""Lists take as many queries for thirty rows as for three."""

import secrets
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tenants.access.services import issue_organization_token
from tenants.accounting import closing
from tenants.accounting.models import FigureSource
from tenants.accounting.reconciliations import request_reconciliation
from tenants.assistance.services import grant_access
from tenants.common import scope
from tenants.common.months import Month
from tenants.notices.services import create_webhook, send_test
from tenants.organizations import invitations
from tenants.organizations.models import JoinRequest, OrganizationDomain
from tenants.organizations.roles import Role, WorkspaceRole
from tests import factories, people
from tests.api import world
from tests.api.callers import BASE, Caller, platform_caller
from tests.api.rows import reported
from tests.api.test_permission_table import TABLE
from tests.api.world import WholeWorld
from tests.factories import ACTOR

FEW, MANY = 3, 30
#: Months that are closed: the first of a year that is over.
MONTHS = 12
#: No more are allowed, the world's own one included.
WEBHOOKS = 19
READS = [row for row in TABLE if row.method == "GET" and not (row.is_audited or row.personal)]
#: Lists that are no longer because an organization has more of everything.
NO_LONGER = {
    "GET organizations",
    "GET catalog",
    "GET calls",
    "GET spend/months",
    "GET keys/<id:key_id>/models",
    "GET organizations/<id:organization_id>/rate-limits",
    "GET organizations/<id:organization_id>/support-sessions",
}

type Counted = tuple[int, int]


def grow(found: WholeWorld, number: int) -> None:
    """Add one more of everything that is listed."""
    organization = found.organization
    month = Month.parse(f"2025-{number % MONTHS + 1:02}", organization.timezone)
    workspace = factories.workspace(organization)
    key = world.valid_key(found.workspace, f"Key {number}")
    world.registered_model(found.workspace, key, f"Model {number}")
    issue_organization_token(
        actor=ACTOR, organization=organization, name="t", scopes=[], grantable=[]
    )
    people.member(organization, workspaces={found.workspace: WorkspaceRole.MEMBER})
    people.member(organization, Role.ADMIN, workspaces={workspace: WorkspaceRole.ADMIN})
    if number < MONTHS:
        closing.close(organization, month)
    request_reconciliation(
        actor=ACTOR,
        organization=organization,
        month=month,
        source=FigureSource.MANUAL,
        figures=[{"category": "ocr", "amount": Decimal(1)}],
    )
    send_test(actor=ACTOR, endpoint=found.webhook)
    if number < WEBHOOKS:
        create_webhook(actor=ACTOR, organization=organization, url=f"https://example.com/{number}")
    grant_access(actor=ACTOR, organization=organization, hours=2)
    asking = people.person("Dora")
    with scope.tenant(organization.pk):
        invitations.make(
            organization,
            f"more-{secrets.token_hex(4)}@people.example",
            role=Role.MEMBER,
            workspaces={workspace.pk: WorkspaceRole.MEMBER},
            invited_by="Alice",
        ).save(force_insert=True)
        OrganizationDomain.objects.create(organization=organization, domain=f"m{number}.example")
        JoinRequest.objects.create(organization=organization, person=asking, email=asking.email)


def report(caller: Caller, found: WholeWorld, many: int) -> None:
    """Have so many calls been made."""
    events = [event for _ in range(many) for event in reported(found)["events"]]
    assert caller.post("usage", {"events": events}).status == 202


def counted(caller: Caller, path: str) -> Counted:
    """How many rows a list gives, and with how many queries; -1 rows where it is no list."""
    caller.get(path)  # what is cached for a while
    with CaptureQueriesContext(connection) as queries:
        answer = caller.get(path)
    is_json = answer.headers.get("Content-Type") == "application/json"
    body = answer.body if is_json else None
    rows = body.get("results") if isinstance(body, dict) else None
    return (len(rows) if rows is not None else -1), len(queries)


@pytest.fixture(scope="module")
def few_and_many() -> dict[str, tuple[Counted, Counted]]:
    """For every address that reads: rows and queries, with three and with thirty of everything."""
    found = world.whole_world()
    caller = platform_caller()
    paths = {str(row): row.address(found).removeprefix(f"{BASE}/") for row in READS}
    for number in range(FEW - 1):
        grow(found, number)
    report(caller, found, FEW)
    few = {name: counted(caller, path) for name, path in paths.items()}
    for number in range(FEW - 1, MANY - 1):
        grow(found, number)
    report(caller, found, MANY - FEW)
    many = {name: counted(caller, path) for name, path in paths.items()}
    for name, path in paths.items():
        if many[name][1] > few[name][1]:  # or what was cached has just grown too old
            many[name] = counted(caller, path)
    return {name: (few[name], many[name]) for name in paths}


def test_no_list_asks_once_for_each_row(few_and_many):
    lists = {name for name, (_few, many) in few_and_many.items() if many[0] >= 0}
    grown = {name for name in lists if few_and_many[name][1][0] > few_and_many[name][0][0]}
    fixed = NO_LONGER | {name for name in lists if name.endswith("limits/effective")}
    assert lists - fixed == grown, "let `grow` add what the new list has"
    assert len(grown) > 10
    longer = [name for name in grown if few_and_many[name][1][0] >= MANY]
    assert len(longer) > 8, "thirty rows, not a few more"


def test_nothing_takes_more_queries_because_there_is_more(few_and_many):
    slower = {name: pair for name, pair in few_and_many.items() if pair[1][1] > pair[0][1]}
    assert slower == {}
