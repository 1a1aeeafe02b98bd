"""Logs: JSON lines that name what they belong to, without secrets and the values in frames."""

import json
import subprocess
import sys
import threading

import pytest
import structlog
from celery import Celery
from celery.contrib.testing.worker import start_worker
from opentelemetry.sdk.trace import TracerProvider

from aisuru_mistral import correlation, logging  # noqa: F401 - it listens once it is imported
from aisuru_mistral.tracing import OpenTelemetry
from tenants.common import scope, tracing
from tenants.common.models import new_id
from tests.postgres import service_environment

CRASH = """
import logging
from aisuru_mistral.logging import configure
configure("INFO")
def receive():
    body = "Canary0123456789" * 2
    raise RuntimeError("it broke")
try:
    receive()
except RuntimeError:
    logging.getLogger("web").exception("crashed")
"""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_crash_is_logged_with_its_place_and_without_the_values_in_its_frames():
    result = subprocess.run(
        [sys.executable, "-c", CRASH],
        env=service_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    line = json.loads(result.stderr.splitlines()[-1])
    assert (line["event"], line["level"]) == ("crashed", "error")
    assert line["exception"][0]["frames"][-1]["name"] == "receive"
    assert "Canary" not in result.stderr


@pytest.fixture(autouse=True)
def _of_nothing():
    """Forget what a request of an earlier test has bound to this thread."""
    structlog.contextvars.clear_contextvars()


def said(text="it happened", **facts):
    """A line as it would be written now, and what it says."""
    event = structlog.contextvars.merge_contextvars(None, "info", {"event": text, **facts})
    line = logging.redacted(json.dumps(logging.with_trace(None, "info", event)))
    return line, json.loads(line)


@pytest.mark.parametrize(
    "secret",
    [
        "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFi",
        "aim_org_0123456789abcdefghijKLMNOP",
        "Bearer abcdefghijklmnop0123",
        "postgresql://app:the-password-of-it@db:5432/aisuru",
    ],
)
def test_what_is_shaped_like_a_secret_is_masked_wherever_it_stands(secret):
    line, _facts = said(f"failed: {secret}", inner={"deep": [secret]})
    kept = secret.split(":")[-1] if "://" in secret else ""
    assert secret not in line
    assert "the-password-of-it" not in line
    assert "****" in line
    assert "db:5432" in line or not kept


def test_ids_are_no_secrets(organization):
    named = {"request_id": str(new_id()), "trace_id": TRACE, "organization_id": organization.id.hex}
    assert said(**named)[1].items() >= named.items()


def test_a_line_names_the_tenant_whose_rows_are_in_hand_and_nobody_afterwards(organization):
    with scope.tenant(organization.id):
        assert said()[1]["organization_id"] == str(organization.id)
    assert "organization_id" not in said()[1]


def test_a_line_names_the_span_it_is_written_in(monkeypatch):
    monkeypatch.setattr(tracing, "_tracers", [OpenTelemetry(TracerProvider())])
    assert "trace_id" not in said()[1]
    with tracing.span("request", f"00-{TRACE}-00f067aa0ba902b7-01"):
        inside = said()[1]
    assert inside["trace_id"] == TRACE
    assert len(inside["span_id"]) == 16


def test_a_task_names_itself_and_the_request_it_goes_back_to_also_through_another_task():
    app = Celery("correlated", broker="memory://", backend="cache+memory://")
    app.conf.task_default_queue = "correlated"  # in-memory queues are the whole process's
    seen, done = {}, threading.Event()

    @app.task(name="first")
    def first():
        seen["first"] = said()[1]
        second.delay()

    @app.task(name="second")
    def second():
        seen["second"] = said()[1]
        done.set()

    with start_worker(app, perform_ping_check=False):
        with structlog.contextvars.bound_contextvars(request_id="r-1", organization_id="o-1"):
            first.delay()
        assert done.wait(20)
    for name, line in seen.items():
        assert (line["task"], line["request_id"]) == (name, "r-1")
        assert line["task_id"]
        assert "organization_id" not in line, "it is the task that says whose rows it takes in hand"
