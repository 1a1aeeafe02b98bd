"""A person with a session of the console: who it is, and in which organizations a member.

A session lets in by its cookie alone, so whatever changes something must carry the CSRF token too.
It acts in the organization that a request names (``tenancy.bound``); until then it can do nothing.

Unauthenticated  401 session_over    the person was deactivated or has no verified address
Forbidden        403 csrf_failed     no CSRF token, or a wrong one
                 403 terms_not_accepted, reauthentication_required
"""

from copy import copy
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.request import Request

from tenants.access.authentication import Principal, Visitor
from tenants.access.errors import csrf_failed
from tenants.access.requests import request_id
from tenants.organizations import members
from tenants.people.models import Person
from tenants.people.services import has_accepted_terms

CHOSEN = "aim_organization"


class SessionAuthentication(BaseAuthentication):
    """Reads the session, where no Authorization header claims another identity."""

    def authenticate(self, request: Request) -> tuple[Principal, Principal] | None:
        """Find the person; None when this is no session of anybody.

        Raises:
            Forbidden: ``csrf_failed``.
        """
        plain: HttpRequest = request._request  # noqa: SLF001 - what has session and cookies
        if "Authorization" in request.headers:
            return None
        principal = principal_of_session(plain)
        if principal is None:
            return None
        _check_csrf(plain)
        return principal, principal


def principal_of_session(request: HttpRequest) -> Principal | None:
    """Find the person behind a request's session; None when it is nobody's.

    It does not look at the CSRF token: Django's middleware does, for views that are not exempt.
    """
    if not request.session.session_key:
        return None
    person = request.user
    if not isinstance(person, Person):
        return None
    structlog.contextvars.bind_contextvars(person_id=str(person.pk))
    return Principal(
        kind="person",
        token_id=person.pk,
        name=person.called,
        scopes=frozenset(),
        organization_id=None,
        request_id=request_id(),
        visitor=Visitor(
            person=person,
            memberships=members.memberships_of(person),
            chosen=_chosen(request),
            has_terms=has_accepted_terms(person),
            ask_proof=partial(_has_proved, request, person),
        ),
    )


def choose(request: HttpRequest, organization_id: UUID) -> None:
    """Remember in which organization a session acts when a request names none."""
    request.session[CHOSEN] = str(organization_id)


def sweep() -> None:
    """Forget sessions whose time is over."""
    SessionStore.clear_expired()


def _has_proved(request: HttpRequest, person: Person) -> bool:
    asked = copy(request)  # REST framework puts the principal where allauth looks for the person
    asked.user = person
    return bool(did_recently_reauthenticate(asked))


def _chosen(request: HttpRequest) -> UUID | None:
    found = request.session.get(CHOSEN)
    return UUID(found) if found else None


def _check_csrf(request: HttpRequest) -> None:
    check: Any = CSRFCheck(_nothing)
    check.process_request(request)
    if check.process_view(request, None, (), {}):
        raise csrf_failed()


def _nothing(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()
