"""Lists, rotates, revokes and scopes platform tokens; prints JSON, one object a line.

A token keeps the scopes that it was issued with: one that a later version knows is given here.
"""

import json
from argparse import ArgumentParser
from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from tenants.access import services
from tenants.access.models import PlatformToken, TokenScope
from tenants.common.problems import Problem
from tenants.organizations.audit import Actor

_ACTOR = Actor(kind="command", id="platform_token", name="platform_token")
_SHOWN = ("name", "hint", "scopes", "allowed_networks", "created_by")
_INSTANTS = (
    "created_at",
    "expires_at",
    "last_used_at",
    "former_ends_at",
    "former_last_used_at",
    "revoked_at",
)


class Command(BaseCommand):
    """``manage.py platform_token list | rotate | revoke | scope``, mostly with ``--id``."""

    help = "List, rotate, revoke or scope platform tokens. A new token is shown once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what to do, and with which token."""
        parser.add_argument("act", choices=["list", "rotate", "revoke", "scope"])
        parser.add_argument("--id", type=UUID, help="the token's id, as create_token printed it")
        parser.add_argument(
            "--grace-seconds", type=int, default=0, help="for how long the one before works on"
        )
        parser.add_argument(
            "--scope",
            action="append",
            choices=TokenScope.values,
            help="what it may do from now on, nothing else; may be repeated",
        )
        parser.add_argument("--all", action="store_true", help="it may do everything there is")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, and print what is."""
        if options["act"] == "list":
            for known in PlatformToken.objects.order_by("id"):
                self._show(known)
            return
        row = PlatformToken.objects.filter(pk=options["id"]).first() if options["id"] else None
        if row is None:
            raise CommandError("--id: there is no such platform token")
        if options["act"] == "revoke":
            services.revoke_platform_token(actor=_ACTOR, token=row)
            self._show(PlatformToken.objects.get(pk=row.pk))
            return
        if options["act"] == "scope":
            self._scope(row, services.ALL_SCOPES if options["all"] else options["scope"] or ())
            return
        try:
            token = services.rotate_platform_token(
                actor=_ACTOR, token=row, grace_seconds=options["grace_seconds"]
            )
        except Problem as refusal:
            raise CommandError(refusal.detail) from None
        self._show(PlatformToken.objects.get(pk=row.pk), token=token.reveal())

    def _scope(self, row: PlatformToken, scopes: Collection[str]) -> None:
        if not scopes:
            raise CommandError("--scope SCOPE, as often as needed, or --all")
        try:
            services.set_platform_scopes(actor=_ACTOR, token=row, scopes=scopes)
        except Problem as refusal:
            raise CommandError(refusal.detail) from None
        self._show(PlatformToken.objects.get(pk=row.pk))

    def _show(self, row: PlatformToken, **more: str) -> None:
        facts: dict[str, Any] = {"id": str(row.pk)} | {name: getattr(row, name) for name in _SHOWN}
        facts["lacks"] = sorted(set(services.ALL_SCOPES) - set(row.scopes))
        instants = {name: getattr(row, name) for name in _INSTANTS}
        facts |= {name: at.isoformat() if at else None for name, at in instants.items()}
        self.stdout.write(json.dumps(facts | more))
