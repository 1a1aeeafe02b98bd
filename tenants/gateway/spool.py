"""Forms that wait in a temporary file until it is known what they are: room on disk, and no more.

All of a process share what there may be, and what the disk does not take is refused like what
finds no room: nothing of it was sent anywhere.
"""

import asyncio
import errno
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import IO
from uuid import UUID

import structlog

from tenants.common.problems import Invalid, Unavailable
from tenants.gateway.rooms import Room

log = structlog.get_logger(__name__)

_PIECE = 256 * 1024
#: The last: Python finds no folder for temporary files where the disk is full at its first try.
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.ENOENT})
_FULL_PAUSE = 10


class Spool:
    """One form that waits.

    Args:
        room: on disk, of the process.
        whose: organization's part of it this takes from.
    """

    def __init__(self, room: Room, whose: UUID) -> None:
        self._room = room
        self._whose = whose
        self._file: IO[bytes] | None = None
        self._size = 0
        self._changes: list[tuple[int, int, bytes]] = []

    def expect(self, size: int) -> None:
        """Refuse at once what could never wait here as a whole.

        Raises:
            Invalid: it is too large (413).
        """
        most = self._room.most_of_one
        if size > most:
            raise Invalid(
                "body_too_large",
                f"A form that tells its `model` after its file is larger than {most} bytes. Send"
                " `model` before the file: then nothing has to wait here.",
                status=413,
            )

    async def write(self, data: bytes) -> None:
        """Add bytes at the end.

        Raises:
            Problem: there is no room for them (413, 429, 503).
        """
        if not data:
            return
        self.expect(self._size + len(data))
        self._room.take(self._whose, len(data))
        self._size += len(data)
        try:
            await asyncio.to_thread(self._write, data)
        except OSError as error:
            if error.errno not in _NO_SPACE:
                raise
            log.warning("upload_disk_full", error=errno.errorcode[error.errno])
            raise Unavailable(
                "busy",
                "The gateway has no space left for a form that tells its `model` after its file."
                " Send `model` before the file: then nothing has to wait here. Or try again.",
                retry_after=_FULL_PAUSE,
            ) from None

    def replace(self, start: int, end: int, new: bytes) -> None:
        """Have other bytes given in the place of some; what is written stays as it is."""
        self._changes.append((start, end, new))

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give it piece by piece, with what was replaced."""
        position = 0
        for start, end, new in [*sorted(self._changes), (self._size, self._size, b"")]:
            while position < start:
                piece = await asyncio.to_thread(self._read, position, min(_PIECE, start - position))
                position += len(piece)
                yield piece
            if new:
                yield new
            position = end

    def close(self) -> None:
        """Let go of the file and its room, for good."""
        if self._file is not None:
            with suppress(OSError):  # what a full disk did not take is not missed
                self._file.close()
        if self._size:
            self._room.give(self._whose, self._size)
            self._size = 0

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the spool
        self._file.write(data)
        self._file.flush()  # what does not fit is told now

    def _read(self, position: int, size: int) -> bytes:
        if self._file is None:
            raise EOFError
        self._file.seek(position)
        piece = self._file.read(size)
        if not piece:
            raise EOFError
        return piece
