"""`python -m bench.api`: lists of the management API by depth, and what registering takes.

Each list gets as many rows as asked for, in one organization; every page of it is walked through
by its own cursors, and then the first, a middle and the last one are asked for again and again,
through the whole of Django: token, rates, wall, queries, JSON. Beside them stands an index-only
scan of as many ids at the same place. Registering a key and creating a model are measured in the
same way, beside an insert that commits; both are durable. Times are those inside the process.
"""

import argparse
import secrets
import statistics
import string
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

from bench import api_sql
from bench.stage import Stage, stage

_ALPHABET = string.ascii_letters + string.digits
_PAGE = 50
_STRIDE = 200
_WARM_UP = 5


@dataclass(frozen=True)
class _List:
    """A list: its address, and where its ids lie for a plain index scan."""

    address: str
    table: str
    is_ours: bool = True


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.api", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="of each list")
    parser.add_argument("--rounds", type=int, default=200, help="requests for each page")
    parser.add_argument("--writes", type=int, default=300, help="keys and models to make")
    parser.add_argument("--lists", default="", help="only those whose address has one of these")
    arguments = parser.parse_args()
    with stage("http://127.0.0.1:9") as set_up:
        ask = _asker()
        _write(set_up, ask, arguments.writes)
        hook = _seed(set_up, arguments.rows)
        _read(set_up, ask, hook, arguments.rounds, arguments.lists.split(","))


def _asker() -> Callable[..., Any]:
    """Make what sends a request as AIsuru's backend does, and gives the answer's JSON."""
    from django.conf import settings  # noqa: PLC0415 - Django is set up by the stage
    from django.test import Client  # noqa: PLC0415

    from tenants.access.services import issue_platform_token  # noqa: PLC0415
    from tenants.organizations.audit import Actor  # noqa: PLC0415

    settings.API_RATES = dict.fromkeys(settings.API_RATES, (10**9, 60))
    settings.ALLOWED_HOSTS = ["testserver"]
    _row, token = issue_platform_token(actor=Actor("command", "bench", "bench"), name="bench")
    client = Client(headers={"Authorization": f"Bearer {token.reveal()}"})

    def ask(address: str, body: Any = None) -> Any:
        path = f"/api/v1/{address}"
        answer = (
            client.get(path)
            if body is None
            else client.post(path, body, content_type="application/json")
        )
        if answer.status_code >= 400:
            raise RuntimeError(f"{address}: {answer.status_code} {answer.content[:300]!r}")
        return answer.json()

    return ask


def _write(set_up: Stage, ask: Callable[..., Any], many: int) -> None:
    """Register keys and create models, one after the other."""
    with psycopg.connect(set_up.owner_url, autocommit=True) as owner:
        owner.execute("CREATE TABLE bench_plain (id uuid PRIMARY KEY, text text)")
        insert = "INSERT INTO bench_plain VALUES (gen_random_uuid(), repeat('x', 500))"
        plain = _times(lambda _: owner.execute(insert), many)
    keys = f"workspaces/{set_up.workspace_id}/keys"

    def register(number: int) -> None:
        ask(
            keys,
            {"name": f"Key {number}", "key": "".join(secrets.choice(_ALPHABET) for _ in range(32))},
        )

    def create(number: int) -> None:
        ask(
            "models",
            {
                "organization_id": str(set_up.organization_id),
                "workspace_id": str(set_up.workspace_id),
                "key_id": str(set_up.key_id),
                "name": f"Model {number}",
                "model": "mistral-small-latest",
                "purposes": ["question_answering"],
            },
        )

    print(f"{many} of each, one after the other:\n")
    print("| what | median ms | p95 ms | to plain |")
    print("| --- | ---: | ---: | ---: |")
    for name, times in (
        ("an insert that commits (plain)", plain),
        ("registering a key", _times(register, many)),
        ("creating a model", _times(create, many)),
    ):
        ratio = _p95(times) / _p95(plain)
        print(f"| {name} | {statistics.median(times):.2f} | {_p95(times):.2f} | {ratio:.1f} |")


def _seed(set_up: Stage, rows: int) -> Any:
    """Fill every list with so many rows; give the webhook whose deliveries were made."""
    facts = {
        "many": rows,
        "organization": set_up.organization_id,
        "workspace": set_up.workspace_id,
        "key": set_up.key_id,
        "model": set_up.model_id,
    }
    with psycopg.connect(
        set_up.owner_url, autocommit=True, cursor_factory=psycopg.ClientCursor
    ) as owner:
        owner.execute("SET synchronous_commit = off")
        for statement in api_sql.SEED:
            owner.execute(statement, facts)
        for _ in range(0, rows, api_sql.AUDITED_AT_ONCE):
            owner.execute(api_sql.AUDIT, facts)
        owner.execute("VACUUM ANALYZE")
        row = owner.execute("SELECT id FROM notices_webhookendpoint").fetchone()
    assert row is not None
    return row[0]


def _read(
    set_up: Stage, ask: Callable[..., Any], hook: Any, rounds: int, wanted: list[str]
) -> None:
    ours = f"organizations/{set_up.organization_id}"
    lists = (
        _List("organizations", "organizations_organization", is_ours=False),
        _List(f"{ours}/workspaces", "organizations_workspace"),
        _List(f"{ours}/members", "organizations_member"),
        _List(f"{ours}/invitations", "organizations_invitation"),
        _List(f"workspaces/{set_up.workspace_id}/keys", "keys_mistralkey"),
        _List(f"models?organization_id={set_up.organization_id}", "registry_registeredmodel"),
        _List(f"{ours}/audit-events", "organizations_auditevent"),
        _List(f"{ours}/tokens", "access_organizationtoken"),
        _List(f"{ours}/webhooks/{hook}/deliveries", "notices_delivery"),
        _List(f"calls?workspace_id={set_up.workspace_id}", "spend_usageevent"),
    )
    print(f"\npages of {_PAGE}, p95 of {rounds} in ms:\n")
    print("| list | rows | first | middle | last | last to first | plain, last | to plain |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with psycopg.connect(set_up.owner_url, autocommit=True) as owner:
        for one in (one for one in lists if any(word in one.address for word in wanted)):
            found, cursors = _walk(ask, one.address)
            glue = "&" if "?" in one.address else "?"
            base = f"{one.address}{glue}limit={_PAGE}"
            places = ("", cursors[len(cursors) // 2], cursors[-1])
            pages = [base + (f"&cursor={at}" if at else "") for at in places]
            first, middle, last = (_p95(_times(partial(_ask, ask, at), rounds)) for at in pages)
            plain = _p95(_times(_plain(owner, one, set_up), rounds))
            name = one.address.split("?")[0].replace(str(set_up.organization_id), "…")
            name = name.replace(str(set_up.workspace_id), "…").replace(str(hook), "…")
            times = f"{first:.1f} | {middle:.1f} | {last:.1f} | {last / first:.2f}"
            beside = f"{plain:.2f} | {last / plain:.0f}"
            print(f"| {name} | {found:,} | {times} | {beside} |", flush=True)


def _ask(ask: Callable[..., Any], address: str, _number: int) -> None:
    ask(address)


def _walk(ask: Callable[..., Any], address: str) -> tuple[int, list[str]]:
    """Go through a whole list; give how many rows it has, and the cursors of its pages."""
    glue = "&" if "?" in address else "?"
    seen: set[str] = set()
    met, cursors, at = 0, [], ""
    while True:
        body = ask(f"{address}{glue}limit={_STRIDE}" + (f"&cursor={at}" if at else ""))
        rows = body["results"]
        met += len(rows)
        seen |= {str(row.get("id") or row.get("call_id") or row) for row in rows}
        if body["next"] is None:
            break
        at = body["next"]
        cursors.append(at)
    assert len(seen) == met, f"{address}: a row was met twice"
    return met, cursors


def _plain(owner: psycopg.Connection, one: _List, set_up: Stage) -> Callable[[int], Any]:
    """Make an index-only scan of a page's ids, deep in the list."""
    table = sql.Identifier(one.table)
    whose = sql.SQL("organization_id = %(organization)s AND") if one.is_ours else sql.SQL("")
    facts: dict[str, Any] = {"organization": set_up.organization_id, "many": _PAGE + 1}
    deep = sql.SQL("SELECT id FROM {} WHERE {} true ORDER BY id OFFSET %(many)s LIMIT 1")
    found = owner.execute(deep.format(table, whose), facts).fetchone()
    facts["at"] = found[0] if found else None
    page = sql.SQL("SELECT id FROM {} WHERE {} id < %(at)s ORDER BY id DESC LIMIT %(many)s").format(
        table, whose
    )
    return lambda _: owner.execute(page, facts).fetchall()


def _times(work: Callable[[int], Any], many: int) -> list[float]:
    """Do it so many times; give the milliseconds of each, but of the first few."""
    taken = []
    for number in range(many + _WARM_UP):
        began = time.perf_counter()
        work(number)
        taken.append((time.perf_counter() - began) * 1000)
    return taken[_WARM_UP:]


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


if __name__ == "__main__":
    main()
