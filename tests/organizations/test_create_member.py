"""The command that makes a first administrator: a login that works, a member, and one audit row."""

import io

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command

from tenants.common import scope
from tenants.common.models import new_id
from tenants.organizations.models import AuditEvent, Member
from tenants.people.models import Person

PASSWORD = "correct horse battery staple"


@pytest.fixture
def typed(monkeypatch):
    """Return a function that has a password typed."""

    def type_(password):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))

    type_(PASSWORD)
    return type_


def made(organization, email, **facts):
    said = io.StringIO()
    given = {"organization": organization.pk, "email": email, **facts}
    call_command("create_member", stdout=said, **given)
    return said.getvalue()


def address():
    return f"bruno.{new_id().hex}@people.example"


def test_a_first_administrator_may_sign_in_at_once(organization, typed, rf):
    email = address()
    assert email in made(organization, email, name="Bruno")
    person = authenticate(rf.get("/"), email=email, password=PASSWORD)
    assert isinstance(person, Person)
    assert not person.is_staff
    with scope.tenant(organization.pk):
        assert Member.objects.get(person=person).role == "admin"
        assert AuditEvent.objects.filter(verb="member.enrolled").count() == 1


def test_a_weak_password_a_taken_address_and_an_unknown_organization_change_nothing(
    organization, typed
):
    email = address()
    typed("short")
    with pytest.raises(CommandError):
        made(organization, email)
    assert not Person.objects.filter(email=email).exists()
    typed(PASSWORD)
    made(organization, email, role="billing")
    typed(PASSWORD)
    with pytest.raises(CommandError, match=r"già|already"):
        made(organization, email)
    organization.pk = new_id()
    with pytest.raises(CommandError, match="no organization"):
        made(organization, address())
