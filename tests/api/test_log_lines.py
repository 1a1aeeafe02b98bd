"""What people send makes no line of its own in the log, and no header of its own in the answer."""

import json
import logging

import pytest
import structlog

from tenants.access import requests
from tests.api.callers import Caller

FORGED = '\n{"event": "forged", "level": "info"}\r\n'


@pytest.fixture
def lines(monkeypatch):
    """The lines that requests write, as they are rendered."""
    written: list[str] = []

    class Sink:
        def msg(self, message: str) -> None:
            written.append(message)

        info = warning = error = msg

    made = structlog.wrap_logger(
        Sink(),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    monkeypatch.setattr(requests, "log", made)
    return written


def test_nothing_that_is_sent_becomes_a_line_or_a_field_of_the_log(lines, alice, organization):
    path = f"organizations/{organization.pk}"
    alice.patch(path, {"name": f"x{FORGED}"})
    alice.get(f"nothing/%0a{FORGED}?q={FORGED}")
    alice.call("GET", path, None, {"X-Request-Id": f"a{FORGED}", "User-Agent": f"b{FORGED}"})
    alice.call("F\nORGED", path)
    Caller().get(path, {"Authorization": f"Bearer {FORGED}"})
    assert len(lines) == 5
    for line in lines:
        assert "\n" not in line
        assert "forged" not in line.lower()
        assert {"event", "method", "route", "status", "request_id"} <= json.loads(line).keys()


def test_nothing_that_is_sent_becomes_a_header(alice, organization):
    for value in ("a\r\nSet-Cookie: x=1", "a\nLocation: //evil.example"):
        answer = alice.get(
            f"organizations/{organization.pk}", {"X-Request-Id": value, "Accept-Language": value}
        )
        assert "evil" not in str(answer.headers)
        assert "Set-Cookie" not in answer.headers
