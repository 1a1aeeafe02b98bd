"""Makes somebody's login and membership without mail: for a first administrator, and for the demo.

The password comes from a prompt, or as the first line of standard input.
"""

import sys
from argparse import ArgumentParser
from getpass import getpass
from typing import Any
from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from tenants.common import scope
from tenants.common.problems import Problem
from tenants.organizations import members
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization
from tenants.organizations.roles import Role
from tenants.people.models import Person
from tenants.people.services import create_person


class Command(BaseCommand):
    """``manage.py create_member --organization ID --email E [--name N] [--role R]``."""

    help = "Make a login whose address is taken to be verified, and a member of an organization."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take whose, whom, and as what."""
        parser.add_argument("--organization", type=UUID, required=True)
        parser.add_argument("--email", required=True)
        parser.add_argument("--name", default="")
        parser.add_argument("--role", choices=Role.values, default=Role.ADMIN.value)

    def handle(self, *args: Any, **options: Any) -> None:
        """Make both, and say so.

        Raises:
            CommandError: no such organization, a weak password, or an address that is taken.
        """
        with scope.platform():
            organization = Organization.objects.filter(pk=options["organization"]).first()
        if organization is None:
            raise CommandError(f"there is no organization {options['organization']}")
        typed = getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        try:
            validate_password(typed, Person(email=options["email"], name=options["name"]))
            person = create_person(email=options["email"], password=typed, name=options["name"])
            members.enrol(
                actor=Actor(kind="command", id="create_member", name="create_member"),
                organization_id=organization.pk,
                person=person,
                role=Role(options["role"]),
            )
        except ValidationError as refusal:
            raise CommandError(" ".join(refusal.messages)) from None
        except Problem as refusal:
            raise CommandError(refusal.detail) from None
        self.stdout.write(
            f"{person.email} may sign in, as {options['role']} of {organization.name}."
        )
