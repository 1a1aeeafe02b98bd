"""The one place that reads the environment; it refuses values that would start a broken service.

A variable is looked up in the process environment, then as ``NAME_FILE`` (a file holding the
value), then in ``DATA_DIR/run.env`` and ``DATA_DIR/secrets.env``, which the launcher writes, so
that ``manage.py`` works beside a running ``make up``. A refusal is one line: which variable, what
is wrong, how to make a good one.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from aisuru_mistral import master_keys

ROOT = Path(__file__).resolve().parent.parent
SECRET_KEY_LENGTH = 50
_KNOWN_SECRETS = ("changeme", "change-me", "secret", "django-insecure", "password", "example")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_HOW_TO_MAKE_SIGNING = (
    "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(64))'"
)


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
class Environment:
    """Typed settings; every property raises ConfigurationError on a value it cannot accept.

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

    @cached_property
    def secret_key(self) -> str:
        """Signs cursors and derives fingerprints (``SECRET_KEY``, at least 50 characters)."""
        value = self._required("SECRET_KEY", _HOW_TO_MAKE_SIGNING)
        if any(known in value.lower() for known in _KNOWN_SECRETS) or len(set(value)) < 12:  # noqa: PLR2004 - too regular to be random
            raise ConfigurationError(
                "SECRET_KEY", "is a well-known or guessable value", _HOW_TO_MAKE_SIGNING
            )
        if len(value) < SECRET_KEY_LENGTH:
            problem = f"is shorter than {SECRET_KEY_LENGTH} characters"
            raise ConfigurationError("SECRET_KEY", problem, _HOW_TO_MAKE_SIGNING)
        return value

    @cached_property
    def encryption_keyring(self) -> tuple[tuple[str, bytes | str], ...]:
        """Master keys, ``id:key[,id:key…]``, newest first (``ENCRYPTION_KEYRING``).

        The first one seals, all of them open; without them every Mistral key is lost. A key is 32
        bytes in base64, or names one in a key service: ``vault:<name>`` in Vault's Transit engine,
        ``kms:<arn>`` in AWS KMS.
        """
        name = "ENCRYPTION_KEYRING"
        text = self._required(name, master_keys.HOW_TO_MAKE)
        try:
            return master_keys.read(text)
        except master_keys.EntryError as error:
            raise ConfigurationError(name, error.problem, error.remedy) from None

    @cached_property
    def vault(self) -> master_keys.Vault | None:
        """HashiCorp Vault, if the keyring names a key in it (``VAULT_ADDR``, ``VAULT_TOKEN``).

        ``VAULT_TRANSIT_MOUNT`` (``transit``), ``VAULT_NAMESPACE`` and ``VAULT_CACERT`` are as
        Vault's own tools know them. A token that is denied is read anew from its file.
        """
        entries = (key for _, key in self.encryption_keyring if isinstance(key, str))
        if not any(entry.startswith(master_keys.VAULT) for entry in entries):
            return None
        example = "https://vault.example.com:8200"
        reason = "ENCRYPTION_KEYRING names a key in Vault"
        address = self._url(
            "VAULT_ADDR",
            self._required("VAULT_ADDR", f"{reason}; like {example}"),
            ("https", "http"),
            example,
        )
        parts = urlsplit(address)
        if parts.path:
            raise ConfigurationError("VAULT_ADDR", "has a path", f"like {example}, without /v1")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            problem = "would carry keys in clear text over the network"
            raise ConfigurationError("VAULT_ADDR", problem, f"use https, like {example}")
        file = self.variables.get("VAULT_TOKEN_FILE")
        return master_keys.Vault(
            address=address,
            token=self._required("VAULT_TOKEN", f"{reason}; make a token for its policy"),
            token_file=Path(file) if file and not self.variables.get("VAULT_TOKEN") else None,
            mount=self._path_text("VAULT_TRANSIT_MOUNT", "transit") or "transit",
            namespace=self._path_text("VAULT_NAMESPACE", None),
            ca_file=self._readable("VAULT_CACERT"),
        )

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

    @cached_property
    def database_url(self) -> str:
        """PostgreSQL as the unprivileged application login (``DATABASE_URL``)."""
        remedy = "start the service with `make up`, or set postgresql://user:password@host/name"
        value = self._required("DATABASE_URL", remedy)
        example = "postgresql://user:password@host:5432/name"
        return self._url("DATABASE_URL", value, ("postgresql", "postgres"), example)

    @cached_property
    def celery_broker_url(self) -> str:
        """Celery's broker (``CELERY_BROKER_URL``); by default pgmq in the same PostgreSQL."""
        value = self.text("CELERY_BROKER_URL")
        if value is None:
            return "pgmq" + self.database_url[self.database_url.index("://") :]
        schemes = ("pgmq", "redis", "rediss", "amqp", "amqps")
        return self._url("CELERY_BROKER_URL", value, schemes, "redis://host:6379/0")

    def _optional_url(self, name: str, schemes: tuple[str, ...], example: str) -> str | None:
        value = self.text(name)
        return None if value is None else self._url(name, value, schemes, example)

    @cached_property
    def redis_url(self) -> str | None:
        """Redis, where web processes count rate limits together (``REDIS_URL``)."""
        return self._optional_url("REDIS_URL", ("redis", "rediss"), "redis://host:6379/0")

    @cached_property
    def aisuru_api_url(self) -> str | None:
        """AIsuru's backend, up to and with ``/api/v2`` (``AISURU_API_URL``)."""
        example = "https://backend.example.com/api/v2"
        address = self._optional_url("AISURU_API_URL", ("https", "http"), example)
        if address is None:
            return None
        if not address.endswith("/api/v2"):
            raise ConfigurationError("AISURU_API_URL", "does not end in /api/v2", f"like {example}")
        parts = urlsplit(address)
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            problem = "would carry login tokens in clear text over the network"
            raise ConfigurationError("AISURU_API_URL", problem, f"use https, like {example}")
        return address

    @cached_property
    def email_url(self) -> str | None:
        """Where mail goes (``EMAIL_URL``): SMTP, a folder, or the console."""
        value = self.text("EMAIL_URL")
        if value in {None, "consolemail://"}:
            return value
        example = "smtp://host:25, filemail:///folder or consolemail://"
        if str(value).startswith("filemail:///"):
            return value
        return self._url("EMAIL_URL", str(value), ("smtp", "smtps"), example)

    @cached_property
    def mail_from(self) -> str:
        """The address that mail comes from (``MAIL_FROM``)."""
        value = str(self.text("MAIL_FROM", "aisuru-mistral@localhost"))
        if "@" not in value or any(character in value for character in "\r\n"):
            raise ConfigurationError("MAIL_FROM", "is no address", "like keys@example.com")
        return value

    @cached_property
    def trusted_proxy_count(self) -> int:
        """How many proxies in front of us append to X-Forwarded-For (``TRUSTED_PROXY_COUNT``)."""
        return self._integer("TRUSTED_PROXY_COUNT", 0, 0, 10)

    @cached_property
    def vies_api_url(self) -> str:
        """The European Commission's check of VAT numbers (``VIES_API_URL``)."""
        own = "https://ec.europa.eu/taxation_customs/vies/rest-api"
        return self._url(
            "VIES_API_URL", str(self.text("VIES_API_URL", own)), ("https", "http"), own
        )

    @cached_property
    def staff_password(self) -> str | None:
        """The password that ``create_staff`` gives, instead of asking (``STAFF_PASSWORD``)."""
        return self.text("STAFF_PASSWORD")

    @cached_property
    def mistral_api_url(self) -> str:
        """Mistral's API without ``/v1`` (``MISTRAL_API_URL``)."""
        value = self.text("MISTRAL_API_URL", "https://api.mistral.ai")
        address = self._url(
            "MISTRAL_API_URL", str(value), ("https", "http"), "https://api.mistral.ai"
        )
        if address.endswith("/v1"):
            raise ConfigurationError("MISTRAL_API_URL", "ends in /v1", "leave /v1 out")
        return address

    @cached_property
    def public_url(self) -> str:
        """The address AIsuru uses to reach the gateway (``PUBLIC_URL``)."""
        value = self.text("PUBLIC_URL", f"http://127.0.0.1:{self.port}")
        return self._url("PUBLIC_URL", str(value), ("https", "http"), "https://models.example.com")

    @cached_property
    def allowed_hosts(self) -> list[str]:
        """Host names the service answers to (``ALLOWED_HOSTS``, comma separated)."""
        own = urlsplit(self.public_url).hostname or ""
        value = self.text("ALLOWED_HOSTS")
        listed = [host.strip() for host in value.split(",") if host.strip()] if value else []
        return sorted({*listed, own, "127.0.0.1", "localhost", "[::1]"})

    @cached_property
    def maintenance(self) -> bool:
        """Close console, desk and management API, not the gateway (``MAINTENANCE``)."""
        return self._flag("MAINTENANCE", default=False)

    @cached_property
    def debug(self) -> bool:
        """Django's debug pages (``DEBUG``); never in production."""
        return self._flag("DEBUG", default=False)

    @cached_property
    def webhook_loopback(self) -> bool:
        """Webhooks may go to this very machine, over http too (``WEBHOOK_LOOPBACK``).

        For trying things out; by default only where ``DEBUG`` is on.
        """
        return self._flag("WEBHOOK_LOOPBACK", default=self.debug)

    @cached_property
    def port(self) -> int:
        """TCP port of the web process (``PORT``)."""
        return self._integer("PORT", 8000, 1, 65535)

    @cached_property
    def web_concurrency(self) -> int:
        """Web processes (``WEB_CONCURRENCY``)."""
        return self._integer("WEB_CONCURRENCY", 1, 1, 64)

    @cached_property
    def log_level(self) -> str:
        """Least level that is logged (``LOG_LEVEL``)."""
        value = str(self.text("LOG_LEVEL", "INFO")).upper()
        if value not in _LOG_LEVELS:
            raise ConfigurationError("LOG_LEVEL", f"is unknown ({value!r})", " ".join(_LOG_LEVELS))
        return value

    @cached_property
    def key_recheck_seconds(self) -> int:
        """How long a fresh key that Mistral does not know stays in doubt (``KEY_RECHECK_SECONDS``).

        Mistral's servers were reported to need two to five minutes until all know a new key.
        """
        return self._integer("KEY_RECHECK_SECONDS", 180, 1, 3600)

    @cached_property
    def data_key_days(self) -> int:
        """How old an organization's data key may become (``DATA_KEY_DAYS``)."""
        return self._integer("DATA_KEY_DAYS", 365, 1, 3650)

    @cached_property
    def metrics_token(self) -> str | None:
        """Bearer token that opens ``/metrics`` beyond loopback (``METRICS_TOKEN``)."""
        return self.text("METRICS_TOKEN")

    def refusals(self) -> list[ConfigurationError]:
        """Read everything and return all that cannot be accepted, once each."""
        found: dict[str, ConfigurationError] = {}
        for name, member in vars(type(self)).items():
            if isinstance(member, cached_property) and not name.startswith("_"):
                try:
                    getattr(self, name)
                except ConfigurationError as refusal:
                    found.setdefault(str(refusal), refusal)
        return list(found.values())


def load() -> Environment:
    """Read the process environment."""
    return Environment(os.environ)  # noqa: TID251 - this is the one place


def django_database(url: str) -> dict[str, Any]:
    """Turn a PostgreSQL address (``?host=/socket/dir`` allowed) into Django's settings."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    host = query.pop("host", parts.hostname or "")
    return {
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or ""),
        "OPTIONS": dict(query),
    }
