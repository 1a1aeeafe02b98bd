"""Schemathesis over the whole schema: whatever is sent, the answer is one that the schema names.

Paths lead to rows that exist, so that requests get past the door. Examples are few and always the
same.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tenants.organizations.roles import Role
from tests import people
from tests.api.callers import Caller, platform_caller
from tests.api.world import WholeWorld, whole_world

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"
EXAMPLES = 2
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
#: Afterwards there is nothing left to ask for.
LAST = ("DELETE", "/api/v1/organizations/{organization_id}")


@pytest.fixture(scope="module")
def schema() -> Any:
    text = SCHEMA.read_text(encoding="utf-8")
    made = schemathesis.openapi.from_dict(yaml.load(text, Loader=yaml.CSafeLoader))
    made.app = get_wsgi_application()
    return made


def operations(schema: Any) -> list[APIOperation[Any, Any, Any, Any]]:
    """All of them; what takes something away comes after the rest."""
    found = [result.ok() for result in schema.get_all_operations()]

    def late(operation: APIOperation[Any, Any, Any, Any]) -> tuple[bool, bool]:
        place = (operation.method.upper(), operation.path)
        return place == LAST, place[0] == "DELETE"

    return sorted(found, key=late)


def signed_in(caller: Caller) -> dict[str, dict[str, str]]:
    """What a person's browser sends along."""
    token = secrets.token_hex(16)
    session = caller.client.cookies["aim_session"].value
    return {
        "headers": {"X-CSRFToken": token},
        "cookies": {"aim_session": session, "aim_csrf": token},
    }


def pointed(case: Case[Any], found: WholeWorld) -> Case[Any]:
    """Let a request name rows that are there, where it names any."""
    ids = {name: str(value) for name, value in found.ids.items()}
    body = case.body if isinstance(case.body, dict) else {}
    for part in (case.path_parameters, case.query, body):
        for name in part or ():
            if name in ids:
                part[name] = ids[name]
    for name in ("If-Match", "Authorization"):
        case.headers.pop(name, None)
    return case


def plan(operation: APIOperation[Any, Any, Any, Any]) -> list[tuple[GenerationMode, int]]:
    """Ask as often as there is something to vary."""
    varies = operation.body or [one for one in operation.query if one.name != "limit"]
    if not varies:
        return [(GenerationMode.POSITIVE, 1)]
    return [(GenerationMode.POSITIVE, EXAMPLES), (GenerationMode.NEGATIVE, 1)]


def asked(
    operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode, examples: int
) -> Iterator[Case[Any]]:
    """Generate requests, always the same."""
    cases: list[Case[Any]] = []

    @seed(0)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def gather(case: Case[Any]) -> None:
        cases.append(case)

    gather()
    yield from cases


def test_no_500_and_no_answer_that_the_schema_does_not_name(schema):
    found = whole_world()
    admin = people.member(found.organization, Role.ADMIN).person
    platform = {"headers": {"Authorization": f"Bearer {platform_caller().token}"}}
    somebody = signed_in(people.session_caller(admin))
    wrong: list[str] = []
    statuses: dict[int, int] = {}
    for operation in operations(schema):
        sent: dict[str, Any] = somebody if operation.path.split("/")[3] == "me" else platform
        for mode, examples in plan(operation):
            for case in asked(operation, mode, examples):
                answer = pointed(case, found).call(**sent)
                statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
                try:
                    case.validate_response(answer, checks=CHECKS)
                except (AssertionError, FailureGroup) as failure:
                    wrong.append(f"{operation.label}: {failure}")
    assert wrong == [], "\n\n".join(wrong)
    # Most requests got past the door, and the rates.
    assert set(statuses) <= {200, 201, 202, 204, 400, 403, 404, 409, 422}, statuses
    assert statuses[200] > statuses[404], statuses
