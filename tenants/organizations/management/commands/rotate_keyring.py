"""rotate_keyring: re-wrap every data key under the first key of ENCRYPTION_KEYRING, online."""

from collections import Counter
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from tenants.organizations import rotation
from tenants.organizations.data_keys import UNOPENED

_EVERY = 100


class Command(BaseCommand):
    """Rotate the keyring and say which master keys are still needed."""

    help = "Re-wrap every data key under the newest master key; may be interrupted and repeated."

    def handle(self, *args: Any, **options: Any) -> None:
        """Walk all organizations, then tell what each master key still wraps."""
        total = rotation.organization_count()
        wrapped_by: Counter[str] = Counter()
        for done, found in enumerate(rotation.rotate(), start=1):
            wrapped_by += found
            if done % _EVERY == 0:
                self.stderr.write(f"\r{done}/{total} organizations", ending="")
                self.stderr.flush()
        self.stderr.write(f"\r{sum(wrapped_by.values())} data keys of {total} organizations")
        newest = settings.ENCRYPTION_KEYRING[0][0]
        for key_id, _key in settings.ENCRYPTION_KEYRING:
            use = "wraps all new ones" if key_id == newest else "may leave the keyring"
            if key_id != newest and wrapped_by[key_id]:
                use = "still needed: run again"
            self.stdout.write(f"{key_id}: {wrapped_by[key_id]} data keys; {use}")
        if wrapped_by[UNOPENED]:
            raise CommandError(
                f"{wrapped_by[UNOPENED]} data keys do not open with any key of this keyring;"
                " put the key that wrapped them back, or erase their organizations"
            )
