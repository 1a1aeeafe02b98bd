"""Looks a variable up in all its sources, and reads it as what it must be.

The process environment comes first, then ``NAME_FILE`` (a file holding the value), then
``DATA_DIR/run.env`` and ``DATA_DIR/secrets.env``, which the launcher writes, so that ``manage.py``
works beside a running ``make up``. A refusal is one line: which variable, what is wrong, how to
make a good one.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")


class ConfigurationError(Exception):
    """A variable that is missing, malformed or unsafe; its text is the line to show."""

    def __init__(self, name: str, problem: str, remedy: str) -> None:
        super().__init__(f"{name}: {problem}; {remedy}")
        self.name = name


def read_env_file(path: Path) -> dict[str, str]:
    """Read ``KEY=VALUE`` lines; a missing file is an empty one.

    Raises:
        ConfigurationError: a line without ``=``, or a file that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        remedy = "check its owner, mode and encoding"
        raise ConfigurationError(str(path), f"cannot be read ({error})", remedy) from error
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, separator, value = line.partition("=")
        if not separator:
            raise ConfigurationError(str(path), f"line {number} has no '='", "write KEY=VALUE")
        values[name.strip()] = value.strip()
    return values


@dataclass(frozen=True)
class Variables:
    """Where variables come from, and what kinds of them there are; see ``env.Environment``.

    Attributes:
        variables: the process environment, or a stand-in for it.
    """

    variables: Mapping[str, str]

    @cached_property
    def data_dir(self) -> Path:
        """Where the launcher keeps the database, secrets and logs (``DATA_DIR``)."""
        return Path(self.variables.get("DATA_DIR") or ROOT / "var").expanduser().resolve()

    @cached_property
    def _files(self) -> dict[str, str]:
        secrets = read_env_file(self.data_dir / "secrets.env")
        return secrets | read_env_file(self.data_dir / "run.env")

    @property
    def given(self) -> set[str]:
        """Every name in all sources, whosoever reads it."""
        return {*self.variables, *self._files}

    def source(self, name: str) -> str:
        """Tell where ``text`` finds a variable."""
        if self.variables.get(name):
            return "environment"
        if self.variables.get(f"{name}_FILE"):
            return f"{name}_FILE"
        for file in ("run.env", "secrets.env"):
            if read_env_file(self.data_dir / file).get(name):
                return f"DATA_DIR/{file}"
        return "default"

    def text(self, name: str, default: str | None = None) -> str | None:
        """Look a variable up in all its sources; empty counts as absent."""
        if value := self.variables.get(name):
            return value
        if path := self.variables.get(f"{name}_FILE"):
            try:
                value = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                remedy = "point it at a readable text file"
                raise ConfigurationError(f"{name}_FILE", f"{error}", remedy) from error
            if not value:
                raise ConfigurationError(f"{name}_FILE", "is empty", "put the value in it")
            return value
        return self._files.get(name) or default

    def _required(self, name: str, remedy: str) -> str:
        value = self.text(name)
        if value is None:
            raise ConfigurationError(name, "is not set", remedy)
        return value

    def _url(self, name: str, value: str, schemes: tuple[str, ...], example: str) -> str:
        try:
            parts = urlsplit(value)
            parts.port  # noqa: B018 - raises ValueError on a port that is no port
        except ValueError as error:
            raise ConfigurationError(name, f"is no address ({error})", f"like {example}") from error
        if parts.scheme not in schemes or not (parts.netloc or parts.query):
            allowed = "/".join(schemes)
            raise ConfigurationError(name, f"must be a {allowed} address", f"like {example}")
        return value.rstrip("/")

    def _database(self, name: str, value: str) -> str:
        example = "postgresql://user:password@host:5432/name"
        address = self._url(name, value, ("postgresql", "postgres"), example)
        if not urlsplit(address).path.strip("/"):
            raise ConfigurationError(name, "names no database", f"like {example}")
        return address

    def _flag(self, name: str, *, default: bool) -> bool:
        value = self.text(name)
        if value is None:
            return default
        if value.lower() in {"1", "true", "yes", "on"}:
            return True
        if value.lower() in {"0", "false", "no", "off"}:
            return False
        raise ConfigurationError(name, f"is neither yes nor no ({value!r})", "use true or false")

    def _integer(self, name: str, default: int, low: int, high: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        if not value.isascii() or not value.isdecimal() or not low <= int(value) <= high:
            raise ConfigurationError(name, f"is no number from {low} to {high}", f"like {default}")
        return int(value)

    def _path_text(self, name: str, default: str | None) -> str | None:
        value = self.text(name, default)
        if value is not None and not _PATH.fullmatch(value):
            raise ConfigurationError(name, "is no path", "use letters, digits, / . _ and -")
        return value

    def _readable(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not os.access(value, os.R_OK):
            raise ConfigurationError(name, "is no readable file", "name a file of certificates")
        return value

    def _optional_url(self, name: str, schemes: tuple[str, ...], example: str) -> str | None:
        value = self.text(name)
        return None if value is None else self._url(name, value, schemes, example)

    @classmethod
    def settings(cls) -> dict[str, "cached_property[object]"]:
        """Every public setting by its attribute, in the order they are written."""
        return {
            name: member
            for owner in reversed(cls.__mro__)
            for name, member in vars(owner).items()
            if isinstance(member, cached_property) and not name.startswith("_")
        }

    def refusals(self) -> list[ConfigurationError]:
        """Read everything and return all that cannot be accepted, once each."""
        found: dict[str, ConfigurationError] = {}
        for name in self.settings():
            try:
                getattr(self, name)
            except ConfigurationError as refusal:
                found.setdefault(str(refusal), refusal)
        return list(found.values())
