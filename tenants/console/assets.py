"""Addresses of scripts and styles: a file's digest is in its address, so browsers may keep it.

The files are served from the packages that carry them; nothing is collected or built.
"""

import hashlib
from functools import cache
from pathlib import Path

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage

_LENGTH = 10


class VersionedFiles(StaticFilesStorage):
    """Adds the digest of a file to its address."""

    def url(self, name: str | None) -> str:
        """Write the address of a file."""
        address: str = super().url(name)
        return f"{address}?v={_digest(name)}" if name else address


@cache
def _digest(name: str) -> str:
    path = finders.find(name)
    if not isinstance(path, str):
        raise ValueError(f"no such file: {name}")  # noqa: TRY004 - as other storages do
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:_LENGTH]
