"""Webhooks: how fast announcements fan out, and how fast they are delivered.

Fanning out is measured against inserting as many bare rows into the same table, delivering against
posting as many bodies with as many threads and neither database nor signature. Both run as a worker
runs them, against a receiver on loopback.
"""

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore
import psycopg

from bench.servers import Server
from bench.stage import Stage, stage

_ENDPOINTS = 5
_BARE = """
    INSERT INTO notices_delivery (
        id, created_at, organization_id, endpoint_id, announcement_id, kind, status, attempts,
        due_at, log, error, response
    )
    SELECT gen_random_uuid(), now(), a.organization_id, e.id, a.id, a.kind, 'pending', 0, now(),
           '[]', '', ''
    FROM organizations_announcement a, notices_webhookendpoint e
    WHERE a.kind = 'bench' AND a.organization_id = %(organization)s
      AND e.organization_id = a.organization_id
"""


def main(many: int) -> None:
    """Measure and print."""
    here = dict(os.environ)  # noqa: TID251 - the child inherits it
    with (
        Server("receiver", ["-m", "bench.stub", "{port}"], here) as receiver,
        stage("http://127.0.0.1:9") as set_up,
    ):
        url = f"http://127.0.0.1:{receiver.port}/hooks"
        _prepare(set_up, url, many)
        _fan_out(set_up, many)
        _deliver(set_up, url, many)


def _prepare(set_up: Stage, url: str, many: int) -> None:
    from django.conf import settings  # noqa: PLC0415 - Django is set up by the stage

    settings.WEBHOOK_LOOPBACK = True
    from tenants.common import scope  # noqa: PLC0415
    from tenants.notices import publishing  # noqa: PLC0415
    from tenants.notices.services import create_webhook  # noqa: PLC0415
    from tenants.organizations import outbox  # noqa: PLC0415
    from tenants.organizations.audit import Actor  # noqa: PLC0415
    from tenants.organizations.models import Organization  # noqa: PLC0415

    publishing.publish_due()  # what setting the stage announced is for nobody
    actor = Actor(kind="command", id="bench", name="bench")
    with scope.tenant(set_up.organization_id):
        organization = Organization.objects.get()
    for _ in range(_ENDPOINTS):
        create_webhook(actor=actor, organization=organization, url=url)
    with scope.tenant(set_up.organization_id):
        for number in range(many):
            outbox.announce(
                organization_id=set_up.organization_id,
                kind="bench",
                data={"number": number, "name": "Assistente", "key_id": str(set_up.key_id)},
            )


def _fan_out(set_up: Stage, many: int) -> None:
    from tenants.notices import publishing  # noqa: PLC0415

    began = time.perf_counter()
    while publishing.publish_due():
        pass
    seconds = time.perf_counter() - began
    with psycopg.connect(set_up.owner_url) as owner:
        owner.execute("CREATE TEMPORARY TABLE kept AS SELECT * FROM notices_delivery")
        owner.execute("DELETE FROM notices_delivery")
        owner.commit()
        began = time.perf_counter()
        owner.execute(_BARE, {"organization": set_up.organization_id})
        owner.commit()
        bare = time.perf_counter() - began
        owner.execute("DELETE FROM notices_delivery")
        owner.execute("INSERT INTO notices_delivery SELECT * FROM kept")
    rows = many * _ENDPOINTS
    print(
        f"fanned out: {many} announcements to {_ENDPOINTS} endpoints, {rows / seconds:.0f} rows/s;"
        f" one bare INSERT … SELECT: {rows / bare:.0f} rows/s ({seconds / bare:.1f} x)"
    )


def _deliver(set_up: Stage, url: str, many: int) -> None:
    from django.conf import settings  # noqa: PLC0415

    settings.NOTICES_TIMING = {"stretch": 600, "share": 16}
    from tenants.notices import delivering  # noqa: PLC0415
    from tenants.notices.timing import timing  # noqa: PLC0415

    began = time.perf_counter()
    made = delivering.deliver_due()
    seconds = time.perf_counter() - began
    body = b"x" * 300

    def post(_number: int) -> Any:
        with httpcore.ConnectionPool() as pool:
            return pool.request("POST", url, headers={"Connection": "close"}, content=body).status

    began = time.perf_counter()
    with ThreadPoolExecutor(timing().threads) as threads:
        assert set(threads.map(post, range(made))) == {200}
    bare = time.perf_counter() - began
    with psycopg.connect(set_up.owner_url) as owner:
        row = owner.execute("SELECT count(*) FROM notices_delivery WHERE status = 'delivered'")
        delivered = (row.fetchone() or (0,))[0]
    assert made == delivered == many * _ENDPOINTS
    print(
        f"delivered: {made} by one worker, {timing().threads} at once, {made / seconds:.0f}/s;"
        f" posted bare: {made / bare:.0f}/s ({seconds / bare:.1f} x)"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="bench.webhooks", description=__doc__)
    parser.add_argument("many", nargs="?", type=int, default=1_000)
    main(parser.parse_args().many)
