"""Callers of the management API: they speak HTTP to Django, whole middleware stack included."""

from dataclasses import dataclass, field
from typing import Any

import orjson
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
    def code(self) -> Any:
        if self.headers.get("Content-Type") == "application/x-ndjson":
            return None
        return self.body.get("code") if isinstance(self.body, dict) else None

    @property
    def pointers(self) -> dict[str, str]:
        return {error["pointer"]: error["code"] for error in self.body["errors"]}


@dataclass
class Caller:
    """Somebody with a token, or without one."""

    token: str | None = None
    client: Client = field(default_factory=Client)

    def send(
        self,
        method: str,
        path: str,
        raw: bytes = b"",
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """Send bytes; a path without a leading slash is one of the management API."""
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        address = path if path.startswith("/") else f"{BASE}/{path}"
        answer: Any = self.client.generic(
            method, address, data=raw, content_type=content_type, headers=sent
        )
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content
        return Answer(answer.status_code, answer.headers, content)

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send JSON, or nothing."""
        return self.send(method, path, b"" if body is None else orjson.dumps(body), headers)

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return self.call("GET", path, None, headers)

    def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        return self.call("POST", path, body, headers)

    def patch(self, path: str, body: Any = None) -> Answer:
        return self.call("PATCH", path, body)

    def put(self, path: str, body: Any = None) -> Answer:
        return self.call("PUT", path, body)

    def delete(self, path: str, body: Any = None) -> Answer:
        return self.call("DELETE", path, body)


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
