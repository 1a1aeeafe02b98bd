"""The environment: good values are typed, bad ones refuse to start with one useful line."""

import base64
import re
import secrets
import subprocess
import sys

import pytest
from pgmq.base import PGMQConfig
from psycopg.conninfo import conninfo_to_dict

from aisuru_mistral import master_keys, reference
from aisuru_mistral.broker import celery_settings
from aisuru_mistral.env import (
    ROOT,
    ConfigurationError,
    Environment,
    Traces,
    django_database,
)

GOOD_SECRET = secrets.token_urlsafe(64)
RANDOM = secrets.token_bytes(32)
GOOD_KEY = base64.b64encode(RANDOM).decode()
COUNTED = base64.b64encode(bytes(range(32))).decode()
COUNTED_DOWN = base64.b64encode(bytes(range(250, 26, -7))).decode()
RANDOM_IN_SECRET = base64.b64encode(secrets.token_bytes(32)).decode()
OTHER_KEY = base64.b64encode(secrets.token_bytes(32)).decode()


def holding(secret: str) -> dict[str, str]:
    """Make a SECRET_KEY that has the newest master key in it."""
    keyring = f"k2:{GOOD_KEY},k1:{OTHER_KEY}"
    return {"SECRET_KEY": f"{secret}{GOOD_SECRET}", "ENCRYPTION_KEYRING": keyring}


@pytest.fixture
def environment(tmp_path):
    def make(**variables):
        return Environment({"DATA_DIR": str(tmp_path), **variables})

    return make


@pytest.mark.parametrize(
    ("attribute", "variables"),
    [
        ("secret_key", {}),
        ("secret_key", {"SECRET_KEY": "short"}),
        ("secret_key", {"SECRET_KEY": "changeme" * 10}),
        ("secret_key", {"SECRET_KEY": "ab" * 40}),
        ("secret_key", holding(GOOD_KEY)),
        ("secret_key", holding(f"k1:{GOOD_KEY}")),
        ("secret_key", holding(RANDOM.hex())),
        ("secret_key", holding(base64.urlsafe_b64encode(RANDOM).decode().rstrip("="))),
        ("encryption_keyring", {}),
        ("encryption_keyring", {"ENCRYPTION_KEYRING": "nocolon"}),
        ("encryption_keyring", {"ENCRYPTION_KEYRING": "k1:not base64!"}),
        ("encryption_keyring", {"ENCRYPTION_KEYRING": "k1:c2hvcnQ="}),
        ("encryption_keyring", {"ENCRYPTION_KEYRING": "k1:" + "A" * 43 + "="}),
        ("encryption_keyring", {"ENCRYPTION_KEYRING": f"k1:{GOOD_KEY},k1:{GOOD_KEY}"}),
        ("encryption_keyring", {"ENCRYPTION_KEYRING": f"k2:{GOOD_KEY},k1:{GOOD_KEY}"}),
        ("encryption_keyring", {"ENCRYPTION_KEYRING": f"k1:{COUNTED}"}),
        ("encryption_keyring", {"ENCRYPTION_KEYRING": f"k1:{COUNTED_DOWN}"}),
        ("encryption_keyring", {"ENCRYPTION_KEYRING": "v1:vault:"}),
        ("encryption_keyring", {"ENCRYPTION_KEYRING": "v1:vault:a/../b"}),
        ("encryption_keyring", {"ENCRYPTION_KEYRING": "a1:kms:alias/aisuru"}),
        ("encryption_keyring", {"ENCRYPTION_KEYRING": "a1:gcp:aisuru"}),
        ("database_url", {}),
        ("database_url", {"DATABASE_URL": "mysql://host/name"}),
        ("database_url", {"DATABASE_URL": "postgresql://host:port/name"}),
        ("database_url", {"DATABASE_URL": "postgresql://postgres@127.0.0.1:5432"}),
        ("database_direct_url", {"DATABASE_DIRECT_URL": "postgresql://host/?sslmode=require"}),
        ("metrics_token", {"METRICS_TOKEN": "x"}),
        ("metrics_token", {"METRICS_TOKEN": "changeme-changeme-changeme"}),
        (
            "traces",
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "c"},
        ),
        ("celery_broker_url", {"CELERY_BROKER_URL": "carrier-pigeon://loft"}),
        ("mistral_api_url", {"MISTRAL_API_URL": "https://api.mistral.ai/v1"}),
        ("mistral_api_url", {"MISTRAL_API_URL": "api.mistral.ai"}),
        ("public_url", {"PUBLIC_URL": "ftp://x"}),
        ("redis_url", {"REDIS_URL": "x"}),
        ("aisuru_api_url", {"AISURU_API_URL": "x"}),
        ("aisuru_api_url", {"AISURU_API_URL": "http://backend.example.com/api/v2"}),
        ("aisuru_api_url", {"AISURU_API_URL": "https://backend.example.com"}),
        ("email_url", {"EMAIL_URL": "x"}),
        ("debug", {"DEBUG": "maybe"}),
        ("port", {"PORT": "eighty"}),
        ("port", {"PORT": "70000"}),
        ("web_concurrency", {"WEB_CONCURRENCY": "0"}),
        ("log_level", {"LOG_LEVEL": "LOUD"}),
        ("audit_anchors", {"AUDIT_ANCHORS": "anchors.jsonl"}),
        ("audit_anchors", {"AUDIT_ANCHORS": "log", "LOG_LEVEL": "WARNING"}),
    ],
)
def test_a_bad_value_is_refused_in_one_line_that_names_the_variable(
    environment, attribute, variables
):
    with pytest.raises(ConfigurationError) as refusal:
        getattr(environment(**variables), attribute)
    text = str(refusal.value)
    assert text.startswith(refusal.value.name)
    assert "\n" not in text
    assert all(value not in text for value in variables.values() if len(value) > 40)


def test_good_values_are_typed(environment):
    found = environment(
        SECRET_KEY=GOOD_SECRET, ENCRYPTION_KEYRING=f"k2:{GOOD_KEY}", PORT="8123", DEBUG="yes"
    )
    assert found.secret_key == GOOD_SECRET
    assert found.encryption_keyring == (("k2", RANDOM),)
    assert (found.port, found.debug) == (8123, True)
    assert found.public_url == "http://127.0.0.1:8123"


@pytest.mark.parametrize(
    "older",
    [
        pytest.param(f"k2:{COUNTED}", id="counts"),
        pytest.param(f"k2:{GOOD_KEY},k1:{GOOD_KEY}", id="under two ids"),
        pytest.param(f"k2:{RANDOM_IN_SECRET}", id="in SECRET_KEY"),
    ],
)
def test_a_poor_master_key_can_be_left_by_a_rotation(environment, older):
    """It opens what it sealed as soon as a good one stands before it."""
    found = environment(
        SECRET_KEY=f"{RANDOM_IN_SECRET}{GOOD_SECRET}",
        ENCRYPTION_KEYRING=f"k3:{OTHER_KEY},{older}",
    )
    assert [key_id for key_id, _ in found.encryption_keyring][:2] == ["k3", "k2"]
    assert found.secret_key.endswith(GOOD_SECRET)


@pytest.mark.parametrize(
    "place", ["vault:aisuru-mistral", "kms:arn:aws:kms:eu-south-1:111122223333:alias/aisuru"]
)
def test_a_new_entry_may_name_the_same_key_of_a_service(monkeypatch, environment, place):
    """There it has another version by now, which is to wrap everything anew (docs/custody.md)."""
    monkeypatch.setattr(master_keys, "find_spec", lambda _name: object())
    found = environment(ENCRYPTION_KEYRING=f"v2:{place},v1:{place}")
    assert found.encryption_keyring == (("v2", place), ("v1", place))


IN_VAULT = f"v1:vault:aisuru-mistral,k1:{GOOD_KEY}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VAULT_ADDR", ""),
        ("VAULT_ADDR", "vault.example.com"),
        ("VAULT_ADDR", "http://vault.example.com:8200"),
        ("VAULT_ADDR", "https://vault.example.com/v1"),
        ("VAULT_TOKEN", ""),
        ("VAULT_TRANSIT_MOUNT", "../sys"),
        ("VAULT_NAMESPACE", "a b"),
        ("VAULT_CACERT", "/no/such/file"),
    ],
)
def test_a_keyring_in_vault_needs_a_good_way_to_vault(environment, name, value):
    good = {"VAULT_ADDR": "https://vault.example.com:8200", "VAULT_TOKEN": "hvs.made-up"}
    found = environment(ENCRYPTION_KEYRING=IN_VAULT, **good)
    assert found.encryption_keyring[0] == ("v1", "vault:aisuru-mistral")
    assert (found.vault.address, found.vault.mount) == (good["VAULT_ADDR"], "transit")
    assert "hvs.made-up" not in repr(found.vault)
    with pytest.raises(ConfigurationError, match=rf"\A{name}\b"):
        _ = environment(ENCRYPTION_KEYRING=IN_VAULT, **good | {name: value}).vault


def test_vault_is_asked_for_only_by_a_keyring_that_needs_it(environment, tmp_path):
    arn = "arn:aws:kms:eu-south-1:111122223333:alias/aisuru"
    found = environment(ENCRYPTION_KEYRING=f"k1:{GOOD_KEY},a1:kms:{arn}")
    assert found.encryption_keyring[1] == ("a1", f"kms:{arn}")
    assert found.vault is None
    (tmp_path / "token").write_text("hvs.made-up\n")
    there = {"VAULT_ADDR": "http://127.0.0.1:8100", "VAULT_TOKEN_FILE": str(tmp_path / "token")}
    vault = environment(ENCRYPTION_KEYRING=IN_VAULT, **there).vault
    assert (vault.token, vault.token_file) == ("hvs.made-up", tmp_path / "token")


def test_a_key_in_kms_needs_its_client(environment, monkeypatch):
    monkeypatch.setattr("aisuru_mistral.master_keys.find_spec", lambda _name: None)
    arn = "arn:aws:kms:eu-south-1:111122223333:alias/aisuru"
    with pytest.raises(ConfigurationError, match=r"boto3.*requirements/kms\.txt"):
        _ = environment(ENCRYPTION_KEYRING=f"a1:kms:{arn}").encryption_keyring


def test_a_secret_may_come_from_a_file(environment, tmp_path):
    (tmp_path / "secret").write_text(GOOD_SECRET + "\n")
    assert environment(SECRET_KEY_FILE=str(tmp_path / "secret")).secret_key == GOOD_SECRET


def test_where_spans_go_may_come_from_files_too(environment, tmp_path):
    assert environment().traces is None
    (tmp_path / "headers").write_text("authorization=Bearer%20x\n")
    (tmp_path / "endpoint").write_text("http://collector:4318/\n")
    changes = {
        "OTEL_EXPORTER_OTLP_ENDPOINT_FILE": str(tmp_path / "endpoint"),
        "OTEL_EXPORTER_OTLP_HEADERS_FILE": str(tmp_path / "headers"),
    }
    there, headers = "http://collector:4318/v1/traces", "authorization=Bearer%20x"
    assert environment(**changes).traces == Traces("aisuru-mistral", there, headers)
    changes |= {"OTEL_SERVICE_NAME": "ours", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/t"}
    assert environment(**changes).traces == Traces("ours", "http://c/t", headers)
    assert environment(OTEL_SDK_DISABLED="true", **changes).traces is None


def test_the_example_has_every_variable():
    example = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"`([A-Z][A-Z_]+)`", reference.page())) - {"NAME_FILE", "INFO"}
    assert {one for one in named if not re.search(rf"^#?{one}=", example, re.MULTILINE)} == set()


def test_an_empty_or_missing_secret_file_is_refused(environment, tmp_path):
    (tmp_path / "empty").touch()
    for path in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(ConfigurationError, match="SECRET_KEY_FILE"):
            _ = environment(SECRET_KEY_FILE=str(path)).secret_key


def test_the_environment_wins_over_the_launchers_files(environment, tmp_path):
    (tmp_path / "secrets.env").write_text("PORT=1\nSECRET_KEY=x\n")
    (tmp_path / "run.env").write_text("# written at start\n\nPORT=2\n")
    assert environment().port == 2
    assert environment(PORT="3").port == 3


def test_a_broken_line_in_the_launchers_files_is_refused(environment, tmp_path):
    (tmp_path / "run.env").write_text("PORT 2\n")
    with pytest.raises(ConfigurationError, match="line 1"):
        _ = environment().port


def test_a_database_address_may_name_a_socket_folder():
    found = django_database("postgresql://app:p%40ss@/aisuru?host=/run/socket")
    assert (found["HOST"], found["NAME"], found["PASSWORD"]) == ("/run/socket", "aisuru", "p@ss")


def test_the_service_does_not_start_without_its_secrets(tmp_path):
    result = subprocess.run(
        [sys.executable, "manage.py", "check"],
        env={"PATH": "/usr/bin:/bin", "DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("aisuru-mistral does not start: SECRET_KEY: is not set; make")
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("pgmq://u:p@h:5433/db", {"host": "h", "port": "5433", "dbname": "db"}),
        ("pgmq://u:p%40s%20s'@/db?host=/run/a%20b", {"host": "/run/a b", "password": "p@s s'"}),
        (
            "pgmq://u:p@/db?host=a,b&port=1,2&target_session_attrs=read-write&sslmode=verify-full",
            {
                "host": "a,b",
                "port": "1,2",
                "dbname": "db",
                "target_session_attrs": "read-write",
                "sslmode": "verify-full",
                "tcp_user_timeout": "10000",
            },
        ),
    ],
)
def test_pgmq_reaches_the_same_database_as_everyone_else(url, expected):
    options = celery_settings(url)["broker_transport_options"]
    assert expected.items() <= conninfo_to_dict(PGMQConfig(options["conn_string"]).dsn).items()


def test_the_reference_says_what_the_code_says():
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page()
