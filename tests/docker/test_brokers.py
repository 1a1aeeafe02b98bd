"""The same story on every broker: keys are checked, whatever becomes of broker and workers."""

import httpx
import pytest

from tests.docker.deployment import broker, database, deployment, wait_for
from tests.gateway.conftest import redis_server
from tests.keys.conftest import made_up, mistral

__all__ = ["broker", "database", "deployment", "made_up", "mistral", "redis_server"]

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(300)]


def test_keys_are_checked_whatever_becomes_of_broker_and_workers(deployment, made_up):
    client = deployment.connect()

    def answers():
        try:
            return client.get("/organizations").status_code == 200
        except httpx.TransportError:
            return False

    wait_for(answers, deployment)
    made = client.post("/organizations", json={"name": "Brokers", "owner_email": "b@b.example"})
    workspace = made.json()["default_workspace_id"]

    def register():
        answer = client.post(f"/workspaces/{workspace}/keys", json={"name": "k", "key": made_up()})
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def becomes_valid(key):
        def valid():
            return client.get(f"/keys/{key}").json()["status"] == "valid"

        wait_for(valid, deployment)

    becomes_valid(register())

    deployment.wire.cut()
    while_away = register()
    assert client.get(f"/keys/{while_away}").json()["status"] == "pending"
    deployment.wire.mend()
    becomes_valid(while_away)

    deployment.kill("worker")
    for_nobody = register()
    deployment.start("worker")
    becomes_valid(for_nobody)
