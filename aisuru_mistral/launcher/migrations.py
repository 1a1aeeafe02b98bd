"""Whether the database has every migration and the price list, without asking Django.

Django needs a second or two to find that nothing is new. What was applied last time is remembered
beside the data, and compared with the files here and with the rows in the database.
"""

import hashlib
from pathlib import Path

import psycopg
from psycopg import errors

from aisuru_mistral import env

_MARKER = "migrated"
_SOURCES = (
    "requirements/base.txt",
    "tenants/**/migrations/*.py",
    "tenants/registry/data/models.json",
)


def state(owner_url: str) -> str:
    """Return a fingerprint of the migrations and prices on disk, and of what was applied."""
    digest = hashlib.sha256()
    files = {path for pattern in _SOURCES for path in env.ROOT.glob(pattern)}
    for path in sorted(files):
        digest.update(path.name.encode() + path.read_bytes())
    with psycopg.connect(owner_url, connect_timeout=10) as connection:
        try:
            applied = connection.execute(
                "SELECT app, name, applied FROM django_migrations ORDER BY id"
            ).fetchall()
        except errors.UndefinedTable:
            applied = []
    digest.update(repr(applied).encode())
    return digest.hexdigest()


def are_applied(data_dir: Path, owner_url: str) -> bool:
    """Tell whether nothing has changed since `remember`."""
    try:
        return (data_dir / _MARKER).read_text(encoding="ascii") == state(owner_url)
    except FileNotFoundError:
        return False


def remember(data_dir: Path, owner_url: str) -> None:
    """Take the present state as migrated."""
    (data_dir / _MARKER).write_text(state(owner_url), encoding="ascii")
