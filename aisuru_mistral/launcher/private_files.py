"""The small files in DATA_DIR that must be whole and private: secrets, run.env, the record.

Secrets are made once and never overwritten: without the keyring no stored key can be opened again.
"""

import base64
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from aisuru_mistral import env
from aisuru_mistral.launcher.console import CannotStart, Say

SECRETS_FILE = "secrets.env"
RUN_FILE = "run.env"

_MAKERS: Mapping[str, Callable[[], str]] = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(64),
    "ENCRYPTION_KEYRING": lambda: f"k1:{base64.b64encode(os.urandom(32)).decode('ascii')}",
    "POSTGRES_PASSWORD": lambda: secrets.token_urlsafe(32),
    "POSTGRES_APP_PASSWORD": lambda: secrets.token_urlsafe(32),
}


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, so that a crash leaves the old one or the new."""
    building = path.with_name(f"{path.name}.new")
    building.unlink(missing_ok=True)
    descriptor = os.open(building, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    building.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def env_lines(values: Mapping[str, str]) -> str:
    """Return values as the KEY=VALUE lines that `env.read_env_file` reads."""
    return "".join(f"{name}={value}\n" for name, value in values.items())


def ensure_secrets(environment: env.Environment, tell: Say) -> dict[str, str]:
    """Return the secrets of this DATA_DIR, making those that the environment does not give.

    Raises:
        CannotStart: the file is unreadable or incomplete, or is gone while its database is there.
    """
    path = environment.data_dir / SECRETS_FILE
    wanted = [name for name in _MAKERS if not _is_given(environment, name)]
    if not path.exists():
        _refuse_orphaned_data(path)
        made = {name: _MAKERS[name]() for name in wanted}
        write_private(
            path, f"# Made once. Without it no stored key opens again.\n{env_lines(made)}"
        )
        tell(f"  ✓ secrets made once: {path} (mode 0600; back it up, it opens every stored key)")
        return made
    try:
        found = env.read_env_file(path)
    except env.ConfigurationError as error:
        raise CannotStart(f"{error}. It holds the keyring: repair it, never replace it") from error
    if missing := [name for name in wanted if not found.get(name)]:
        raise CannotStart(
            f"{path} lacks {', '.join(missing)}: restore it from a backup or set the variable;"
            " a new keyring could not open what is stored"
        )
    if path.stat().st_mode & 0o077:
        tell(f"  ! {path} can be read by others: chmod 600 {path}")
    return found


def _is_given(environment: env.Environment, name: str) -> bool:
    variables = environment.variables
    return bool(variables.get(name) or variables.get(f"{name}_FILE"))


def _refuse_orphaned_data(path: Path) -> None:
    if (path.parent / "postgres").exists():
        raise CannotStart(
            f"{path} is gone but its database is still there: restore the file, or move"
            f" {path.parent / 'postgres'} away to start afresh (its stored keys stay closed)"
        )
