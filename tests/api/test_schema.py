"""The schema is the committed one, has no warnings, and everything in it is said properly."""

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator, FormatChecker

from tests.api.callers import Caller

pytestmark = pytest.mark.slow

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"


@pytest.fixture(scope="module")
def generated() -> str:
    GENERATOR_STATS.reset()
    written = io.StringIO()
    call_command("spectacular", stdout=written)
    return written.getvalue()


@pytest.fixture(scope="module")
def schema(generated):
    return yaml.safe_load(generated)


def test_the_committed_schema_is_what_the_code_says(generated):
    assert generated == COMMITTED.read_text(encoding="utf-8"), "run `make openapi` and commit it"


def test_it_is_openapi_3_1_without_a_warning(generated, schema):
    assert schema["openapi"] == "3.1.0"
    validate_schema(schema)
    assert not GENERATOR_STATS


def operations(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_operation_has_a_name_of_its_own_a_summary_scopes_and_refusals(schema):
    found = operations(schema)
    names = [operation["operationId"] for _path, _method, operation in found]
    assert len(names) == len(set(names))
    for path, method, operation in found:
        assert operation["summary"], path
        said = operation["description"]
        assert any(who in said for who in ("Scopes: `", "Any live token.", "A person's session."))
        assert operation["security"] == [{"session": []}, {"token": []}]
        assert {"401", "403", "404", "422"} <= set(operation["responses"]), path
        headers = [one["name"] for one in operation.get("parameters", []) if one["in"] == "header"]
        assert ("Idempotency-Key" in headers) == (method == "post"), path


def test_every_operation_has_an_example_that_its_schema_takes(schema):
    """Of what it takes, of what it gives and of how it refuses, whatever the form."""
    shown = 0
    for path, method, operation in operations(schema):
        bodies = {"body": operation.get("requestBody", {})} | operation["responses"]
        for what, body in bodies.items():
            for kind, media in body.get("content", {}).items():
                if kind == "application/pdf":
                    continue
                assert media["examples"], (method, path, what, kind)
                for example in media["examples"].values():
                    value = resolved(schema, example)["value"]
                    whole = media["schema"] | {"components": schema["components"]}
                    checker = Draft202012Validator(whole, format_checker=FormatChecker())
                    errors = [error.message for error in checker.iter_errors(value)]
                    assert errors == [], (method, path, what)
                    shown += 1
        assert bodies["body"] or method in {"get", "delete", "post"}
    assert shown > 5 * len(operations(schema))


def resolved(schema: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """Follow an example's reference."""
    if "$ref" not in example:
        return example
    found: dict[str, Any] = schema["components"]["examples"][example["$ref"].rpartition("/")[2]]
    return found


def test_refusals_that_are_shown_are_documented_ones(schema):
    rows = (COMMITTED.parent / "problems.md").read_text(encoding="utf-8")
    for status, example in schema["components"]["examples"].items():
        value = example["value"]
        (row,) = [one for one in rows.splitlines() if one.startswith(f"| `{value['code']}` |")]
        assert status in row.split("|")[2]
        assert value["status"] == int(status)


def test_no_readable_resource_has_a_secret(schema):
    shown_once = {"IssuedToken", "NewModel", "NewToken", "CompletionConfig", "WebhookWithSecret"}
    named_by_key = {"OnboardingStep"}  # a word, no secret
    for name, component in schema["components"]["schemas"].items():
        members = set(component.get("properties", {}))
        if not name.endswith("Request") and name not in shown_once | named_by_key:
            assert not members & {"key", "token", "secret", "apiKey", "sealed"}, name


def test_the_schema_is_served_to_everybody_as_yaml_and_json(nobody, schema):
    served = nobody.get("schema")
    assert yaml.safe_load(served.raw) == schema
    answer = nobody.get("schema", {"Accept": "application/vnd.oai.openapi+json"})
    assert answer.body["paths"].keys() == schema["paths"].keys()


def test_the_rendered_docs_ask_no_other_host(nobody):
    page = nobody.get("docs").raw.decode()
    assert "//" not in page.replace("// ", "").replace("http://www.w3.org", "")
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js"):
        address = f"/static/drf_spectacular_sidecar/swagger-ui-dist/{asset}"
        assert address in page
        assert nobody.get(address).status == 200
    assert nobody.get("/static/drf_spectacular_sidecar/swagger-ui-dist/nothing.js").status == 404
    assert nobody.get("/static/rest_framework/css/default.css").status == 404


def test_the_front_door_leads_to_signing_in_and_the_docs_stay_where_they_are(nobody):
    answer = Caller().get("/")
    assert (answer.status, answer.headers["Location"]) == (303, "/sign-in")
    assert nobody.get("docs").status == 200
