"""Ten thousand keys checked again, and pages and searches among half a million.

Checks run through the worker's own function against the simulator, with so many threads and no
more. Pages run through the API's own queries as the application's login; the plain measure beside
them is an index-only scan of as many ids.
"""

import argparse
import random
import resource
import secrets
import statistics
import string
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from bench.stage import Stage, stage

_ALPHABET = string.ascii_letters + string.digits
_WORKERS = 8
_PAGE = 50
_SEED = """
    INSERT INTO keys_mistralkey (
        id, created_at, organization_id, workspace_id, name, last4, fingerprint, sealed,
        secret_version, secret_at, data_key_version, status, created_by, verdict_code, evidence,
        models_seen, doubts, attempts
    )
    SELECT uuidv7(make_interval(secs => (n - %(many)s) / 1000.0)), now(), %(organization)s,
           %(workspace)s,
           (ARRAY['Produzione', 'Perché no', 'Assistenza', 'Città', 'Vendite'])[1 + n %% 5]
               || ' ' || substr(md5(n::text), 1, 8),
           substr(md5((n * 7)::text), 1, 4), sha256(n::text::bytea), 'none', 1, now(), 1,
           (ARRAY['valid', 'valid', 'valid', 'invalid', 'expired'])[1 + n %% 5], 'bench', 'ok',
           '{}', 0, 0, 0
    FROM generate_series(1, %(many)s) n
"""


def main(checks: int, listed: int) -> None:
    """Measure and print."""
    with stage("http://127.0.0.1:9") as set_up:
        _check(set_up, checks)
        _list(set_up, listed)


def _check(set_up: Stage, many: int) -> None:
    from django.conf import settings  # noqa: PLC0415
    from django.db import connection  # noqa: PLC0415

    from aisuru_mistral.simulator.server import SimulatorServer  # noqa: PLC0415 - Django first
    from tenants.keys import validation  # noqa: PLC0415

    settings.KEY_TIMING = {"pace": 1e6, "pace_all": 1e6}
    with SimulatorServer() as simulator:
        settings.MISTRAL_API_URL = simulator.url
        ids = _make_keys(set_up, simulator, many)
        before = _memory()

        def check(key_id: Any) -> None:
            validation.validate(set_up.organization_id, key_id)

        began = time.perf_counter()
        with ThreadPoolExecutor(_WORKERS) as threads:
            list(threads.map(check, ids, chunksize=50))
            seconds = time.perf_counter() - began
            list(threads.map(lambda _: connection.close(), range(_WORKERS)))
        asked = len([call for call in simulator.state.requests if call.path == "/v1/models"])
    with psycopg.connect(set_up.owner_url) as owner:
        row = owner.execute("SELECT count(*) FROM keys_mistralkey WHERE verdict_code = 'ok'")
        valid = (row.fetchone() or (0,))[0] - 1
    print(
        f"checked again: {many} keys, {_WORKERS} at a time, {many / seconds:.0f} keys/s,"
        f" {valid} valid, memory +{_memory() - before:.0f} MiB"
        f" (the simulator remembers its last 10000 requests: {asked} lists)"
    )


def _make_keys(set_up: Stage, simulator: Any, many: int) -> list[Any]:
    """Seal keys as registration does, and insert them together."""
    from django.db.models.functions import Now  # noqa: PLC0415

    from tenants.common import scope  # noqa: PLC0415
    from tenants.common.models import new_id  # noqa: PLC0415
    from tenants.common.secrets import Secret  # noqa: PLC0415
    from tenants.keys import slots  # noqa: PLC0415
    from tenants.keys.models import MistralKey  # noqa: PLC0415

    rows = []
    with scope.tenant(set_up.organization_id):
        for number in range(many):
            plain = "".join(secrets.choice(_ALPHABET) for _ in range(32))
            simulator.state.register(
                key=plain, name=f"bench {number}", organization={"id": f"org {number % 500}"}
            )
            key = MistralKey(
                id=new_id(),
                organization_id=set_up.organization_id,
                workspace_id=set_up.workspace_id,
                created_by="bench",
            )
            for name, value in slots.secret_fields(key, Secret(plain), version=1).items():
                setattr(key, name, value)
            key.secret_at = key.next_check_at = Now()
            rows.append(key)
        MistralKey.objects.bulk_create(rows, batch_size=500)
    return [row.pk for row in rows]


def _list(set_up: Stage, many: int) -> None:
    from django.db import connection  # noqa: PLC0415

    from tenants.access.pagination import page  # noqa: PLC0415
    from tenants.common import scope  # noqa: PLC0415
    from tenants.keys.searching import Search  # noqa: PLC0415
    from tenants.registry import key_use  # noqa: PLC0415

    facts = {
        "many": many,
        "organization": set_up.organization_id,
        "workspace": set_up.workspace_id,
    }
    with psycopg.connect(set_up.owner_url, autocommit=True) as owner:
        owner.execute(_SEED, facts)
        owner.execute("VACUUM ANALYZE keys_mistralkey")
        found = owner.execute("SELECT id FROM keys_mistralkey TABLESAMPLE system (1) LIMIT 2000")
        places = [place for (place,) in found]

        def bare(place: Any) -> None:
            owner.execute(
                "SELECT id FROM keys_mistralkey WHERE organization_id = %s AND workspace_id = %s"
                " AND id < %s ORDER BY id DESC LIMIT %s",
                [facts["organization"], facts["workspace"], place, _PAGE + 1],
            ).fetchall()

        rows = key_use.keys().filter(workspace=set_up.workspace_id, revoked_at=None)

        def listed(place: Any) -> None:
            with scope.tenant(set_up.organization_id):
                page(rows.filter(pk__lt=place), limit=_PAGE, cursor=None)

        def searching(words: Callable[[], str]) -> Callable[[Any], None]:
            def search(_place: Any) -> None:
                find = Search(words(), set_up.workspace_id).find
                with scope.tenant(set_up.organization_id):
                    page(rows, limit=_PAGE, cursor=None, find=find)

            return search

        loads: dict[str, Callable[[Any], None]] = {
            "index-only scan of a page's ids": bare,
            "a page of the list": listed,
            "a search that one key in five has": searching(lambda: "perche"),
            "a search for one key": searching(lambda: f"{random.getrandbits(32):08x}"),
            "a search for the last four": searching(lambda: f"{random.getrandbits(16):04x}"),
        }
        plain = 0.0
        print(f"among {many} keys of one workspace, pages of {_PAGE}:")
        for name, work in loads.items():
            p95 = _p95(work, places)
            plain = plain or p95
            print(f"  {name:36} p95 {p95 * 1000:7.2f} ms  {p95 / plain:5.1f} x")
    connection.close()


def _p95(work: Callable[[Any], None], places: list[Any]) -> float:
    for place in places[:20]:
        work(place)
    taken = []
    for place in random.sample(places, min(200, len(places))):
        began = time.perf_counter()
        work(place)
        taken.append(time.perf_counter() - began)
    return statistics.quantiles(taken, n=20)[-1]


def _memory() -> float:
    """Most that this process has used until now, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="bench.keys", description=__doc__)
    parser.add_argument("--checks", type=int, default=10_000, help="keys to check")
    parser.add_argument("--listed", type=int, default=500_000, help="keys to search in")
    arguments = parser.parse_args()
    main(arguments.checks, arguments.listed)
