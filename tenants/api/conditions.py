"""Changes that hold only if nobody else changed the resource meanwhile (RFC 9110, 13.1.1).

Whatever can be changed has an ``ETag``: a digest of what is shown of it, but for when it was last
used. A PATCH or PUT with ``If-Match`` is carried out only if the resource still has one of these
tags. Without ``If-Match`` the last one wins. Changes of one address wait for each other, so that of
two with the same tag one is told that its picture is stale. A proxy that compresses marks tags as
weak; ours are of members, not of bytes, so ``W/`` makes no difference.

Conflict  412 stale   the resource has another tag, or none
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
import structlog
from django.conf import settings
from django.db import DatabaseError, connections
from django.utils.translation import gettext as _
from rest_framework.request import Request

from tenants.common.problems import Conflict

HEADER = "If-Match"
_TAGS = re.compile(r'(?:W/)?"([!#-~]*)"')
#: Shown, but no part of what a resource is: time and workers move them.
_MOVING = frozenset({"last_used_at", "publication"})
_LOCK = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtextextended(%s, 0))"

log = structlog.get_logger(__name__)


def tag_of(shown: Any) -> str:
    """Make the tag of what is shown of a resource."""
    kept = shown
    if isinstance(shown, Mapping):
        kept = {name: value for name, value in shown.items() if name not in _MOVING}
    written = orjson.dumps(kept, default=str, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(written).hexdigest()[:32]


@contextmanager
def unchanged(request: Request, current: Callable[[], str | None]) -> Iterator[None]:
    """Let one change of an address happen at a time, and only if its condition holds.

    Args:
        request: with or without ``If-Match``.
        current: gives the tag that the resource has now; None for a resource without one.

    Raises:
        Conflict: ``stale``.
    """
    name = f"api {request.path}"
    with connections[settings.DIRECT_DATABASE].cursor() as cursor:
        cursor.execute(_LOCK, [name])
    try:
        wanted = request.headers.get(HEADER)
        if wanted is not None and not _matches(wanted, current):
            detail = _("It was changed meanwhile. Read it again, and change what it is now.")
            raise Conflict("stale", detail, status=412)
        yield
    finally:
        _unlock(name)


def _matches(wanted: str, current: Callable[[], str | None]) -> bool:
    tag = current()
    return wanted.strip() == "*" or tag in _TAGS.findall(wanted)


def _unlock(name: str) -> None:
    connection = connections[settings.DIRECT_DATABASE]
    try:
        with connection.cursor() as cursor:
            cursor.execute(_UNLOCK, [name])
    except DatabaseError as error:
        # The lock ends with the connection; a broken one is not used again.
        log.warning("not_unlocked", error=type(error).__name__)
        connection.close()
