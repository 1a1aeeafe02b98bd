"""Who sends this request: a platform token's holder, or an organization's; never a guess."""

from dataclasses import dataclass
from uuid import UUID

import structlog
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from tenants.access import tokens
from tenants.access.errors import not_found
from tenants.access.models import OrganizationToken
from tenants.access.requests import request_id
from tenants.organizations.audit import Actor


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a token, for the length of one request.

    Attributes:
        kind: ``platform`` or ``organization``.
        token_id: the token's row.
        name: what people call the token.
        scopes: what it may do.
        organization_id: the only organization it may act in; None for any.
        request_id: ties what is done to this request.
    """

    kind: str
    token_id: UUID
    name: str
    scopes: frozenset[str]
    organization_id: UUID | None
    request_id: str

    @property
    def actor(self) -> Actor:
        """Who acts, as the audit chain writes it."""
        return Actor(self.kind, str(self.token_id), self.name, self.request_id)


class TokenAuthentication(BaseAuthentication):
    """Reads ``Authorization: Bearer``; checks form and checksum before the database is asked."""

    def authenticate(self, request: Request) -> tuple[Principal, Principal]:
        """Find the principal; it becomes ``request.user`` and ``request.auth``.

        Raises:
            Unauthenticated: always when there is no live token; nobody is anonymous here.
        """
        header = request.headers.get("Authorization")
        token = tokens.find(*tokens.read(header))
        owner = token.organization_id if isinstance(token, OrganizationToken) else None
        principal = Principal(
            kind="organization" if owner else "platform",
            token_id=token.id,
            name=token.name,
            scopes=frozenset(token.scopes),
            organization_id=owner,
            request_id=request_id(),
        )
        structlog.contextvars.bind_contextvars(token_id=str(token.id))
        return principal, principal

    def authenticate_header(self, request: Request) -> str:
        """Name the scheme for WWW-Authenticate."""
        return "Bearer"


def principal_of(request: Request) -> Principal:
    """Return who sends the request.

    Raises:
        NotFound: nobody was authenticated: a view that forgot to ask shows nothing.
    """
    principal = request.auth
    if not isinstance(principal, Principal):
        raise not_found()
    return principal
