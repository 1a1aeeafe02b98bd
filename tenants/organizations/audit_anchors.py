"""Writes down outside of the database how far every audit chain has come, and reads that back.

Whoever owns the database can cut off the end of a chain and set its head back; what was written
down elsewhere before tells. An anchor is one JSON object a line, in ``AUDIT_ANCHORS`` and in the
log: ship the log away, or copy the file, and the database's owner cannot reach it. Where the log
has to do, a file in ``DATA_DIR`` only remembers how far this worker has come; one that starts
without it writes all of them anew.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection
from django.utils import timezone

from tenants.organizations.audit_chain import Anchor

#: Chains that have not moved for longer than this before the last anchors are left out.
_OVERLAP = timedelta(minutes=10)
_PRIVATE = 0o600
_TAIL = 4_096
_REMEMBERED = "audit-anchors.jsonl"
_EVER = datetime.min.replace(tzinfo=UTC)

log = structlog.get_logger(__name__)


def write() -> int:
    """Write down the heads that have moved since they were last written down; tells how many.

    What is written twice does no harm. Without a folder for the file, the log has to do.
    """
    path: Path = settings.AUDIT_ANCHORS or settings.DATA_DIR / _REMEMBERED
    now = timezone.now()
    anchors = _heads(_last_written(path) - _OVERLAP)
    for anchor in anchors:
        log.info("audit_anchor", **_members(anchor, now))
    if anchors and path.parent.is_dir():
        text = "".join(json.dumps(_members(anchor, now)) + "\n" for anchor in anchors)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _PRIVATE)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    return len(anchors)


def heads() -> list[Anchor]:
    """Give the head of every chain as it is now."""
    return _heads(_EVER + _OVERLAP)


def own() -> list[Path]:
    """Name the file that is kept here, if it is there."""
    path: Path | None = settings.AUDIT_ANCHORS
    return [path] if path is not None and path.is_file() else []


def read(paths: Iterable[Path]) -> dict[UUID, list[Anchor]]:
    """Gather anchors by organization, from files of ours and from logs; other lines are skipped.

    ``-`` is standard input.

    Raises:
        OSError: a file cannot be read.
    """
    found: dict[UUID, list[Anchor]] = {}
    for path in paths:
        with _opened(path) as lines:
            for anchor in filter(None, map(_parse, lines)):
                found.setdefault(anchor.organization_id, []).append(anchor)
    return found


def _opened(path: Path) -> AbstractContextManager[Iterable[str]]:
    if path == Path("-"):
        return nullcontext(sys.stdin)
    return path.open(encoding="utf-8", errors="replace")


def _members(anchor: Anchor, at: datetime) -> dict[str, Any]:
    return {
        "organization_id": str(anchor.organization_id),
        "sequence": anchor.sequence,
        "hash": anchor.hash,
        "at": at.isoformat(),
    }


def _parse(line: str) -> Anchor | None:
    try:
        members = json.loads(line)
        return Anchor(
            UUID(members["organization_id"]), int(members["sequence"]), str(members["hash"])
        )
    except (ValueError, KeyError, TypeError):
        return None


def _last_written(path: Path) -> datetime:
    """Tell when anchors were last written to a file; long ago if never."""
    for line in reversed(list(_tail(path))):
        try:
            return datetime.fromisoformat(json.loads(line)["at"])
        except (ValueError, KeyError, TypeError):
            continue
    return _EVER + _OVERLAP


def _tail(path: Path) -> Iterator[str]:
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _TAIL, 0))
        yield from file.read().decode("utf-8", "replace").splitlines()


def _heads(since: datetime) -> list[Anchor]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM organizations_audit_heads(%s)", [since])
        return [Anchor(*row) for row in cursor.fetchall()]
