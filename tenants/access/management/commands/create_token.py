"""Issues a platform token and prints it, once, as one JSON object and nothing else."""

import json
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from tenants.access.addresses import read_network
from tenants.access.models import TokenScope
from tenants.access.services import ALL_SCOPES, issue_platform_token
from tenants.organizations.audit import Actor

_MOST_DAYS = 3_650


class Command(BaseCommand):
    """``manage.py create_token --platform --name NAME [--scope …] [--network …] [--days N]``."""

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

        parser.add_argument(
            "--network",
            action="append",
            metavar="CIDR",
            help="from where it may be used; may be repeated; without it, from anywhere",
        )
        parser.add_argument("--days", type=int, help="when it stops by itself; without it, never")

    def handle(self, *args: Any, **options: Any) -> None:
        """Issue it and print it."""
        name = options["name"].strip()
        longest = 120
        if not name or len(name) > longest or not name.isprintable():
            self.stderr.write(f"--name: 1 to {longest} printable characters")
            raise SystemExit(2)
        networks = [read_network(one) for one in options["network"] or ()]
        if None in networks:
            self.stderr.write("--network: a network like 203.0.113.0/24, or one address")
            raise SystemExit(2)
        days: int | None = options["days"]
        if days is not None and not 0 < days <= _MOST_DAYS:
            self.stderr.write(f"--days: 1 to {_MOST_DAYS}")
            raise SystemExit(2)
        actor = Actor(kind="command", id="create_token", name="create_token")
        row, token = issue_platform_token(
            actor=actor,
            name=name,
            scopes=options["scope"] or ALL_SCOPES,
            expires_at=timezone.now() + timedelta(days=days) if days else None,
            allowed_networks=[one for one in networks if one],
        )
        answer = {
            "id": str(row.id),
            "name": row.name,
            "token": token.reveal(),
            "scopes": row.scopes,
        }
        self.stdout.write(json.dumps(answer))
