"""Who sends this request: the holder of a token, or a person with a session; never a guess."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import structlog
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from tenants.access import addresses, tokens
from tenants.access.errors import not_found
from tenants.access.models import OrganizationToken
from tenants.access.requests import request_id
from tenants.organizations.audit import Actor
from tenants.organizations.members import Membership
from tenants.people.models import Person


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person with a session.

    Attributes:
        person: who.
        memberships: the organizations that this person is a member of, oldest first.
        chosen: the organization to act in when a request names none.
        has_terms: whether the terms in force were accepted.
        ask_proof: asks whether the person has proved who it is within the last minutes; few
            requests need to know.
    """

    person: Person
    memberships: tuple[Membership, ...]
    chosen: UUID | None
    has_terms: bool
    ask_proof: Callable[[], bool]

    @property
    def is_sudo(self) -> bool:
        """Tell whether the person has proved who it is within the last minutes."""
        return self.ask_proof()

    @property
    def current(self) -> Membership | None:
        """Tell where a request acts that names no organization; None if in none."""
        chosen = [one for one in self.memberships if one.organization_id == self.chosen]
        return next(iter((*chosen, *self.memberships)), None)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sends a request, for the length of it.

    Attributes:
        kind: ``platform``, ``organization`` (a token) or ``person`` (a session).
        token_id: the token's row; the person's for a session.
        name: what people call the token or the person.
        scopes: what it may do.
        organization_id: the only organization it may act in. None for any, if it is a platform
            token; none at all, if it is a person whose request was not bound to one.
        request_id: ties what is done to this request.
        visitor: the person behind a session.
    """

    kind: str
    token_id: UUID
    name: str
    scopes: frozenset[str]
    organization_id: UUID | None
    request_id: str
    visitor: Visitor | None = None

    @property
    def is_platform(self) -> bool:
        """Tell whether it may act for any organization."""
        return self.kind == "platform"

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
            Forbidden: ``address_not_allowed``.
        """
        header = request.headers.get("Authorization")
        token = tokens.find(*tokens.read(header))
        tokens.require_address(token, addresses.address_of(request))
        tokens.note_use(token)
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
