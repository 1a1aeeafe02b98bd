"""The image's entrypoint without Docker: the roles, on a database that knows no application yet.

The rehearsal of the image (`test_image.py`) begins with an empty one.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psycopg
import pytest
import yaml

from aisuru_mistral.launcher import ports, provision
from tests.postgres import TEMPLATE, new_database, service_environment

ROOT = Path(__file__).resolve().parents[2]
ENTRYPOINT = ROOT / "docker" / "entrypoint.sh"
pytestmark = [pytest.mark.slow, pytest.mark.rehearsal]
DATABASE = f"image_{os.getpid()}"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """What compose.yaml gives its services, with secrets in files."""
    owner = new_database(DATABASE, TEMPLATE)
    app = provision.with_login(owner, f"aim_{DATABASE}_app", "a-made-up-password")
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "database_url").write_text(app)
    facts = service_environment(
        DATA_DIR=str(folder),
        DATABASE_URL_FILE=str(folder / "database_url"),
        DATABASE_OWNER_URL=owner,
        PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin",
    )
    del facts["DATABASE_URL"]
    return facts


def run(environment, *role):
    return subprocess.run(
        [ENTRYPOINT, *role], env=environment, capture_output=True, text=True, check=False, cwd="/"
    )


@pytest.fixture(scope="module")
def prepared(environment):
    result = run(environment, "migrate")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "No migrations to apply" in result.stdout
    return environment


def test_migrate_says_what_is_missing(environment):
    without = {name: value for name, value in environment.items() if name != "DATABASE_OWNER_URL"}
    result = run(without, "migrate")
    assert result.returncode == 1
    assert "DATABASE_OWNER_URL: is not set" in result.stdout + result.stderr


def test_web_becomes_ready_and_stops_on_sigterm(prepared, tmp_path):
    port = ports.remembered_port(tmp_path / "port")
    web = subprocess.Popen([ENTRYPOINT, "web"], env=prepared | {"PORT": str(port)}, cwd="/")
    try:
        address = f"http://127.0.0.1:{port}/health/ready"
        with httpx.Client(trust_env=False, timeout=2) as client:
            for _ in range(300):
                try:
                    answer = client.get(address)
                except httpx.TransportError:
                    time.sleep(0.1)
                    continue
                if answer.status_code == 200:
                    break
                time.sleep(0.1)
            assert client.get(address).status_code == 200
    finally:
        web.send_signal(signal.SIGTERM)
        assert web.wait(60) == 0


@pytest.mark.parametrize("role", ["worker", "beat"])
def test_the_probe_tells_a_process_that_hangs_from_one_that_works(prepared, role):
    """Stopped by the kernel, a process is there and does nothing."""
    # Within the ten minutes that are usual it would take as long: three seconds do here.
    folder = Path(prepared["DATA_DIR"])

    def is_alive():
        return run(prepared, "alive", role, "0.1").returncode == 0

    working = subprocess.Popen([ENTRYPOINT, "beat"], env=prepared, cwd="/", start_new_session=True)
    facts = prepared | {"WORKER_CONCURRENCY": "1"}
    worker = subprocess.Popen([ENTRYPOINT, "worker"], env=facts, cwd="/", start_new_session=True)
    asked = {"beat": working, "worker": worker}[role]
    try:
        started = (folder / f"{role}-alive").stat().st_mtime if is_alive() else 0
        wait_for(lambda: is_alive() and (folder / f"{role}-alive").stat().st_mtime > started + 5)
        os.killpg(asked.pid, signal.SIGSTOP)
        wait_for(lambda: not is_alive())
        assert asked.poll() is None
        os.killpg(asked.pid, signal.SIGCONT)
        wait_for(is_alive)
        assert silent(prepared) == [1]
    finally:
        for process in (worker, working):
            os.killpg(process.pid, signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
            assert process.wait(100) == 0
    assert silent(prepared) == [0], "who goes says so"


def silent(prepared):
    """How many workers are known."""
    with psycopg.connect(prepared["DATABASE_OWNER_URL"]) as owner:
        found = owner.execute("SELECT count(*) FROM assistance_workerseen")
        return [count for (count,) in found]


def wait_for(happened):
    ends = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.2)


def test_manage_runs_commands_as_the_application(prepared):
    result = run(prepared, "manage", "create_token", "--platform", "--name", "image")
    assert '"token": "aim_plat_' in result.stdout


def test_an_unknown_role_is_refused(environment):
    assert run(environment, "wbe").returncode == 64


def test_compose_starts_every_role_the_entrypoint_has_and_mounts_what_they_read():
    compose = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
    ours = {
        name: one for name, one in compose["services"].items() if one["image"] == "aisuru-mistral"
    }
    roles = {name: service["command"] for name, service in ours.items()}
    assert roles == {name: [name] for name in ("migrate", "web", "worker", "beat")}
    for service in compose["services"].values():
        facts, secrets = service.get("environment", {}), service.get("secrets", [])
        # What has no value is handed on from the operator's own .env, which mounts it as well.
        files = [value for name, value in facts.items() if name.endswith("_FILE") and value]
        assert sorted(path.rpartition("/")[2] for path in files) == sorted(secrets)
        assert set(secrets) <= set(compose["secrets"])


def test_the_image_contains_what_the_roles_need_and_no_more():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [
        line.split()[1]
        for line in (ROOT / "docker" / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
    ]
    for path in copied:
        assert f"!{path}" in ignored, path
        assert (ROOT / path).exists(), path
