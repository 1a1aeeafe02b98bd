"""pytest plugin: one throw-away PostgreSQL per run, one migrated database per worker.

It runs before pytest-django reads the settings, so that the suite connects the way the service
does: as the unprivileged application login. Databases are copies of one migrated template. With
``TEST_DATABASE_URL`` they are made on that server instead, and dropped when the run ends.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from aisuru_mistral.launcher import provision
from aisuru_mistral.launcher.postgres import EmbeddedPostgres
from tests.borrowed_postgres import BorrowedPostgres

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = "aim_template"
APP_LOGIN = "aim_test_app"
APP_PASSWORD = "test-application-password"
OWNER_URL = "AIM_TEST_OWNER_URL"
BORROWED = "TEST_DATABASE_URL"

_server: EmbeddedPostgres | BorrowedPostgres | None = None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Iterator[None]:
    """Have a database ready, and its address in the environment, before settings are read."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        start()
    os.environ["DATABASE_URL"] = database_for(worker or "main")
    yield


def pytest_report_header() -> str | None:
    """Say on which PostgreSQL it runs, and whose that is."""
    if OWNER_URL not in os.environ:
        return None
    with psycopg.connect(os.environ[OWNER_URL]) as connection:
        version = connection.info.parameter_status("server_version")
    whose = BORROWED if os.environ.get(BORROWED) else "the suite's own"
    return f"PostgreSQL: {version}, {whose}"


def pytest_unconfigure() -> None:
    """Stop the server that this process started, and forget its data."""
    global _server  # noqa: PLW0603 - one server per run
    if _server is not None:
        _server.stop()
        if isinstance(_server, EmbeddedPostgres):
            shutil.rmtree(_server.data_dir.parent, ignore_errors=True)
        _server = None


def owner_url() -> str:
    """Address of this worker's database as its owner: migrations and tampering tests only."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return provision.with_database(os.environ[OWNER_URL], f"test_{worker}")


def new_database(name: str, template: str = "template1") -> str:
    """Make a database of a test's own on the suite's server; give its address as its owner.

    Nobody drops it: the server is thrown away, and a drop waits for every backend of all others.
    """
    with psycopg.connect(os.environ[OWNER_URL], autocommit=True) as connection:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
    return provision.with_database(os.environ[OWNER_URL], name)


def template_url() -> str:
    """Address of the migrated template as its owner; nobody can copy it while somebody is there."""
    return provision.with_database(os.environ[OWNER_URL], TEMPLATE)


def be_worker(name: str) -> None:
    """Have this process, and those that it forks, be a worker of that name on the server."""
    os.environ["PYTEST_XDIST_WORKER"] = name
    os.environ["DATABASE_URL"] = database_for(name)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"


def drop(worker: str) -> None:
    """Drop a worker's database, whoever is connected."""
    with psycopg.connect(os.environ[OWNER_URL], autocommit=True) as connection:
        command = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        connection.execute(command.format(sql.Identifier(f"test_{worker}")))


def disown() -> None:
    """Leave the server to the process that this one was forked from."""
    global _server  # noqa: PLW0603 - one server per run
    _server = None


def service_environment(**changes: str) -> dict[str, str]:
    """Environment for a process of the service itself, on this worker's database."""
    return os.environ | {"DJANGO_SETTINGS_MODULE": "aisuru_mistral.settings"} | changes


def start() -> None:
    """Start the server and make the migrated template on it."""
    global _server  # noqa: PLW0603 - one server per run
    borrowed = os.environ.get(BORROWED)
    _server = BorrowedPostgres(borrowed, APP_LOGIN) if borrowed else _own()
    atexit.register(pytest_unconfigure)  # also when the run ends before it begins
    _server.start()
    os.environ[OWNER_URL] = _server.owner_url()
    provision.provision(_server.owner_url(), TEMPLATE, APP_LOGIN, APP_PASSWORD)
    if isinstance(_server, BorrowedPostgres):
        _server.hurry(APP_LOGIN)
    settings = {
        "DATABASE_URL": provision.with_database(_server.owner_url(), TEMPLATE),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    commands = [["migrate", "--verbosity", "0"]]
    if (ROOT / "tenants/spend/management/commands/load_prices.py").exists():
        commands.append(["load_prices"])
    for command in commands:
        subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=os.environ | settings,
            stdout=subprocess.DEVNULL,
            check=True,
        )


def _own() -> EmbeddedPostgres:
    return EmbeddedPostgres(
        Path(tempfile.mkdtemp(prefix="aim-test-")) / "postgres",
        durable=False,
        connections=200,
        tell=lambda _line: None,
    )


def database_for(worker: str) -> str:
    """Copy the template for a worker that has no copy; give the address as the application."""
    name = f"test_{worker}"
    with psycopg.connect(os.environ[OWNER_URL], autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(1)")  # copying wants the template to itself
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name])
        if not found.rowcount:
            copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(copy.format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
            grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
            connection.execute(grant.format(sql.Identifier(name), sql.Identifier(APP_LOGIN)))
    url = provision.with_database(os.environ[OWNER_URL], name)
    return provision.with_login(url, APP_LOGIN, APP_PASSWORD)
