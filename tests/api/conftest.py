"""Callers of the management API: they speak HTTP to Django, whole middleware stack included."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from django.test import Client

from tenants.access import services
from tenants.access.services import ALL_SCOPES
from tenants.organizations.models import Organization
from tests.factories import ACTOR

BASE = "/api/v1"


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Any
    raw: bytes

    @property
    def body(self) -> Any:
        return orjson.loads(self.raw) if self.raw else None

    @property
    def code(self) -> str | None:
        return self.body.get("code") if isinstance(self.body, dict) else None

    @property
    def pointers(self) -> dict[str, str]:
        return {error["pointer"]: error["code"] for error in self.body["errors"]}


@dataclass
class Caller:
    """Somebody with a token, or without one."""

    token: str | None = None
    client: Client = field(default_factory=Client)

    def __call__(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, **headers: str
    ) -> Answer:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        content_type = headers.pop("Content-Type", "application/json")
        data = raw if raw is not None else (b"" if body is None else orjson.dumps(body))
        address = path if path.startswith("/") else f"{BASE}/{path}"
        answer = self.client.generic(
            method, address, data=data, content_type=content_type, headers=headers
        )
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content
        return Answer(answer.status_code, answer.headers, content)

    def get(self, path: str, **headers: str) -> Answer:
        return self("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self("POST", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self("PATCH", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self("PUT", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self("DELETE", path, **headers)


type TokenMaker = Callable[..., Caller]


def platform_caller(*scopes: str) -> Caller:
    """Somebody with a platform token; without scopes named, it has all of them."""
    _row, token = services.issue_platform_token(
        actor=ACTOR, name="AIsuru", scopes=scopes or ALL_SCOPES
    )
    return Caller(token.reveal())


def organization_caller(organization: Organization, *scopes: str) -> Caller:
    """Somebody with a token of an organization; without scopes named, it has all of them."""
    _row, token = services.issue_organization_token(
        actor=ACTOR,
        organization=organization,
        name="script",
        scopes=scopes or ALL_SCOPES,
        grantable=ALL_SCOPES,
    )
    return Caller(token.reveal())


@pytest.fixture
def platform() -> Caller:
    return platform_caller()


@pytest.fixture
def alice(organization) -> Caller:
    return organization_caller(organization)


@pytest.fixture
def charlie(stranger) -> Caller:
    return organization_caller(stranger)


@pytest.fixture
def nobody() -> Caller:
    return Caller()
