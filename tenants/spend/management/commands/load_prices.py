"""Loads the published price list and prints what changes; past costs never change."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from tenants.common.money import plain
from tenants.spend import pricelist, services
from tenants.spend.services import PriceChange


def told(change: PriceChange) -> str:
    """Write a change in one line: what it was, what it becomes."""
    price = change.listed
    before = f"{plain(change.before, 4)} → " if change.before is not None else ""
    note = " (free)" if price.free else " (converted)" if price.is_converted else ""
    return (
        f"{price.mistral_model:40} {price.meter:15} {before}{plain(price.amount, 4)}"
        f" {price.currency} / {price.per}{note}"
    )


class Command(BaseCommand):
    """``manage.py load_prices [--dry-run] [--file models.json]``."""

    help = "Load the published price list; changed prices hold from now on."

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the list and whether to write."""
        parser.add_argument("--file", type=Path, default=pricelist.PUBLISHED)
        parser.add_argument("--dry-run", action="store_true", help="only print what would change")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Import and print the difference."""
        try:
            listed = pricelist.read(options["file"])
        except (OSError, pricelist.PriceListError) as error:
            raise CommandError(f"cannot read the price list: {error}") from error
        done = services.import_price_list(
            listed=listed, at=timezone.now(), is_dry_run=options["dry_run"]
        )
        for change in done.changes:
            self.stdout.write(told(change))
        word = "would change" if options["dry_run"] else "changed"
        self.stdout.write(
            f"prices: {len(done.changes)} {word}, {done.unchanged} as before,"
            f" list of {listed.as_of:%Y-%m-%d}"
        )
