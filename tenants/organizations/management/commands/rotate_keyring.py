"""rotate_keyring: re-wrap every data key under the first key of ENCRYPTION_KEYRING, online."""

from collections import Counter
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from tenants.organizations import rotation
from tenants.organizations.data_keys import UNOPENED
from tenants.organizations.progress import Progress

_MOST_WALKS = 3


class Command(BaseCommand):
    """Rotate the keyring and say which master keys are still needed."""

    help = "Re-wrap every data key under the newest master key; may be interrupted and repeated."

    def handle(self, *args: Any, **options: Any) -> None:
        """Walk all organizations, then tell what each master key still wraps."""
        ids = [key_id for key_id, _key in settings.ENCRYPTION_KEYRING]
        unopened = 0
        for _walk in range(_MOST_WALKS):
            unopened = self._walk()[UNOPENED]
            in_use = rotation.master_keys_in_use()
            # Who still ran with the old keyring may have wrapped something behind our back.
            if not any(in_use[key_id] for key_id in ids[1:]):
                break
        for key_id in ids:
            use = "wraps all new ones" if key_id == ids[0] else "may leave the keyring"
            if key_id != ids[0] and in_use[key_id]:
                use = "still needed: restart what runs with the old keyring, then run again"
            self.stdout.write(f"{key_id}: {in_use[key_id]} data keys; {use}")
        for key_id in sorted(in_use.keys() - set(ids)):
            self.stdout.write(f"{key_id}: {in_use[key_id]} data keys; not on the keyring")
        if unopened:
            raise CommandError(
                f"{unopened} data keys do not open with any key of this keyring;"
                " put the key that wrapped them back, or erase their organizations"
            )

    def _walk(self) -> Counter[str]:
        progress = Progress(rotation.organization_count(), partial(self.stderr.write, ending=""))
        wrapped_by = rotation.rotate_what_is_nobodys()
        for found in rotation.rotate():
            wrapped_by += found
            progress.step()
        progress.finish()
        return wrapped_by
