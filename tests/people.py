"""People of the cast and their sessions: Alice administers, Vera pays, Bob works."""

import time
from functools import cache
from itertools import count

from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import get_hasher, make_password
from django.test import Client

from tenants.access.authentication import Principal
from tenants.common import scope
from tenants.organizations.audit import Actor
from tenants.organizations.models import Member, Organization, Workspace, WorkspaceMember
from tenants.organizations.roles import Role, WorkspaceRole
from tenants.people.models import Person
from tenants.people.services import TERMS_VERSION, accept_terms
from tests.api.callers import Caller

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
PASSWORD = "correct horse battery staple"
_numbers = count(1)


def person(
    name: str = "Alice",
    *,
    email: str | None = None,
    password: str | None = PASSWORD,
    is_verified: bool = True,
    has_terms: bool = True,
) -> Person:
    """Make somebody who can sign in; with None for a password, only with what is added later."""
    address = email or f"{name.lower().replace(' ', '.')}{next(_numbers)}@people.example"
    made = Person.objects.create_person(email=address, name=name)
    made.password = _hashed(password, get_hasher().algorithm)
    made.save(update_fields=["password"])
    EmailAddress.objects.create(user=made, email=made.email, verified=is_verified, primary=True)
    if has_terms:
        accept_terms(person=made, version=TERMS_VERSION)
    return made


@cache
def _hashed(password: str | None, algorithm: str) -> str:
    """Hash a password once: that is slow on purpose, and most of the cast have the same one."""
    return make_password(password, hasher=algorithm)


def member(
    organization: Organization,
    role: Role = Role.MEMBER,
    *,
    who: Person | None = None,
    workspaces: dict[Workspace, WorkspaceRole] | None = None,
) -> Member:
    """Make somebody a member, around the services that invite."""
    who = who or person(role.value.title())
    with scope.tenant(organization.pk):
        made = Member.objects.create(organization=organization, person=who, role=role)
        for workspace, workspace_role in (workspaces or {}).items():
            WorkspaceMember.objects.create(
                organization=organization, workspace=workspace, member=made, role=workspace_role
            )
    return made


def session_caller(who: Person, *, is_sudo: bool = True, **client) -> Caller:
    """Somebody with a session, who has just proved to be themselves, or not."""
    browser = Client(**client)
    browser.force_login(who, backend=BACKEND)
    if is_sudo:
        session = browser.session
        session["account_authentication_methods"] = [
            {"method": "password", "at": time.time(), "reauthenticated": True}
        ]
        session["account_authentication_methods_user"] = str(who.pk)
        session.save()
    return Caller(client=browser)


def visitor(
    organization: Organization,
    role: Role = Role.ADMIN,
    *,
    language: str = "en",
    workspaces: dict[Workspace, WorkspaceRole] | None = None,
) -> Client:
    """The browser of a new member who reads a language."""
    browser = session_caller(member(organization, role, workspaces=workspaces).person).client
    browser.cookies["aim_language"] = language
    return browser


def actor(who: Person) -> Actor:
    """Who acts, when a person does."""
    return Principal("person", who.pk, who.called, frozenset(), None, "").actor
