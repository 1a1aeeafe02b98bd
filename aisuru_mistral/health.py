"""Whether the service lives, whether it may take requests, and how much it does.

Ready means: the database answers, its login cannot walk around row-level security, no table lacks
it, and every migration of this code is applied. Degraded is ready too: something that is done
without is away.
``/metrics`` is for the machine itself, or with a token.
"""

import hmac
from collections.abc import Callable
from functools import cache
from ipaddress import ip_address

import psycopg
import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST

from aisuru_mistral import telemetry, walls
from aisuru_mistral.wishes import WISHES
from tenants.access.errors import answer, not_found, read_only

log = structlog.get_logger(__name__)

#: Of a probe, which waits five seconds or so.
PATIENCE = 3.0
_FIRST = "database"

_UNSAFE_LOGIN = """
    SELECT rolsuper OR rolbypassrls OR EXISTS (
        SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
          AND pg_has_role(current_user, c.relowner, 'MEMBER'))
    FROM pg_roles WHERE rolname = current_user
"""


@read_only
def live(_request: HttpRequest) -> HttpResponse:
    """Tell that the process answers."""
    return JsonResponse({"status": "live"})


@read_only
def ready(_request: HttpRequest) -> HttpResponse:
    """Tell whether requests can be served: 200, or 503 with the checks that fail.

    Where a wish (``wishes``) is not fulfilled the service is ready, and says that it is
    ``degraded``.
    """
    failing = _failing()
    document = {"status": "failing" if failing else "ready", "failing": failing}
    degraded = (
        [] if failing else [name for name, check in WISHES.items() if not _passes(name, check)]
    )
    if degraded:
        document["degraded"] = degraded
    return JsonResponse(document, status=503 if failing else 200)


@read_only
def metrics(request: HttpRequest) -> HttpResponse:
    """Give Prometheus its figures; to strangers there is nothing here."""
    if not (_is_local(request) or has_metrics_token(request)):
        return answer(not_found())
    return HttpResponse(telemetry.page(), content_type=CONTENT_TYPE_LATEST)


def _passes(name: str, check: Callable[[], bool]) -> bool:
    try:
        passed = check()
    except DatabaseError as error:
        log.warning("not_ready", check=name, error=type(error).__name__)
        return False
    return passed


def _failing() -> list[str]:
    """Name the checks that fail; a database that is away is asked nothing more."""
    failing: list[str] = []
    for name, check in _CHECKS.items():
        if not _passes(name, check):
            failing.append(name)
            if name == _FIRST:
                break
    return failing


def _database_answers() -> bool:
    if connection.connection is None and not _pool_has_one():
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


def _pool_has_one() -> bool:
    """Tell whether the pool can give a connection, sooner than whoever asks has given up."""
    pool = connection.pool  # type: ignore[attr-defined]
    if pool is None:
        return True
    pool.open()
    try:
        with pool.connection(timeout=PATIENCE):
            return True
    except psycopg.OperationalError as error:  # the pool's own are among them
        log.warning("not_ready", check=_FIRST, error=type(error).__name__)
        return False


def _is_walled() -> bool:
    """Tell that the wall holds this login, and has no gap: better not to serve than to show."""
    if gaps := walls.open_tables():
        log.error("wall_is_open", tables=gaps)
    return login_is_walled() and not gaps


def login_is_walled() -> bool:
    """Tell that the application's login owns no table and cannot walk around the wall."""
    with connection.cursor() as cursor:
        cursor.execute(_UNSAFE_LOGIN)
        return bool(cursor.fetchone() == (False,))


def is_migrated() -> bool:
    """Tell that every migration of this code is applied."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT app, name FROM django_migrations")
        return _migrations() <= set(cursor.fetchall())


@cache
def _migrations() -> frozenset[tuple[str, str]]:
    """Read from the code which migrations there are, once per process."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())


_CHECKS = {
    _FIRST: _database_answers,
    "row_level_security": _is_walled,
    "migrations": is_migrated,
}


def _is_local(request: HttpRequest) -> bool:
    """Tell a caller on this machine; whoever came through a proxy is not one."""
    if "HTTP_X_FORWARDED_FOR" in request.META or "HTTP_FORWARDED" in request.META:
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def has_metrics_token(request: HttpRequest) -> bool:
    """Tell who may read the figures from anywhere."""
    token = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "")
    return token is not None and hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
