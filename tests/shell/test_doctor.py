"""The doctor: names what is wrong with a deployment, with a next step and without a secret."""

import json
import re
import subprocess
import sys
from datetime import timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import httpx
import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from aisuru_mistral import indexes
from aisuru_mistral.doctor import anchors, configuration, database, neighbours, work
from aisuru_mistral.doctor.findings import State, examine
from aisuru_mistral.env import Environment, Traces
from aisuru_mistral.simulator.server import SimulatorServer
from tenants.common.problems import Unauthenticated
from tenants.gateway import refusals
from tenants.organizations import audit_anchors
from tests.collector import collecting
from tests.postgres import owner_url, service_environment
from tests.shell.test_env import GOOD_KEY, GOOD_SECRET
from tests.shell.test_walls import tampered
from tests.vault.rings import ring_of, some_key

GOOD = {
    "SECRET_KEY": GOOD_SECRET,
    "ENCRYPTION_KEYRING": f"k1:{GOOD_KEY}",
    "DATABASE_URL": "postgresql://app:secret-of-the-database@db/aisuru",
    "PUBLIC_URL": "https://models.example.com",
    "TRUSTED_PROXY_COUNT": "1",
    "EMAIL_URL": "smtp://mail:25",
}
NOWHERE = "http://127.0.0.1:9"


def states(looks):
    found = list(examine(looks))
    assert all(finding.remedy for finding in found if finding.state is not State.OK)
    return {finding.code: finding.state.value for finding in found}


@pytest.fixture
def configured(tmp_path):
    def make(**changes):
        facts = GOOD | {"DATA_DIR": str(tmp_path)} | changes
        return states(configuration.looks(Environment(facts)))

    return make


def test_a_good_environment_is_called_good(configured):
    assert configured() == {"configuration": "ok", "secrets": "ok"}


@pytest.mark.parametrize(
    ("changes", "code", "state"),
    [
        ({"DEBUG": "yes"}, "debug", "fail"),
        ({"ALLOWED_HOSTS": "*"}, "hosts", "fail"),
        ({"WEBHOOK_LOOPBACK": "yes"}, "webhooks", "fail"),
        ({"PUBLIC_URL": "http://127.0.0.1:8000"}, "public_url", "warn"),
        ({"PUBLIC_URL": "http://models.example.com"}, "public_url", "fail"),
        ({"TRUSTED_PROXY_COUNT": "0"}, "proxies", "warn"),
        ({"EMAIL_URL": "consolemail://"}, "mail", "warn"),
        ({"WEB_CONCURRENCY": "4"}, "redis", "warn"),
    ],
)
def test_what_is_unwise_is_named(configured, changes, code, state):
    assert configured(**changes)[code] == state


def test_four_processes_that_share_redis_are_fine(configured):
    assert "redis" not in configured(WEB_CONCURRENCY="4", REDIS_URL="redis://redis:6379/0")


def test_a_file_of_secrets_that_everybody_may_read_is_named(configured, tmp_path):
    file = tmp_path / "metrics-token"
    file.write_text("a token that is long enough")
    file.chmod(0o644)
    assert configured(METRICS_TOKEN_FILE=str(file))["secrets"] == "warn"
    file.chmod(0o640)
    assert configured(METRICS_TOKEN_FILE=str(file))["secrets"] == "ok"


def test_all_that_keeps_the_service_from_starting_is_named_at_once():
    here = service_environment(SECRET_KEY="short", PORT="99999", DEBUG="perhaps")
    result = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        env=here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    named = {line.split(": ")[1] for line in result.stderr.splitlines()}
    assert named == {"SECRET_KEY", "PORT", "DEBUG"}


def test_a_database_that_is_away_is_one_finding_with_its_reason_and_nothing_beside_it():
    here = service_environment(
        DATABASE_URL="postgresql://app:secret-of-the-database@127.0.0.1:9/aisuru",
        CELERY_BROKER_URL="redis://127.0.0.1:1/0",
        DJANGO_SETTINGS_MODULE="tests.shell.hurried",
    )
    result = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--json"],
        env=here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    found = {one["code"]: one for one in map(json.loads, result.stdout.splitlines())}
    assert found["database"]["state"] == "fail"
    assert found["database"]["said"].endswith("(Connection refused)")
    assert "secret-of-the-database" not in result.stdout
    assert result.stderr == ""


def test_a_database_that_refuses_is_told_with_its_reason(monkeypatch):
    parts = connection.get_connection_params() | {"user": "nobody_we_know"}
    monkeypatch.setattr(connection, "get_connection_params", lambda: parts)
    assert "nobody_we_know" in database._reason()


def test_the_database_of_the_suite_is_well():
    assert set(states(database.looks()).values()) == {"ok"}


def test_a_login_that_owns_the_tables_is_a_failure(monkeypatch):
    monkeypatch.setattr("aisuru_mistral.health.login_is_walled", lambda: False)
    assert states(database.looks())["login"] == "fail"


def test_a_keyring_that_lacks_a_key_in_use_is_a_failure(monkeypatch):
    missing = "tenants.organizations.rotation.missing_master_keys"
    monkeypatch.setattr(missing, lambda: ["k0"])
    [finding] = database.looks()["keyring"]()
    assert (finding.state, "k0" in finding.said) == (State.FAIL, True)


def test_a_master_key_of_the_right_name_and_with_other_bytes_is_a_failure(
    organization, monkeypatch
):
    only_this_one = "aisuru_mistral.doctor.database.walking.organization_ids"
    monkeypatch.setattr(only_this_one, lambda: iter([organization.id]))
    assert states({"keyring": database.looks()["keyring"]}) == {"keyring": "ok"}
    monkeypatch.setattr("tenants.vault.envelope.keyring", lambda: ring_of(some_key("t1")))
    assert states({"keyring": database.looks()["keyring"]}) == {"keyring": "fail"}


def test_clocks_that_differ_are_told(monkeypatch):
    later = timezone.now() + timedelta(seconds=5)
    monkeypatch.setattr("aisuru_mistral.doctor.database.timezone.now", lambda: later)
    assert states(database.looks())["clock"] == "warn"


@pytest.mark.parametrize(
    ("taken", "processes", "state"), [(90, 1, "fail"), (30, 5, "warn"), (30, 1, "ok")]
)
def test_connections_are_reckoned_and_what_is_not_counted_is_said(
    taken, processes, state, settings, monkeypatch
):
    settings.WEB_CONCURRENCY = processes
    monkeypatch.setattr("aisuru_mistral.upkeep.connections", lambda: (taken, 97))
    [finding] = database.looks()["connections"]()
    assert finding.state == state
    if state == "ok":
        assert "may want 17 each, and others are not counted here" in finding.said


def test_an_index_that_was_not_finished_is_told():
    with psycopg.connect(owner_url(), autocommit=True) as owner:
        owner.execute("CREATE TABLE doctor_patient AS SELECT 1 AS n UNION ALL SELECT 1")
        try:
            with pytest.raises(psycopg.errors.UniqueViolation):
                owner.execute("CREATE UNIQUE INDEX CONCURRENTLY doctor_ill ON doctor_patient (n)")
            assert states(database.looks())["indexes"] == "warn"
        finally:
            owner.execute("DROP TABLE doctor_patient")


def test_chains_that_no_anchor_vouches_for_are_told(organization, settings, tmp_path):
    settings.AUDIT_ANCHORS = tmp_path / "audit-anchors.jsonl"
    assert states(anchors.looks()) == {"anchors": "warn"}
    settings.AUDIT_ANCHORS.write_text("")
    assert states(anchors.looks()) == {"anchors": "warn"}, "another container's /tmp"
    audit_anchors.write()
    assert states(anchors.looks()) == {"anchors": "ok"}
    settings.AUDIT_ANCHORS = None
    assert states(anchors.looks()) == {"anchors": "ok"}, "they are in the log"


def test_the_suites_indexes_are_all_known():
    names, extensions = indexes.wanted()
    assert (indexes.missing(), indexes.extensions_missing()) == ({}, [])
    assert extensions == {"pg_trgm", "btree_gin"}
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = indexrelid
               JOIN pg_class t ON t.oid = indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
               WHERE nspname = 'public' AND NOT t.relispartition
                 AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.oid)"""
        )
        there = {name for (name,) in cursor.fetchall()}
    of_columns = {name for name in there if re.search(r"_[0-9a-f]{8}(_like)?$", name)}
    assert there - of_columns <= set(names)


def test_an_index_that_is_gone_is_named_with_what_makes_it():
    away = "ALTER INDEX key_by_expiry_idx RENAME TO another"
    with tampered(away, "ALTER INDEX another RENAME TO key_by_expiry_idx"):
        [finding] = database.looks()["indexes"]()
    assert (finding.state, "key_by_expiry_idx" in finding.said) == (State.WARN, True)
    assert "sqlmigrate keys 0010_lists_in_order`" in finding.remedy


def test_an_extension_that_is_gone_is_named_and_so_are_its_indexes():
    with psycopg.connect(owner_url()) as owner:
        asked = "SELECT pg_get_indexdef('key_sought_idx'::regclass)"
        [(again,)] = owner.execute(asked).fetchall()
    with tampered("DROP EXTENSION pg_trgm CASCADE", f"CREATE EXTENSION pg_trgm; {again}"):
        told = [(one.state, one.said) for one in database.looks()["indexes"]()]
    assert [state for state, _said in told] == [State.FAIL, State.WARN]
    assert ("pg_trgm" in told[0][1], "key_sought_idx" in told[1][1]) == (True, True)
    assert states({"indexes": database.looks()["indexes"]}) == {"indexes": "ok"}


def test_what_breaks_off_is_a_finding_that_quotes_nothing():
    def broken():
        raise RuntimeError("postgresql://app:secret-of-the-database@db/aisuru")

    [finding] = examine({"broken": broken})
    assert (finding.state, finding.code) == (State.FAIL, "broken")
    assert "secret-of-the-database" not in finding.said + finding.remedy


def test_neighbours_that_are_away_are_told_one_by_one(settings):
    settings.MISTRAL_API_URL = settings.AISURU_API_URL = settings.PUBLIC_URL = NOWHERE
    settings.EMAIL_URL = "smtp://127.0.0.1:9"
    settings.MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "OPTIONS": {"host": "127.0.0.1", "port": 9},
        }
    }
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert states(neighbours.looks()) == {
        "key_service": "ok",
        "broker": "ok",
        "redis": "warn",
        "mail": "fail",
        "mistral": "fail",
        "aisuru": "fail",
        "gateway": "warn",
    }


def test_mistral_is_known_by_how_it_refuses_strangers(settings):
    with SimulatorServer() as simulator:
        settings.MISTRAL_API_URL = simulator.url
        assert states({"mistral": neighbours.looks()["mistral"]}) == {"mistral": "ok"}
        settings.MISTRAL_API_URL = f"{simulator.url}/somewhere-else"
        assert states({"mistral": neighbours.looks()["mistral"]}) == {"mistral": "warn"}


OURS = refusals.ours(Unauthenticated("invalid_token", "Send a valid model token."), "r-1")[2]


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (b'{"detail":"Unauthorized"}', "ok"),
        (b'{"detail":"Invalid API Key"}', "ok"),
        (b'{"message":"Unauthorized","request_id":"0123"}', "ok"),
        (b'{"detail":[{"msg":"Unauthorized"}]}', "warn"),
        (b'{"message":"Please sign in to the proxy"}', "warn"),
        (b"<h1>Unauthorized</h1>", "warn"),
        (b'"Unauthorized"', "warn"),
        (OURS, "fail"),
    ],
)
def test_a_refusal_that_is_not_mistrals_is_told(body, state, monkeypatch):
    monkeypatch.setattr(neighbours, "_get", lambda _url: httpx.Response(401, content=body))
    assert states({"mistral": neighbours.looks()["mistral"]}) == {"mistral": state}


def test_a_queue_that_is_gone_is_made_by_migrating():
    look = {"broker": neighbours.looks()["broker"]}
    assert states(look) == {"broker": "ok"}
    away = "ALTER SCHEMA pgmq RENAME TO elsewhere"
    with tampered(away, "ALTER SCHEMA elsewhere RENAME TO pgmq"):
        [finding] = examine(look)
    assert (finding.state, "entrypoint.sh migrate" in finding.remedy) == (State.FAIL, True)


def test_a_queue_whose_database_is_away_is_not_called_gone(settings):
    settings.BROKER_URL = "pgmq://a:b@127.0.0.1:9/x"
    assert not neighbours._has_no_queue()


def test_spans_are_tried_as_they_go(settings, caplog, monkeypatch):
    monkeypatch.setattr(neighbours, "_PATIENCE", 1)

    def told(url, headers=None):
        settings.TRACES = Traces("ours", url, headers)
        [finding] = examine({"traces": neighbours.looks()["traces"]})
        return finding

    with collecting(token="a b") as collector:
        where, headers = f"{collector.url}/v1/traces", "authorization=Bearer%20a%20b"
        assert told(where, headers).state is State.OK
        assert len(collector.bodies) == 1
        assert collector.spans() == []
        assert told(where).state is State.WARN
        assert told(f"{where}s", headers).state is State.WARN
    away = told("http://user:the-password-of-it@127.0.0.1:9/v1/traces")
    assert away.state is State.WARN
    assert away.said.startswith("127.0.0.1:9 takes no spans")
    assert caplog.text == "", "it is told as a finding"
    settings.TRACES = None
    assert "traces" not in neighbours.looks()


def test_a_worker_that_says_nothing_is_a_failure(monkeypatch):
    monkeypatch.setattr("tenants.assistance.workers.workers", list)
    assert states({"workers": work.looks()["workers"]}) == {"workers": "fail"}


@pytest.fixture
def told_of_disk(settings, monkeypatch, tmp_path):
    """What is said of a folder, with so many bytes free."""

    def told(free=5 * 1024**2, folder=tmp_path):
        usage = SimpleNamespace(free=free)
        monkeypatch.setattr("aisuru_mistral.doctor.work.shutil.disk_usage", lambda _folder: usage)
        settings.DATA_DIR = folder
        [finding] = examine({"disk": work.looks()["disk"]})
        return finding

    return told


def test_a_full_disk_is_seen_coming(told_of_disk, tmp_path):
    finding = told_of_disk()
    assert finding.state is State.WARN
    assert "PostgreSQL" not in finding.said + finding.remedy, "it is somewhere else"
    assert told_of_disk(free=60 * 1024**2).state is State.OK, "a container's /tmp is small"
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("18")
    finding = told_of_disk(free=60 * 1024**2)
    assert (finding.state, "PostgreSQL stops" in finding.remedy) == (State.WARN, True)
    assert told_of_disk(free=2 * 1024**3).state is State.OK
    assert sorted(path.name for path in tmp_path.iterdir()) == ["postgres"], "nothing is left"


@pytest.mark.parametrize(
    "folder", ["/proc", "/nonexistent/data"], ids=["not written to", "missing"]
)
def test_a_folder_that_takes_nothing_is_told_as_that(told_of_disk, folder):
    finding = told_of_disk(free=2 * 1024**3, folder=Path(folder))
    assert (finding.state, folder in finding.said) == (State.FAIL, True)
    assert "PostgreSQL" not in finding.said + finding.remedy


def test_a_folder_that_is_full_is_told_as_that(told_of_disk, tmp_path):
    full = Path("/dev/full")
    with full.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space") as refusal:
        file.write(b"x")
    with mock.patch("tempfile.TemporaryFile", side_effect=refusal.value):
        finding = told_of_disk(free=0)
    assert (finding.state, "No space left" in finding.said) == (State.FAIL, True)


def test_the_command_speaks_to_machines_too_and_fails_when_something_does(settings):
    settings.MISTRAL_API_URL = NOWHERE
    settings.PUBLIC_URL = NOWHERE
    printed = StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", "--json", stdout=printed)
    found = [json.loads(line) for line in printed.getvalue().splitlines()]
    assert {"database", "broker", "disk"} <= {finding["code"] for finding in found}
    assert [f["state"] for f in found if f["code"] == "mistral"] == ["fail"]
