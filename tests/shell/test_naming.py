"""Names of variables: what is misspelt is told, of others nothing, and values tell no secret."""

from io import StringIO
from unittest import mock

import pytest
from django.core import checks
from django.core.management import call_command

from aisuru_mistral import naming
from aisuru_mistral.env import Environment
from tests.shell.test_doctor import GOOD

#: What images, orchestrators and shells put into an environment.
_ORDINARY = """
    PATH HOME HOSTNAME USER SHELL PWD TERM LANG LC_ALL TZ HTTP_PROXY HTTPS_PROXY NO_PROXY
    no_proxy PYTHONPATH PYTHONUNBUFFERED VIRTUAL_ENV XDG_DATA_DIRS XDG_DATA_HOME PORT HOST DEBUG
    KUBERNETES_SERVICE_HOST KUBERNETES_PORT_443_TCP REDIS_PORT REDIS_SERVICE_HOST REDIS_TLS_URL
    VAULT_PORT VAULT_CAPATH VAULT_SKIP_VERIFY AWS_REGION AWS_SECRET_ACCESS_KEY SECRET_KEY_BASE
    POSTGRES_PASSWORD PGHOST PGPASSWORD DATABASE_OWNER_URL_FILE MISTRAL_API_KEY LOGNAME MAIL
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT OTEL_TRACES_SAMPLER DJANGO_SETTINGS_MODULE GITHUB_API_URL
    DATABASE_USER DATABASE_USER_FILE DATABASE_PASSWORD DATABASE_HOST DATABASE_PORT DATABASE_NAME
    CI_PROJECT_URL TEST_DATABASE_URL PROMETHEUS_MULTIPROC_DIR SSL_CERT_FILE
"""


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("MISTRAL_API_URLS", "MISTRAL_API_URL"),
        ("REDISURL", "REDIS_URL"),
        ("WEB_CONCURENCY", "WEB_CONCURRENCY"),
        ("redis_url", "REDIS_URL"),
        ("SECRET_KEY_FILES", "SECRET_KEY_FILE"),
        ("EMAIL_FROM", "MAIL_FROM"),
    ],
)
def test_what_is_nearly_a_name_of_ours_is_told(written, meant):
    assert naming.misspelt([written]) == {written: meant}


def test_our_names_and_those_of_others_are_not():
    ours = [name for known in naming.names() for name in (known, f"{known}_FILE")]
    assert naming.misspelt([*_ORDINARY.split(), *ours]) == {}


def test_the_check_and_the_doctor_warn(monkeypatch):
    with mock.patch.dict("os.environ", {"WEB_CONCURENCY": "4"}):
        told = [str(one.msg) for one in checks.run_checks() if "WEB_CONCURENCY" in str(one.msg)]
    assert told == ["nobody reads WEB_CONCURENCY"]


def test_values_tell_what_is_in_force_and_where_from_and_no_secret(tmp_path):
    (tmp_path / "run.env").write_text("PORT=8765\n")
    (tmp_path / "token").write_text("m" * 8 + "-kept-to-themselves")
    facts = GOOD | {"DATA_DIR": str(tmp_path), "METRICS_TOKEN_FILE": str(tmp_path / "token")}
    facts["REDIS_URL"] = "redis://:pass-of-redis@cache:6379/0?password=pass-of-redis"
    found = {one.name: one for one in naming.values(Environment(facts))}
    assert found["PORT"] == ("PORT", "8765", "DATA_DIR/run.env")
    assert found["PUBLIC_URL"][1:] == (GOOD["PUBLIC_URL"], "environment")
    assert found["WEB_CONCURRENCY"][1:] == ("1", "default")
    assert found["METRICS_TOKEN"][1:] == ("•••", "METRICS_TOKEN_FILE")
    assert found["DATABASE_URL"].shown == "postgresql://•••@db/aisuru"
    assert found["REDIS_URL"].shown == "redis://•••@cache:6379/0?•••"
    assert found["CELERY_BROKER_URL"][1:] == ("pgmq://•••@db/aisuru", "default")
    told = str(found)
    for secret in (GOOD["SECRET_KEY"], GOOD["ENCRYPTION_KEYRING"], "secret-of", "pass-of", "kept"):
        assert secret not in told


def test_the_doctor_lists_them():
    written = StringIO()
    call_command("doctor", "--values", stdout=written)
    lines = written.getvalue().splitlines()
    assert len(lines) == len(naming.names())
    assert any(line.startswith("SECRET_KEY=•••  (") for line in lines)
