"""Gives somebody of the support staff a role, and forgets a lost second factor."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.assistance.services import give_role
from tenants.assistance.staff import StaffRole
from tenants.common.problems import Problem
from tenants.people.models import Person
from tenants.people.services import forget_second_factors


class Command(BaseCommand):
    """``manage.py staff_role --email E [--role R] [--forget-second-factor]``."""

    help = "Give a staff login its role; --forget-second-factor has it enrol anew."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take whose login, and what to do."""
        parser.add_argument("--email", required=True)
        parser.add_argument("--role", choices=StaffRole.values)
        parser.add_argument("--forget-second-factor", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, and say so.

        Raises:
            CommandError: there is no such staff login.
        """
        try:
            person = Person.objects.get_by_natural_key(options["email"])
            if role := options["role"]:
                give_role(person=person, role=StaffRole(role))
                self.stdout.write(f"{person.email} is {role}.")
        except Person.DoesNotExist:
            raise CommandError("There is no such login.") from None
        except Problem as refusal:
            raise CommandError(refusal.detail) from None
        if options["forget_second_factor"] and person.is_staff:
            forget_second_factors(person=person)
            self.stdout.write(f"{person.email} enrols a second factor at the next sign-in.")
