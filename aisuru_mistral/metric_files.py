"""Room on the disk for the files in which web processes count, before they count.

prometheus-client maps files that have a length and no blocks: on a full disk the first count in one
ends the process with SIGBUS. Here the blocks are written first; where there is no room, a process
counts in memory, and its siblings do not show its figures until it is started anew.
"""

import os
from pathlib import Path

import structlog
from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

log = structlog.get_logger(__name__)

#: More than the bounded labels of one process need: the file never grows.
_SIZE = 2**20


class _RoomyFile(MmapedDict):
    def __init__(self, filename: str, read_mode: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's signature
        path = filename if read_mode else _with_room(Path(filename))
        super().__init__(path, read_mode)  # type: ignore[no-untyped-call]


def install() -> None:
    """Have prometheus-client use files with room; before the first metric is made."""
    values.MmapedDict = _RoomyFile  # type: ignore[attr-defined]


def _with_room(path: Path) -> str:
    """Give a file whose blocks exist: this one, or one in memory."""
    try:
        with path.open("ab") as file:
            file.write(bytes(max(_SIZE - file.tell(), 0)))
    except OSError as error:
        log.warning("no_room_for_metrics", error=type(error).__name__)
        path.unlink(missing_ok=True)
        memory = os.memfd_create(path.name)
        os.truncate(memory, _SIZE)
        return f"/proc/self/fd/{memory}"
    return str(path)
