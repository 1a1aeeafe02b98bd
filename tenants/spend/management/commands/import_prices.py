"""Imports a new price list: shows what would change, asks, and then loads exactly that."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from tenants.spend import pricelist, services
from tenants.spend.management.commands.load_prices import told


class Command(BaseCommand):
    """``manage.py import_prices FILE [--yes]``."""

    help = "Import a price list after showing what changes; past costs never change."

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the list, and whether to ask."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--yes", action="store_true", help="load without asking")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Show, ask, load: what is loaded holds from the instant that was shown."""
        try:
            listed = pricelist.read(options["file"])
        except (OSError, pricelist.PriceListError) as error:
            raise CommandError(f"cannot read the price list: {error}") from error
        at = timezone.now()
        planned = services.import_price_list(listed=listed, at=at, is_dry_run=True)
        for change in planned.changes:
            self.stdout.write(told(change))
        new = sum(change.before is None for change in planned.changes)
        changed = len(planned.changes) - new
        self.stdout.write(
            f"list of {listed.as_of:%Y-%m-%d}, sha256 {listed.checksum[:12]}…:"
            f" {new} new, {changed} changed, {planned.unchanged} as before"
        )
        if not planned.changes:
            return
        if not options["yes"] and not self._is_confirmed(len(planned.changes)):
            self.stdout.write("nothing was loaded")
            return
        done = services.import_price_list(listed=listed, at=at)
        if len(done.changes) != len(planned.changes):
            self.stdout.write("somebody else imported prices meanwhile")
        self.stdout.write(f"{len(done.changes)} prices loaded; past costs stay as they were")

    def _is_confirmed(self, many: int) -> bool:
        try:
            answer = input(f"Load these {many} prices? [y/N] ")
        except EOFError:
            return False
        return answer.strip().lower() in {"y", "yes"}
