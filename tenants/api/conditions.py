"""Changes that hold only if nobody else changed the resource meanwhile (RFC 9110, 13.1.1).

Whatever can be changed has an ``ETag``: a digest of what is shown of it, but for when it was last
used. A PATCH, PUT or DELETE with ``If-Match``, and a POST that acts on the resource, is carried out
only if the resource still has one of these tags. Without ``If-Match`` the last one wins. Changes of
one address wait for each other, so that of two with the same tag one is told that its picture is
stale. A proxy that compresses marks tags as
weak; ours are of members, not of bytes, so ``W/`` makes no difference.

Conflict  412 stale   the resource has another tag, or none
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import orjson
import structlog
from django.conf import settings
from django.db import DatabaseError, connections
from django.urls import resolve
from django.utils.translation import gettext as _
from rest_framework.request import Request

from tenants.common.problems import Conflict

HEADER = "If-Match"
#: What has one of these methods beside GET can be changed, so it has a tag.
CHANGING = frozenset({"put", "patch", "delete"})
_OK = 200
_TAGS = re.compile(r'(?:W/)?"([!#-~]*)"')
#: Shown, but no part of what a resource is: time and workers move them.
_MOVING = frozenset({"last_used_at", "former_last_used_at", "publication"})
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


def resource_of(view: Any, request: Request, *, is_action: bool) -> tuple[str, Any]:
    """Tell what a request reads or changes, by its address and its view.

    Args:
        view: who answers.
        request: at the resource's own address, or one below.
        is_action: it is below: ``/workspaces/{id}/archive`` acts on ``/workspaces/{id}``.
    """
    if not is_action:
        return request.path_info, view
    address = request.path_info.rpartition("/")[0]
    found: Any = resolve(address).func
    return address, found.view_class()


def current_tag(resource: Any, request: Request, ids: Mapping[str, UUID]) -> str | None:
    """Tell what tag a resource, given as its view, has now; None for one that nobody reads."""
    read = getattr(getattr(resource, "get", None), "read", None)
    return tag_of(read(resource, request, ids)) if read else None


def is_tagged(resource: Any, status: int, shape: object) -> bool:
    """Tell whether an answer is what GET shows of a resource that can be changed."""
    get: Any = getattr(resource, "get", None)
    can_change = any(hasattr(resource, name) for name in CHANGING)
    if get is None or get.read is None or not can_change or status != _OK:
        return False
    return shape is not None and shape is get.shape


def without_shown(resource: Any, takes: Any, body: Any, method: str) -> Any:
    """Pass over, in a PUT, what GET shows and nobody can change: what was read can be sent back.

    Where PUT takes what GET does not show, a secret, nothing can be sent back.
    """
    get: Any = getattr(resource, "get", None)
    if method != "put" or get is None or get.read is None or not isinstance(body, Mapping):
        return body
    shown, taken = get.shape().fields.keys(), takes().fields.keys()
    if not taken <= shown:
        return body
    return {name: value for name, value in body.items() if name in taken or name not in shown}


@contextmanager
def unchanged(request: Request, address: str, current: Callable[[], str | None]) -> Iterator[None]:
    """Let one change of an address happen at a time, and only if its condition holds.

    Args:
        request: with or without ``If-Match``.
        address: of what is changed.
        current: gives the tag that the resource has now; None for a resource without one.

    Raises:
        Conflict: ``stale``.
    """
    name = f"api {address}"
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
