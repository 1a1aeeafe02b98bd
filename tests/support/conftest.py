"""The staff of the cast, each with a role and a second factor, and an organization to look into."""

import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from allauth.account.models import EmailAddress
from django.test import Client

from tenants.assistance import services
from tenants.assistance.models import SupportSession
from tenants.assistance.staff import Staff, StaffRole
from tenants.common import scope
from tenants.common.models import new_id
from tenants.organizations.models import AuditEvent, Organization
from tenants.people.models import Person
from tests import factories, people
from tests.api.world import WholeWorld, whole_world
from tests.factories import ACTOR


@dataclass
class Worker:
    """Somebody of the staff at a browser."""

    person: Person
    role: StaffRole
    client: Client = field(default_factory=lambda: Client(headers={"Accept-Language": "en"}))

    @property
    def staff(self) -> Staff:
        return Staff(self.person, self.role)

    def get(self, path: str = "", **query: str) -> Any:
        return self.client.get(f"/admin/{path}", query_params=query)

    def post(self, path: str = "", **data: Any) -> Any:
        return self.client.post(f"/admin/{path}", data)

    def enter(self, organization: Organization, **how: Any) -> SupportSession:
        """Open a session that the organization grants."""
        services.grant_access(
            actor=ACTOR,
            organization=organization,
            hours=2,
            allows_changes=how.get("elevated", False),
        )
        return services.open_session(
            staff=self.staff, organization_id=organization.pk, reason="ticket 7", **how
        )


def second_factor(client: Client, person: Person, at: float | None = None) -> None:
    """Let a session say that it proved a second factor."""
    session = client.session
    session["account_authentication_methods"] = [{"method": "mfa", "at": at or time.time()}]
    session["account_authentication_methods_user"] = str(person.pk)
    session.save()


def staff_person(role: StaffRole | None, password: str | None = None) -> Person:
    name = f"{role.value if role else 'nobody'}{time.time_ns()}"
    person = Person.objects.create_person(
        email=f"{name}@staff.example", name=name, password=password, is_staff=True
    )
    EmailAddress.objects.create(user=person, email=person.email, verified=True, primary=True)
    if role:
        services.give_role(person=person, role=role)
    return person


def hire(role: StaffRole) -> Worker:
    person = staff_person(role)
    worker = Worker(person, role)
    worker.client.force_login(person, backend=people.BACKEND)
    second_factor(worker.client, person)
    return worker


@pytest.fixture(scope="module")
def hers() -> WholeWorld:
    """What Alice's organization has; nobody else's is called like it."""
    return whole_world(factories.organization(name=f"Rossi {new_id()}"))


@pytest.fixture(scope="module")
def agent() -> Worker:
    return hire(StaffRole.AGENT)


@pytest.fixture(scope="module")
def lead() -> Worker:
    return hire(StaffRole.LEAD)


def verbs_of(organization_id: UUID, person: Person) -> list[str]:
    """What the organization's audit log says that somebody of the staff did, oldest first."""
    with scope.tenant(organization_id):
        events = AuditEvent.objects.filter(actor_id=str(person.pk), actor_kind="staff")
        return list(events.order_by("id").values_list("verb", flat=True))
