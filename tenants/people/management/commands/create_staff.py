"""Makes a login of the support staff.

The password comes from STAFF_PASSWORD, from a prompt, or as the first line of standard input.
"""

import sys
from argparse import ArgumentParser
from getpass import getpass
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from tenants.common.problems import Problem
from tenants.people.models import Person
from tenants.people.services import create_staff


class Command(BaseCommand):
    """``manage.py create_staff --email E [--name N]``."""

    help = "Make a login of the support staff. It is no superuser and opens no tenant."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take address and name."""
        parser.add_argument("--email", required=True)
        parser.add_argument("--name", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make it, and say so.

        Raises:
            CommandError: no password, one too weak, or the address is taken or none.
        """
        password = settings.STAFF_PASSWORD or _typed()
        if not password:
            raise CommandError("No password: set STAFF_PASSWORD, or type one.")
        try:
            validate_password(password, Person(email=options["email"], name=options["name"]))
            person = create_staff(email=options["email"], password=password, name=options["name"])
        except ValidationError as refusal:
            raise CommandError(" ".join(refusal.messages)) from None
        except Problem as refusal:
            raise CommandError(refusal.detail) from None
        self.stdout.write(f"{person.email} may sign in as support staff.")


def _typed() -> str:
    return getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
