"""A backup is made, looked into and restored: keys come back sealed, the keyring opens them."""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg
import pytest

from aisuru_mistral.launcher import postgres, provision
from tenants.common.models import new_id
from tests.papers.pages import blocks
from tests.postgres import APP_LOGIN, APP_PASSWORD, TEMPLATE, new_database, service_environment

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = postgres.program("pg_dump").parent
SECRET = "AbCdEfGhIjKlMnOpQrStUvWxYz012345"
REGISTER = f"""
from tenants.common.secrets import Secret
from tenants.keys import services
from tests import factories
organization = factories.organization("Backup Srl")
services.register_key(
    actor=factories.ACTOR,
    workspace=factories.default_workspace(organization),
    plain=Secret({SECRET!r}),
    name="kept",
)
"""
OPEN = """
from tenants.common import scope
from tenants.keys import custody
from tenants.keys.models import MistralKey
from tenants.organizations import walking
for organization_id in walking.organization_ids():
    with scope.tenant(organization_id):
        for key in MistralKey.objects.all():
            print(key.name, custody.borrow(key).reveal())
"""


@pytest.fixture
def kept():
    """Make a database with everything in it."""
    return new_database(f"backup_{new_id().hex[-8:]}", TEMPLATE)


@pytest.fixture
def restored():
    """Give the address of a database that is not there yet, on a server of somebody else's."""
    folder = Path(tempfile.mkdtemp(prefix="aim-"))
    server = postgres.EmbeddedPostgres(folder / "postgres", durable=False, tell=lambda _line: None)
    server.start()
    with psycopg.connect(server.superuser_url(), autocommit=True) as connection:
        connection.execute("CREATE ROLE carla LOGIN CREATEROLE CREATEDB PASSWORD 'a-made-up-one'")
    yield provision.with_login(server.superuser_url("aisuru"), "carla", "a-made-up-one")
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


def restore(dump, database, here):
    """Type what the page says on a new server; give what `doctor` says at the end."""
    [page] = [one for one in blocks("docs/operations.md") if "\ncreatedb" in f"\n{one.text}"]
    parts = urlsplit(database)
    owner = {
        "PGHOST": unquote(parse_qs(parts.query)["host"][0]),
        "PGUSER": parts.username,
        "PGPASSWORD": parts.password,
        "DATABASE_URL": provision.with_login(database, APP_LOGIN, APP_PASSWORD),
        "DATABASE_OWNER_URL": database,
    }
    done = subprocess.run(
        ["bash", "-ec", page.text.replace("aisuru-….dump", str(dump))],
        cwd=ROOT,
        env=here | owner,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "✓ configuration" in done.stdout, done.stderr
    return done.stdout


def manage(database, *words, **changes):
    """Run a command as the application, on a database."""
    address = provision.with_login(database, APP_LOGIN, APP_PASSWORD)
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=service_environment(DATABASE_URL=address, **changes),
        capture_output=True,
        text=True,
        check=False,
    )


def surroundings(database, folder):
    """Give what compose.yaml gives the backup, and the programs of its image."""
    here = service_environment(DATABASE_OWNER_URL=database, BACKUPS=str(folder))
    return here | {"PATH": f"{PROGRAMS}:{Path(sys.executable).parent}:{here['PATH']}"}


def back_up(here):
    script = ROOT / "docker" / "backup.sh"
    return subprocess.run([script, "once"], env=here, capture_output=True, text=True, check=False)


def marked(database):
    """When the last backup was made, as the service is told; its failures are no failed task's."""
    with psycopg.connect(database) as owner:
        found = owner.execute("SELECT done_at FROM assistance_chore WHERE name = 'backup'")
        return [at for (at,) in found]


def test_a_backup_that_was_made_is_told_to_the_service_and_one_that_was_not_is_not(kept, tmp_path):
    here = surroundings(kept, tmp_path)
    assert back_up(here | {"BACKUPS": str(tmp_path / "gone")}).returncode == 1
    assert marked(kept) == []
    for _again in range(2):
        before = marked(kept)
        done = back_up(here)
        assert (done.returncode, done.stderr) == (0, "")
        [at] = marked(kept)
        assert [at] != before


def test_a_dump_is_one_where_nobody_can_be_told(kept, tmp_path):
    """As in a database that is older than the table."""
    with psycopg.connect(kept) as owner:
        owner.execute("DROP TABLE assistance_chore")
    done = back_up(surroundings(kept, tmp_path))
    assert done.returncode == 0
    assert "the dump was made" in done.stderr
    assert len(list(tmp_path.glob("*.dump"))) == 1


@pytest.mark.rehearsal
def test_a_backup_is_restored_with_its_keys_sealed(kept, restored, tmp_path):
    made = manage(kept, "shell", "--no-imports", "-c", REGISTER)
    assert made.returncode == 0, made.stderr
    here = surroundings(kept, tmp_path)
    backup = back_up(here)
    assert backup.returncode == 0, backup.stderr
    [dump] = tmp_path.iterdir()
    assert backup.stdout.strip() == str(dump)
    assert dump.stat().st_mode & 0o077 == 0
    plain = subprocess.run(
        ["pg_restore", "--file=-", dump], env=here, capture_output=True, check=True
    ).stdout
    assert b"Backup Srl" in plain
    assert SECRET.encode() not in plain
    assert SECRET.encode().hex().encode() not in plain
    told = restore(dump, restored, here)
    assert "✓ migrations" in told
    assert "✓ login" in told
    assert "✓ keyring" in told

    opened = manage(restored, "shell", "--no-imports", "-c", OPEN)
    assert opened.stdout.split() == ["kept", SECRET], opened.stderr

    another = "k9:" + base64.b64encode(os.urandom(32)).decode()
    stolen = manage(restored, "shell", "--no-imports", "-c", OPEN, ENCRYPTION_KEYRING=another)
    assert stolen.returncode != 0
    assert "UndecryptableError" in stolen.stderr
    assert SECRET not in stolen.stdout + stolen.stderr
    doctor = manage(restored, "doctor", "--json", ENCRYPTION_KEYRING=another)
    states = {one["code"]: one["state"] for one in map(json.loads, doctor.stdout.splitlines())}
    assert (states["migrations"], states["login"], states["keyring"]) == ("ok", "ok", "fail")


def test_a_database_that_is_away_is_no_backup(tmp_path):
    result = back_up(surroundings("postgresql://nobody@127.0.0.1:9/none", tmp_path))
    assert result.returncode == 1
    assert "no dump was made" in result.stderr
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".dump"]
