"""The one place that reads the environment; it refuses values that would start a broken service.

Where it looks a variable up: ``variables.py``. docs/configuration.md is written from the docstrings
here.
"""

import os
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from aisuru_mistral import master_keys
from aisuru_mistral.variables import ROOT, ConfigurationError, Variables, read_env_file

__all__ = ["ROOT", "ConfigurationError", "Traces", "read_env_file"]

SECRET_KEY_LENGTH = 50
METRICS_TOKEN_LENGTH = 20
_GUESSABLE = "is a well-known or guessable value"
_KNOWN_SECRETS = ("changeme", "change-me", "secret", "django-insecure", "password", "example")
# A network that swallows packets is found out in seconds, not in the kernel's quarter of an hour.
_CONNECTION_PATIENCE = {
    "connect_timeout": "5",
    "tcp_user_timeout": "10000",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_HOW_TO_MAKE_SIGNING = (
    "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(64))'"
)
_HOW_TO_PART = (
    f"{_HOW_TO_MAKE_SIGNING}; where it is in use, put a new key first in ENCRYPTION_KEYRING instead"
    " and run manage.py rotate_keyring"
)


class Traces(NamedTuple):
    """Whose spans go where: the whole address, and OpenTelemetry's ``name=value,…`` beside them."""

    service_name: str
    url: str
    headers: str | None = None


class Environment(Variables):
    """Typed settings; every property raises ConfigurationError on a value it cannot accept.

    Attributes:
        variables: the process environment, or a stand-in for it.
    """

    @cached_property
    def secret_key(self) -> str:
        """Signs cursors and derives fingerprints (``SECRET_KEY``, at least 50 characters).

        It must not hold the newest master key.
        """
        value = self._required("SECRET_KEY", _HOW_TO_MAKE_SIGNING)
        if len(set(value)) < 12:  # noqa: PLR2004 - too regular to be random
            raise ConfigurationError("SECRET_KEY", _GUESSABLE, _HOW_TO_MAKE_SIGNING)
        try:
            keyring = master_keys.read(self.text("ENCRYPTION_KEYRING") or "")
        except master_keys.EntryError:
            keyring = ()  # it is refused by itself
        if master_keys.newest_is_in(value, keyring):
            raise ConfigurationError("SECRET_KEY", "holds the master key", _HOW_TO_PART)
        return _strong("SECRET_KEY", value, SECRET_KEY_LENGTH)

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

    @cached_property
    def database_url(self) -> str:
        """PostgreSQL as the unprivileged application login (``DATABASE_URL``)."""
        remedy = (
            "start the service with `make up` (with the same DATA_DIR as here), or set"
            " postgresql://user:password@host/name"
        )
        value = self._required("DATABASE_URL", remedy)
        return self._database("DATABASE_URL", value)

    @cached_property
    def database_direct_url(self) -> str | None:
        """The same PostgreSQL without a pooler in between (``DATABASE_DIRECT_URL``).

        Must be set where ``DATABASE_URL`` leads to pgbouncer in transaction mode: the ledger's
        writers, pgmq and the locks of conditional changes belong to a session.
        """
        name = "DATABASE_DIRECT_URL"
        value = self.text(name)
        return None if value is None else self._database(name, value)

    @cached_property
    def celery_broker_url(self) -> str:
        """Celery's broker (``CELERY_BROKER_URL``); by default pgmq in the same PostgreSQL."""
        value = self.text("CELERY_BROKER_URL")
        if value is None:
            address = self.database_direct_url or self.database_url
            return "pgmq" + address[address.index("://") :]
        schemes = ("pgmq", "redis", "rediss", "amqp", "amqps")
        return self._url("CELERY_BROKER_URL", value, schemes, "redis://host:6379/0")

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
    def upload_waiting_mib(self) -> int:
        """MiB of disk for forms that wait, in each web process (``UPLOAD_WAITING_MIB``).

        What tells its model after its file waits in the folder of temporary files, which needs that
        much for each process; one organization has half of it.
        """
        return self._integer("UPLOAD_WAITING_MIB", 1040, 2, 1_048_576)

    @cached_property
    def log_level(self) -> str:
        """Least level that is logged (``LOG_LEVEL``)."""
        value = str(self.text("LOG_LEVEL", "INFO")).upper()
        if value not in _LOG_LEVELS:
            raise ConfigurationError("LOG_LEVEL", f"is unknown ({value!r})", " ".join(_LOG_LEVELS))
        return value

    @cached_property
    def audit_anchors(self) -> Path | None:
        """Where heads of audit chains are written down (``AUDIT_ANCHORS``): a file, or ``log``.

        A file must outlive the process, and be one for web and workers. ``log`` is for where logs
        are kept elsewhere: the lines ``audit_anchor``, of level ``INFO``.
        """
        value = self.text("AUDIT_ANCHORS")
        if value is None:
            return self.data_dir / "audit-anchors.jsonl"
        if value != "log":
            if not Path(value).is_absolute():
                remedy = "like /var/lib/aisuru-mistral/audit-anchors.jsonl"
                raise ConfigurationError("AUDIT_ANCHORS", "is no whole path, nor log", remedy)
            return Path(value)
        if _LOG_LEVELS.index(self.log_level) > _LOG_LEVELS.index("INFO"):
            problem = "is log, and LOG_LEVEL leaves such lines out"
            raise ConfigurationError("AUDIT_ANCHORS", problem, "set LOG_LEVEL to INFO")
        return None

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
    def migration_lock_seconds(self) -> int:
        """How long a migration waits for a lock (``MIGRATION_LOCK_SECONDS``).

        Calls wait behind it for as long.
        """
        return self._integer("MIGRATION_LOCK_SECONDS", 2, 1, 600)

    @cached_property
    def migration_attempts(self) -> int:
        """How often a migration tries to get a lock until it fails (``MIGRATION_ATTEMPTS``)."""
        return self._integer("MIGRATION_ATTEMPTS", 30, 1, 1000)

    @cached_property
    def traces(self) -> Traces | None:
        """Where spans go by OTLP over HTTP (``OTEL_EXPORTER_OTLP_ENDPOINT``).

        ``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_SERVICE_NAME`` (``aisuru-mistral``) and
        ``OTEL_SDK_DISABLED`` mean what OpenTelemetry says; so do ``OTEL_TRACES_SAMPLER``,
        ``OTEL_TRACES_SAMPLER_ARG`` and the others, which it reads itself, from the environment
        alone. Without an endpoint, nothing of OpenTelemetry is loaded.
        """
        where = self._optional_url(
            "OTEL_EXPORTER_OTLP_ENDPOINT", ("http", "https"), "http://collector:4318"
        )
        if where is None or self._flag("OTEL_SDK_DISABLED", default=False):
            return None
        return Traces(
            service_name=str(self.text("OTEL_SERVICE_NAME", "aisuru-mistral")),
            url=self._optional_url(
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                ("http", "https"),
                "http://collector:4318/v1/traces",
            )
            or f"{where}/v1/traces",
            headers=self.text("OTEL_EXPORTER_OTLP_TRACES_HEADERS")
            or self.text("OTEL_EXPORTER_OTLP_HEADERS"),
        )

    @cached_property
    def metrics_token(self) -> str | None:
        """Bearer token that opens ``/metrics`` beyond loopback (``METRICS_TOKEN``).

        At least 20 characters.
        """
        value = self.text("METRICS_TOKEN")
        return None if value is None else _strong("METRICS_TOKEN", value, METRICS_TOKEN_LENGTH)


def _strong(name: str, value: str, least: int) -> str:
    if any(known in value.lower() for known in _KNOWN_SECRETS):
        raise ConfigurationError(name, _GUESSABLE, _HOW_TO_MAKE_SIGNING)
    if len(value) < least:
        problem = f"is shorter than {least} characters"
        raise ConfigurationError(name, problem, _HOW_TO_MAKE_SIGNING)
    return value


def load() -> Environment:
    """Read the process environment."""
    return Environment(os.environ)  # noqa: TID251 - this is the one place


def django_database(url: str) -> dict[str, Any]:
    """Turn a PostgreSQL address into Django's settings.

    Its query may name a folder of a socket (``host``), several servers (``host=a,b``), and whatever
    else libpq knows: ``sslmode``, ``target_session_attrs``.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    host = query.pop("host", parts.hostname or "")
    return {
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or ""),
        "OPTIONS": _CONNECTION_PATIENCE | query,
    }
