"""Behind pgbouncer in transaction mode: tenants stay apart, changes take turns, calls are metered.

All that goes through the pooler shares one connection to PostgreSQL, so that whatever a session
kept would reach the next tenant. Needs Debian's ``pgbouncer``, or any that is on the PATH.
"""

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import psycopg
import pytest

from tenants.spend.recovery import recover_orphans
from tests.api.callers import organization_caller
from tests.gateway import tenancy
from tests.gateway.conftest import made_up, mistral
from tests.gateway.proxy import DatabaseProxy
from tests.gateway.server import ROOT, GatewayServer
from tests.gateway.tenancy import ask
from tests.keys.keyring import name_of
from tests.postgres import owner_url, service_environment
from tests.stores.bouncer import Bouncer

__all__ = ["made_up", "mistral"]

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def bouncer(tmp_path_factory):
    if not Bouncer.is_here():
        pytest.skip("no pgbouncer on this machine")
    folder = tmp_path_factory.mktemp("pgbouncer")
    for place in (folder, *folder.parents[:2]):
        place.chmod(0o755)  # it gives up root, and then reads its files
    with DatabaseProxy() as wire, Bouncer(wire.url, folder) as made:
        yield made


def past_it():
    """Lead what belongs to a session to PostgreSQL itself."""
    return {"DATABASE_DIRECT_URL": service_environment()["DATABASE_URL"]}


@pytest.fixture(scope="module")
def web(bouncer, mistral, _database):
    """The web process behind the pooler, and past it for what belongs to a session."""
    with GatewayServer(mistral.url, bouncer.url, variables=past_it()) as server:
        yield server


@pytest.fixture
def _patience(mistral, settings):
    settings.MISTRAL_API_URL = mistral.url
    settings.KEY_TIMING = {"read": 10, "answer": 20}


@pytest.fixture
def tenant(_patience, made_up):
    return tenancy.make(made_up)


def client(server, token):
    return httpx.Client(
        base_url=f"{server.url}/api/v1",
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=60,
    )


def test_two_tenants_over_one_connection_never_see_each_other(web, bouncer, organization, stranger):
    tokens = {whose: organization_caller(whose).token for whose in (organization, stranger)}

    def look(whose):
        with client(web, tokens[whose]) as caller:
            for _ in range(25):
                answer = caller.get("/organizations")
                assert [one["id"] for one in answer.json()["results"]] == [str(whose.id)]
                answer = caller.get(f"/organizations/{whose.id}/workspaces")
                found = {one["organization_id"] for one in answer.json()["results"]}
                assert found == {str(whose.id)}, answer.text

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(look, whose) for whose in (organization, stranger) * 4]:
            done.result()
    with psycopg.connect(bouncer.url, autocommit=True) as next_client:
        left = next_client.execute(
            """SELECT current_setting('aim.organization', true),
                      (SELECT count(*) FROM organizations_workspace)"""
        ).fetchone()
    assert left in {("", 0), (None, 0)}


def test_changes_of_one_address_wait_in_turn_and_leave_no_lock(web, organization):
    path = f"/organizations/{organization.id}"
    token = organization_caller(organization).token
    with client(web, token) as caller:
        tag = caller.get(path).headers["etag"]

    def change(number):
        with client(web, token) as caller:
            return caller.patch(path, json={"name": f"N{number}"}, headers={"If-Match": tag})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(change, range(8)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 7}
    with psycopg.connect(owner_url()) as owner:
        held = owner.execute(
            """SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
               AND (classid::bigint << 32) | objid::bigint
                   = hashtextextended(%s, 0)""",
            [f"api /api/v1{path}"],
        ).fetchone()
    assert held == (0,)


def test_calls_are_metered_exactly_and_survive_a_kill(web, bouncer, mistral, tenant):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(web.url, tenant, max_tokens=3), range(40)))
    assert {answer.status_code for answer in answers} == {200}
    assert [event.estimate for event in tenant.settled(40)] == [""] * 40

    mistral.state.change(name_of(tenant.plain), directives={"delay": 3})
    with (
        GatewayServer(mistral.url, bouncer.url, variables=past_it()) as doomed,
        ThreadPoolExecutor(1) as pool,
    ):
        asked = pool.submit(ask, doomed.url, tenant, max_tokens=3)
        tenancy.eventually(lambda: len(tenant.holds()) == 1)
        assert recover_orphans(grace=timedelta()) == 0, "its writer lives"
        doomed.kill()
        with pytest.raises(httpx.TransportError):
            asked.result()
    tenancy.eventually(lambda: recover_orphans(grace=timedelta()) == 1)
    assert tenant.settled(41)[-1].estimate == "process_died"


@pytest.mark.parametrize(("direct", "state"), [(None, "fail"), ("pooled", "fail"), ("own", "ok")])
def test_the_doctor_knows_a_pooler_that_is_in_the_way(bouncer, direct, state):
    pooled = {"DATABASE_DIRECT_URL": bouncer.url}
    variables = {None: {}, "pooled": pooled, "own": past_it()}[direct]
    assert doctor(DATABASE_URL=bouncer.url, **variables)["pooler"] == state


def test_the_doctor_knows_an_address_that_leads_elsewhere(bouncer):
    found = doctor(DATABASE_URL=bouncer.url, DATABASE_DIRECT_URL=owner_url())
    assert found["pooler"] == "fail"


def doctor(**variables):
    """What the doctor says of a deployment with these variables."""
    told = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--json"],
        cwd=ROOT,
        env=service_environment(DJANGO_SETTINGS_MODULE="tests.settings", **variables),
        capture_output=True,
        text=True,
        check=False,
    )
    found = [json.loads(line) for line in told.stdout.splitlines()]
    return {one["code"]: one["state"] for one in found}
