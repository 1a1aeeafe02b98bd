"""rotate_data_keys: new data keys, everything sealed anew, the old ones destroyed; online."""

from argparse import ArgumentParser
from collections.abc import Iterable
from functools import partial
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from tenants.organizations import data_key_rotation, rotation, walking
from tenants.organizations.audit import Actor
from tenants.organizations.data_key_rotation import Rotated
from tenants.organizations.progress import Progress

_ACTOR = Actor(kind="command", id="rotate_data_keys", name="rotate_data_keys")


class Command(BaseCommand):
    """Rotate data keys; a run that was interrupted is continued by running it again."""

    help = "Give organizations new data keys and seal everything anew; may be interrupted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take which organizations, and why."""
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--organization", type=UUID, action="append", help="only this one")
        which.add_argument(
            "--older-than", type=int, metavar="DAYS", help="only keys older, or left half-way"
        )
        which.add_argument(
            "--lost",
            action="store_true",
            help="only keys that do not open with this keyring: new ones beside them, so that"
            " secrets can be entered again",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate one organization after the other, and tell what became of them."""
        if options["lost"]:
            self._replace_lost()
            return
        total = rotation.organization_count()
        whom: Iterable[UUID] = options["organization"] or walking.organization_ids()
        if options["organization"]:
            total = len(options["organization"])
        if options["older_than"] is not None:
            found = list(data_key_rotation.due(days=options["older_than"]))
            whom, total = [organization_id for organization_id, _ in found], len(found)
        done = Rotated()
        progress = self._progress(total)
        for organization_id in whom:
            done += data_key_rotation.rotate(organization_id, actor=_ACTOR)
            progress.step()
        progress.finish()
        self.stdout.write(
            f"{done.destroyed} data keys destroyed, {done.sealed_anew} secrets sealed anew"
        )
        if done.unopened:
            raise CommandError(
                f"{done.unopened} secrets do not open, so their old data keys were kept;"
                " put the master key that is missing back, or have the secrets entered again"
            )

    def _replace_lost(self) -> None:
        progress = self._progress(rotation.organization_count())
        lost = 0
        for organization_id in walking.organization_ids():
            lost += data_key_rotation.replace_lost(organization_id, actor=_ACTOR)
            progress.step()
        progress.finish()
        self.stdout.write(f"{lost} organizations got a new data key beside one that does not open")

    def _progress(self, total: int) -> Progress:
        return Progress(total, partial(self.stderr.write, ending=""))
