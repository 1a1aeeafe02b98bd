"""Problems: one shape for every refusal, every code documented, words in the reader's language."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import OperationalError
from rest_framework import exceptions

from tenants.access import errors
from tenants.common import problems
from tests.api.callers import Caller

ROOT = Path(__file__).resolve().parents[2]
KINDS = {name for name, kind in vars(problems).items() if isinstance(kind, type)}
MEMBERS = {"type", "title", "status", "detail", "code", "request_id", "errors"}


def codes_in_the_tree() -> Iterator[str]:
    """Every literal code that a Problem or a FieldError is made with."""
    for path in (ROOT / "tenants").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            function, position = node.func, 0
            if isinstance(function, ast.Attribute) and function.attr == "field":
                function, position = function.value, 1
            name = getattr(function, "id", getattr(function, "attr", None))
            if name == "FieldError":
                position = 1
            if name in KINDS and len(node.args) > position:
                code = node.args[position]
                if isinstance(code, ast.Constant) and isinstance(code.value, str):
                    yield code.value


def test_every_code_is_documented_and_no_other():
    text = (ROOT / "docs" / "problems.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z_]+)` \| [\d, ]+ \|", text, re.MULTILINE))
    assert documented == set(codes_in_the_tree())


def test_a_type_leads_to_its_description(nobody):
    answer = nobody.get("organizations")
    described = nobody.get(answer.body["type"])
    assert (described.status, answer.body["code"]) == (200, "token_missing")
    assert b"| `token_missing` | 401 |" in described.raw
    assert nobody.get("problems/no_such_code").status == 404


def test_a_problem_has_its_members_its_request_id_and_no_cache(alice):
    answer = alice.get("nothing", {"X-Request-Id": "mine-7"})
    assert set(answer.body) == MEMBERS
    assert answer.body["request_id"] == answer.headers["X-Request-Id"] == "mine-7"
    assert answer.body["status"] == answer.status == 404
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("given", ["a b", "x" * 65, "ä", "", "<script>", 'a"b'])
def test_a_request_id_that_could_do_harm_is_replaced(given, nobody):
    answer = nobody.get("organizations", {"X-Request-Id": given})
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["X-Request-Id"])


@pytest.mark.parametrize(
    ("languages", "language"),
    [("it", "it"), ("en-GB,en;q=0.9", "en"), ("de", "it"), (None, "it"), ("\0", "it")],
)
def test_words_follow_accept_language(languages, language, nobody):
    answer = nobody.get("organizations", {"Accept-Language": languages} if languages else {})
    assert answer.headers["Content-Language"] == language


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_a_method_that_is_not_taken_is_a_405_with_those_that_are(method, platform):
    answer = platform.call(method, "organizations")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD, POST"


def test_an_answer_in_another_form_is_a_406(platform):
    answer = platform.get("organizations", {"Accept": "image/png"})
    assert (answer.status, answer.code) == (406, "not_acceptable")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_refusal_of_the_csv_is_json_all_the_same(platform):
    answer = platform.get("spend", {"Accept": "text/csv"})
    assert (answer.status, answer.code) == (422, "subject_required")


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (OperationalError("down"), 503, "database_unavailable"),
        (exceptions.NotAuthenticated(), 401, "token_missing"),
        (exceptions.PermissionDenied(), 403, "forbidden"),
        (exceptions.NotFound(), 404, "not_found"),
        (ValueError("a secret of ours"), 500, "internal_error"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_framework_raises_becomes_a_problem_that_tells_nothing_else(raised, status, code):
    answer = errors.problem_response(raised, {})
    assert answer.status_code == status
    assert f'"code":"{code}"'.encode() in answer.content
    assert b"secret" not in answer.content
    assert (status == 503) == ("Retry-After" in answer.headers)


def test_a_failure_outside_of_the_endpoints_is_a_problem_too(settings):
    settings.DEBUG = False
    answer = errors.server_error(None)  # type: ignore[arg-type]  # it does not look
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_nobody_is_told_more_than_that_a_token_is_missing():
    answer = Caller().get("organizations")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="aisuru-mistral"'
    answer = Caller("x").get("organizations")
    assert answer.headers["WWW-Authenticate"] == (
        'Bearer realm="aisuru-mistral", error="invalid_token"'
    )


def test_what_goes_wrong_is_logged_by_its_place_and_never_by_its_words(capfd, caplog):
    canary = "cAnArY0123456789cAnArY0123456789"

    def fail(key: str) -> None:
        raise ValueError(f"cannot use {key}")

    try:
        fail(canary)
    except ValueError as error:
        answer = errors.problem_response(error, {})
    logged = capfd.readouterr().err + caplog.text
    assert "unforeseen" in logged
    assert "test_problems.py" in logged
    assert "ValueError" in logged
    assert canary not in logged
    assert canary.encode() not in answer.content
