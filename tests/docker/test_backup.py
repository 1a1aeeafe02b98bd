"""A backup is made, looked into and restored: keys come back sealed, the keyring opens them."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aisuru_mistral.launcher import postgres, provision
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
def databases():
    """Make a database with everything in it, and an empty one to restore into."""
    name = f"backup_{os.getpid()}"
    return new_database(f"{name}_from", TEMPLATE), new_database(f"{name}_into")


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


@pytest.mark.rehearsal
def test_a_backup_is_restored_with_its_keys_sealed(databases, tmp_path):
    kept, restored = databases
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
    subprocess.run(
        ["pg_restore", "--exit-on-error", f"--dbname={restored}", dump], env=here, check=True
    )
    application = provision.with_login(restored, APP_LOGIN, APP_PASSWORD)
    there = here | {"DATABASE_URL": application, "DATABASE_OWNER_URL": restored}
    subprocess.run([ROOT / "docker" / "entrypoint.sh", "migrate"], env=there, check=True)

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
