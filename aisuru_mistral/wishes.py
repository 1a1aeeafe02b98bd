"""What the service does without for a while: where one is missing it is ready, and degraded.

A keyring that lacks a master key in use takes its keys down and nobody else's; without Redis each
process keeps to its share of a rate limit.
"""

import time
from collections.abc import Callable
from functools import lru_cache

import structlog
from django.conf import settings

from tenants.gateway import shared
from tenants.organizations import rotation

log = structlog.get_logger(__name__)

_MINUTE = 60


def _keyring_is_complete() -> bool:
    """Compare the keyring with what is in use; the answer holds for a minute."""
    return not _missing_master_keys(int(time.monotonic() // _MINUTE))


@lru_cache(maxsize=1)
def _missing_master_keys(_minute: int) -> list[str]:
    missing = rotation.missing_master_keys()
    if missing:
        log.error("master_keys_missing", key_ids=missing)
    return missing


def _limits_are_shared() -> bool:
    return settings.REDIS_URL is None or shared.answers(settings.REDIS_URL)


#: By name; each tells whether it is fulfilled.
WISHES: dict[str, Callable[[], bool]] = {
    "keyring": _keyring_is_complete,
    "shared_rate_limits": _limits_are_shared,
}
#: Those that the database is asked for: while it is away nobody knows.
ASKED_OF_DATABASE = frozenset({"keyring"})
