"""verify_audit: prove that audit trails are whole, or say where they are not."""

from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from tenants.organizations import audit_anchors, audit_chain, rotation, walking
from tenants.organizations.audit_chain import Finding
from tenants.organizations.progress import Progress

_WORDS = {
    "edited": "was edited, or is not where it was",
    "event_missing": "is in the chain, but the event was deleted",
    "link_missing": "is not in the chain any more",
    "event_unlinked": "was written around the chain",
    "cut_off": "was reached before; the end was cut off",
    "head_missing": "is the last link, but the head was deleted",
    "head_moved": "is where the head says the chain ends; it does not",
    "anchor_broken": "has another hash than when it was written down",
}


class Command(BaseCommand):
    """Walk every chain; says what does not fit, and then fails."""

    help = "Prove that audit trails are whole: nothing edited, deleted, moved or cut off."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take which organizations, and anchors from elsewhere."""
        parser.add_argument("--organization", type=UUID, action="append", help="only this one")
        parser.add_argument(
            "--anchors",
            type=Path,
            action="append",
            metavar="FILE",
            help="anchors kept elsewhere: a copy of the file, or the logs; - is standard input;"
            f" may be repeated. Without it: {settings.AUDIT_ANCHORS or 'none are kept here'}",
        )
        parser.add_argument(
            "--without-anchors",
            action="store_true",
            help="be content with what the database says of itself, where no anchor vouches",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify one organization after the other."""
        anchors = self._anchors(options["anchors"])
        ids = options["organization"] or list(walking.organization_ids(erased=True))
        if missing := [one for one in anchors if one not in ids and not options["organization"]]:
            ids += missing  # whose organization is gone altogether
        total = len(ids) if options["organization"] else rotation.organization_count()
        progress = Progress(total, partial(self.stderr.write, ending=""))
        events = found = vouched = 0
        for organization_id in ids:
            verdict = audit_chain.verify(organization_id, anchors.get(organization_id, ()))
            events += verdict.events
            vouched += bool(verdict.anchored)
            for finding in verdict.findings:
                found += 1
                self.stdout.write(f"{organization_id}: {_told(finding)}")
            progress.step()
        progress.finish()
        if found:
            raise CommandError(f"{found} places do not fit; see above, and docs/audit.md")
        if events and not vouched and not options["without_anchors"]:
            raise CommandError(
                "every chain is whole in itself, but no anchor vouches for any: whoever owns the"
                " database could have made them anew. Give --anchors, or --without-anchors;"
                " docs/audit.md says where anchors are"
            )
        self.stdout.write(
            f"{len(ids)} organizations, {events} events: every chain is whole;"
            f" {vouched} of them vouched for by anchors"
        )

    def _anchors(self, paths: list[Path] | None) -> dict[UUID, list[audit_chain.Anchor]]:
        try:
            return audit_anchors.read(paths or audit_anchors.own())
        except OSError as error:
            raise CommandError(f"the anchors cannot be read: {error}") from error


def _told(finding: Finding) -> str:
    place = "an event" if finding.sequence is None else f"place {finding.sequence}"
    which = f" (event {finding.event_id})" if finding.event_id else ""
    return f"{place}{which} {_WORDS[finding.kind]}"
