"""Issues a platform token and prints it, once, as one JSON object and nothing else."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from tenants.access.models import TokenScope
from tenants.access.services import ALL_SCOPES, issue_platform_token
from tenants.organizations.audit import Actor


class Command(BaseCommand):
    """``manage.py create_token --platform --name NAME [--scope SCOPE …]``."""

    help = "Issue a platform token; prints {id, name, token, scopes}. The token is shown once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the kind, the name and, to give less than everything, the scopes."""
        parser.add_argument(
            "--platform",
            action="store_true",
            required=True,
            help="a token of AIsuru's backend (organizations make their own through the API)",
        )
        parser.add_argument("--name", required=True, help="what people call it")
        parser.add_argument(
            "--scope",
            action="append",
            choices=TokenScope.values,
            help="may be repeated; without it, every scope",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Issue it and print it."""
        name = options["name"].strip()
        longest = 120
        if not name or len(name) > longest or not name.isprintable():
            self.stderr.write(f"--name: 1 to {longest} printable characters")
            raise SystemExit(2)
        actor = Actor(kind="command", id="create_token", name="create_token")
        row, token = issue_platform_token(
            actor=actor, name=name, scopes=options["scope"] or ALL_SCOPES
        )
        answer = {
            "id": str(row.id),
            "name": row.name,
            "token": token.reveal(),
            "scopes": row.scopes,
        }
        self.stdout.write(json.dumps(answer))
