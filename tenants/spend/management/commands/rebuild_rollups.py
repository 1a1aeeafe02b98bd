"""Sums the ledger anew into the roll-ups and tells whether they had been right."""

import time
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.common import scope
from tenants.organizations.models import Organization
from tenants.spend import rollups


class Command(BaseCommand):
    """``manage.py rebuild_rollups [--organization ID]``."""

    help = "Sum the usage events anew into the roll-ups; prints what had not been right."

    def add_arguments(self, parser: CommandParser) -> None:
        """Name whose."""
        parser.add_argument("--organization", type=UUID, help="only this one's")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Rebuild one organization after the other."""
        chosen: UUID | None = options["organization"]
        with scope.platform():
            known = Organization.objects.order_by("id").values_list("id", flat=True)
            ids = list(known.filter(pk=chosen) if chosen else known)
        if chosen and not ids:
            raise CommandError(f"there is no organization {chosen}")
        began, events, wrong = time.monotonic(), 0, 0
        for organization_id in ids:
            done = rollups.rebuild(organization_id)
            events, wrong = events + done.events, wrong + done.changed
            if done.events or done.changed:
                self.stdout.write(
                    f"{organization_id}: {done.events} events in {done.lines} lines,"
                    f" {done.changed} of them changed"
                )
        seconds = time.monotonic() - began
        self.stdout.write(
            f"rebuilt: {events} events of {len(ids)} organizations in {seconds:.1f} s"
            f" ({events / max(seconds, 0.001):,.0f} a second), {wrong} lines had been wrong"
        )
