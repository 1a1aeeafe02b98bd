"""Whether the service lives, is ready, and whom it shows its figures."""

import re
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
import yaml
from psycopg_pool import ConnectionPool

from aisuru_mistral import health, wishes
from aisuru_mistral.doctor import neighbours
from tests.api.callers import Caller
from tests.postgres import owner_url


def test_a_living_service_says_so(nobody):
    assert nobody.get("/health/live").body == {"status": "live"}


def test_a_service_with_its_migrations_behind_the_wall_is_ready(nobody):
    answer = nobody.get("/health/ready")
    assert (answer.status, answer.body) == (200, {"status": "ready", "failing": []})


def test_a_migration_that_is_missing_makes_it_not_ready(nobody):
    with psycopg.connect(owner_url(), autocommit=True) as owner:
        applied = "SELECT max(name) FROM django_migrations WHERE app = 'access'"
        [(newest,)] = owner.execute(applied).fetchall()
        rename = "UPDATE django_migrations SET name = %s WHERE app = 'access' AND name = %s"
        owner.execute(rename, ["x", newest])
        try:
            answer = nobody.get("/health/ready")
        finally:
            owner.execute(rename, [newest, "x"])
    assert (answer.status, answer.body["failing"]) == (503, ["migrations"])
    assert nobody.get("/health/ready").status == 200


def test_of_a_database_that_is_away_nothing_more_is_asked(nobody, monkeypatch):
    asked = []

    def fails(name):
        asked.append(name)
        return False

    for checks in (health._CHECKS, wishes.WISHES):
        for name in checks:
            monkeypatch.setitem(checks, name, partial(fails, name))
    answer = nobody.get("/health/ready")
    assert (answer.status, answer.body) == (503, {"status": "failing", "failing": ["database"]})
    assert asked == ["database"]


def test_a_probe_is_answered_before_it_gives_up(nobody, monkeypatch):
    """The pool would wait for half a minute; a probe's time-outs are those of the manifests."""
    web = yaml.safe_load_all(Path("docker/k8s/web.yaml").read_text())
    [probe] = re.findall(r"'readinessProbe': .*?'timeoutSeconds': (\d+)", str(list(web)))
    assert min(int(probe), neighbours._PATIENCE) > health.PATIENCE
    away = ConnectionPool("host=127.0.0.1 port=9", min_size=1, timeout=30, open=False)
    monkeypatch.setattr(health, "connection", SimpleNamespace(connection=None, pool=away))
    monkeypatch.setattr(health, "PATIENCE", 0.2)
    begun = time.monotonic()
    answer = nobody.get("/health/ready")
    away.close()
    assert (answer.status, answer.body["failing"]) == (503, ["database"])
    assert time.monotonic() - begun < 15


def test_the_login_that_owns_the_tables_would_be_found_out():
    with psycopg.connect(owner_url()) as owner:
        assert owner.execute(health._UNSAFE_LOGIN).fetchone() == (True,)


def test_only_reading_is_allowed():
    assert Caller().post("/health/ready").status == 405


@pytest.fixture
def metrics_token(settings):
    settings.METRICS_TOKEN = "a-token-for-prometheus"
    return settings.METRICS_TOKEN


@pytest.mark.parametrize(
    ("address", "forwarded", "allowed"),
    [
        ("127.0.0.1", None, True),
        ("::1", None, True),
        ("10.0.0.9", None, False),
        ("", None, False),
        ("127.0.0.1", "203.0.113.9", False),
    ],
)
def test_figures_are_for_this_machine(address, forwarded, allowed, nobody):
    nobody.client.defaults["REMOTE_ADDR"] = address
    answer = nobody.get("/metrics", {"X-Forwarded-For": forwarded} if forwarded else {})
    assert answer.status == (200 if allowed else 404)
    assert (b"aim_http_requests_total" in answer.raw) == allowed


def test_or_for_who_has_the_token(metrics_token, nobody):
    nobody.client.defaults["REMOTE_ADDR"] = "10.0.0.9"
    for given, status in ((metrics_token, 200), (metrics_token[:-1], 404), ("", 404), ("è", 404)):
        answer = nobody.get("/metrics", {"Authorization": f"Bearer {given}"})
        assert answer.status == status


def test_what_watches_comes_by_an_address_and_nothing_else_does(metrics_token, nobody):
    """Prometheus asks for web:8000, or for a pod's address: neither is a name of the service."""
    prometheus = {"Authorization": f"Bearer {metrics_token}"}
    for host in ("web:8000", "10.0.0.7:8000"):
        there = {"Host": host}
        assert nobody.get("/metrics", there | prometheus).status == 200
        assert nobody.get("/health/live", there).status == 200
        assert nobody.get("/health/ready", there).status == 200
        assert nobody.get("/metrics", there).status == 400, "a browser led here by a false name"
        assert nobody.get("/metrics", there | {"Authorization": "Bearer x"}).status == 400
        assert nobody.get("organizations", there | prometheus).status == 400
        assert nobody.get("/metrics/", there | prometheus).status == 400


def test_requests_are_counted_by_route_and_never_by_address(nobody, organization):
    nobody.get(f"organizations/{organization.pk}")
    figures = nobody.get("/metrics").raw.decode()
    assert (
        'aim_http_requests_total{method="GET",'
        'route="api/v1/organizations/<id:organization_id>",status="401"}'
    ) in figures
    assert str(organization.pk) not in figures


def test_the_checks_are_the_ones_the_launcher_waits_for():
    assert list(health._CHECKS) == ["database", "row_level_security", "migrations"]


def test_a_redis_that_is_away_is_told_and_requests_are_served(client, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "ready", "failing": [], "degraded": ["shared_rate_limits"]},
    )
