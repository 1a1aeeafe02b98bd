"""Makes calls as the gateway would, with costs chosen by the test instead of by a price."""

import time
from datetime import date, datetime, timedelta
from decimal import Decimal
from secrets import randbits
from typing import Any, Protocol
from uuid import UUID, uuid4

import psycopg

from tenants.common.models import new_id
from tenants.organizations.models import Organization, Workspace
from tenants.registry.models import RegisteredModel
from tenants.spend import limits, rollups, services
from tenants.spend.calls import CallIntent, LimitMode, Outcome, Settlement, period_of
from tenants.spend.meter import Meter
from tenants.spend.pricing import Cost, PriceState, Quantities, WorstCase
from tests import factories
from tests.postgres import owner_url

type Figures = dict[tuple[str, UUID], tuple[Decimal | int, Decimal | int]]


class Named(Protocol):
    """Whatever has an id: a row, or a stand-in for one."""

    id: UUID


class Zoned(Named, Protocol):
    """An organization, or a stand-in for one."""

    timezone: str


def id_at(instant: datetime) -> UUID:
    """Make a UUIDv7 that says it was made at an instant."""
    milliseconds = int(instant.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 7 << 76 | randbits(12) << 64 | 2 << 62 | randbits(62))


def key_of(workspace: Named) -> UUID:
    """The key that a workspace's calls go with, if the test does not care: an id and no row."""
    return UUID(int=workspace.id.int ^ 1)


def cost_of(amount: str | Decimal | None, currency: str = "EUR") -> Cost:
    if amount is None:
        return Cost(PriceState.UNPRICED, None, currency)
    return Cost(PriceState.PRICED, Decimal(amount), currency, (1, 2))


def intent(
    organization: Zoned,
    workspace: Named,
    worst: str | Decimal | None = "1.00",
    *,
    model_id: UUID | None = None,
    call_id: UUID | None = None,
    currency: str = "EUR",
    **facts,
) -> CallIntent:
    """Describe a call of a workspace whose worst case costs this much (None: unpriced)."""
    call_id = call_id or new_id()
    return CallIntent(
        call_id=call_id,
        organization_id=organization.id,
        workspace_id=workspace.id,
        key_id=facts.pop("key_id", None) or key_of(workspace),
        model_id=model_id or workspace.id,
        endpoint="/v1/chat/completions",
        requested_model="mistral-small-latest",
        period=period_of(call_id, organization.timezone),
        worst_case=WorstCase(
            Quantities(prompt_tokens=1000, completion_tokens=500), cost_of(worst, currency)
        ),
        **facts,
    )


def settlement(call: CallIntent, amount: str | Decimal | None = "0.40", **facts) -> Settlement:
    """Describe how a call ended."""
    return Settlement(
        intent=call,
        outcome=facts.pop("outcome", Outcome.COMPLETED),
        quantities=facts.pop(
            "quantities", Quantities(prompt_tokens=100, completion_tokens=50, cached_tokens=64)
        ),
        cost=cost_of(amount, call.worst_case.cost.currency),
        http_status=facts.pop("http_status", 200),
        answered_model=facts.pop("answered_model", "mistral-small-2603"),
        **facts,
    )


def registered_model(organization: Organization, workspace: Workspace) -> RegisteredModel:
    """Insert a model around its service, inside an open scope."""
    return RegisteredModel.objects.create(
        organization=organization,
        workspace=workspace,
        key=factories.raw_key(organization, workspace),
        name=f"Model {uuid4()}",
        mistral_model="mistral-small-latest",
        purposes=["question_answering"],
        created_by="tests",
    )


def limit(
    organization: Organization,
    subject: limits.Subject,
    amount: str | None,
    mode: LimitMode = LimitMode.ENFORCE,
    **facts: Any,
) -> None:
    """Set a month's limit, and what else ``facts`` says of it."""
    services.set_limit(
        actor=factories.ACTOR,
        organization=organization,
        subject=subject,
        monthly_spend=None if amount is None else Decimal(amount),
        mode=mode,
        **facts,
    )


def die(meter: Meter) -> None:
    """End a writer as the death of its process does, and wait until PostgreSQL has noticed."""
    assert meter._connection is not None
    pid = meter._connection.info.backend_pid
    meter.close()
    for _ in range(500):
        if not as_owner("SELECT pid FROM pg_stat_activity WHERE pid = %s", pid):
            return
        time.sleep(0.01)
    raise AssertionError("the connection is still there")


def as_owner(query: str, *values) -> list[tuple[Any, ...]]:
    """Look with the eyes of the tables' owner, who is behind no wall."""
    with psycopg.connect(owner_url(), autocommit=True) as connection:
        cursor = connection.execute(query, values)
        return cursor.fetchall() if cursor.description else []


def roll_up(organization: Organization) -> None:
    """Roll up until nothing of an organization is left to do.

    A transaction that runs elsewhere in the server holds the mark back for as long as it runs.
    """
    for _ in range(500):
        rollups.roll_up()
        if not as_owner(
            "SELECT id FROM spend_usageevent WHERE organization_id = %s AND transaction_id >="
            " (SELECT transaction_id FROM spend_rollupmark) LIMIT 1",
            organization.id,
        ):
            return
        time.sleep(0.02)
    raise AssertionError("something holds the roll-ups back")


def partition(owner: psycopg.Connection, starts: date) -> str:
    """Make a past month's partition, as ``spend_make_partitions`` would have when it was young."""
    name, ends = f"spend_usageevent_{starts:%Y_%m}", (starts + timedelta(days=32)).replace(day=1)
    within = f"occurred_at >= '{starts}' AND occurred_at < '{ends}'"
    owner.execute(
        f"""
        CREATE TABLE {name} (LIKE spend_usageevent INCLUDING ALL);
        WITH caught AS (DELETE FROM spend_usageevent_default WHERE {within} RETURNING *)
        INSERT INTO {name} SELECT * FROM caught;
        ALTER TABLE spend_usageevent ATTACH PARTITION {name}
            FOR VALUES FROM ('{starts}') TO ('{ends}');
        """.encode()
    )
    return name


def ledger(organization: Organization) -> Figures:
    """What the balances say: (kind, subject) → (settled, held), over all months."""
    rows = as_owner(
        "SELECT subject_kind, subject_id, sum(settled), sum(held) FROM spend_balance"
        " WHERE organization_id = %s GROUP BY 1, 2",
        organization.id,
    )
    return {(kind, subject): (settled, held) for kind, subject, settled, held in rows}


def recount(organization: Organization) -> Figures:
    """The same, summed anew from events and holds."""
    rows = as_owner(
        """
        WITH line AS (
            SELECT organization_id, workspace_id, model_id, key_id, coalesce(cost, 0) AS settled,
                   0 AS held
            FROM spend_usageevent WHERE organization_id = %(id)s
            UNION ALL
            SELECT organization_id, workspace_id, model_id, key_id, 0, coalesce(amount, 0)
            FROM spend_hold WHERE organization_id = %(id)s
        )
        SELECT s.kind, s.subject, sum(settled), sum(held)
        FROM line, LATERAL spend_subjects(organization_id, workspace_id, model_id, key_id) s
        GROUP BY 1, 2
        """.replace("%(id)s", f"'{organization.id}'")
    )
    return {(kind, subject): (settled, held) for kind, subject, settled, held in rows}


def events(organization: Organization) -> list[dict[str, Any]]:
    """Every event of an organization, oldest first."""
    with psycopg.connect(owner_url(), row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute(
            "SELECT * FROM spend_usageevent WHERE organization_id = %s ORDER BY created_at, source",
            (organization.id,),
        ).fetchall()


def holds(organization: Organization) -> list[UUID]:
    """The ids of the calls that are held."""
    found = as_owner("SELECT id FROM spend_hold WHERE organization_id = %s", organization.id)
    return sorted(row[0] for row in found)
