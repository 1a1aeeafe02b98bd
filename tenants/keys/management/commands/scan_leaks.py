"""scan_leaks PATH…: look for Mistral keys that we hold, and for our own tokens, in files.

One JSON object a line for each finding, without the secret. Exit status: 0 nothing found, 1
something found, 2 something could not be read.
"""

import json
import os
import stat
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand

from tenants.keys import leaks
from tenants.keys.leaks import KnownKeys, Leak

_PIECE = 1 << 20
_FOUND = 1
_UNREADABLE = 2


class Command(BaseCommand):
    """Scan files and folders, or standard input as ``-``."""

    help = "Find Mistral keys that we hold, and our own tokens, in files and folders."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the paths."""
        parser.add_argument("paths", nargs="+", metavar="PATH", help="file, folder, or - for stdin")
        parser.add_argument(
            "--tokens-only", action="store_true", help="our own tokens only; needs no database"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Scan everything, tell what was found, and leave with the status that says so."""
        self._status = 0
        known = None if options["tokens_only"] else leaks.load_known()
        for path in options["paths"]:
            for file in self._files(path):
                self._scan(file, known)
        if self._status:
            sys.exit(self._status)

    def _files(self, path: str) -> Iterator[str]:
        """Walk a folder; links are not followed, and what is no file is left alone."""
        if path == "-":
            yield path
            return
        if not Path(path).is_dir():
            yield path
            return
        for folder, folders, names in os.walk(path, onerror=self._complain):
            folders.sort()
            for name in sorted(names):
                file = Path(folder, name)
                if stat.S_ISREG(file.lstat().st_mode):
                    yield str(file)

    def _scan(self, path: str, known: KnownKeys | None) -> None:
        try:
            if path == "-":
                self._look(path, sys.stdin.buffer, known)
            else:
                with Path(path).open("rb") as file:
                    self._look(path, file, known)
        except OSError as error:
            self._complain(error)

    def _look(self, path: str, file: IO[bytes], known: KnownKeys | None) -> None:
        # The name of a file may be a leak too.
        in_name = list(leaks.scan([os.fsencode(path)], known))
        told = f"(a path of {len(path)} characters that holds a secret)" if in_name else path
        pieces = iter(lambda: file.read(_PIECE), b"")
        for leak in in_name:
            self._tell(leak, told, None)
        for leak in leaks.scan(pieces, known):
            self._tell(leak, told, leak.line)

    def _tell(self, leak: Leak, path: str, line: int | None) -> None:
        self._status = max(self._status, _FOUND)
        told = {"kind": leak.kind, "last4": leak.last4, "file": path, "line": line}
        if leak.owner is not None:
            told |= {
                "key_id": str(leak.owner.key_id),
                "organization_id": str(leak.owner.organization_id),
                "status": leak.owner.status,
            }
        self.stdout.write(json.dumps(told))

    def _complain(self, error: OSError) -> None:
        self._status = _UNREADABLE
        self.stderr.write(f"cannot be read: {error.strerror}")
