"""The names of our variables: which there are, what is misspelt, and where each value comes from.

A variable is named where it is read, in the docstring of its property in ``env.py``.
"""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import NamedTuple
from urllib.parse import urlsplit

from aisuru_mistral.env import ConfigurationError, Environment

NAME = re.compile(r"``([A-Z_]+)``")
NAMED = re.compile(r" \((``[A-Z_]+``(?:, ``[A-Z_]+``)*)(?:, ([^)]*))?\)")
#: Read beside others, whose docstrings name them in passing.
BESIDE = (
    *("VAULT_TRANSIT_MOUNT", "VAULT_NAMESPACE", "VAULT_CACERT"),
    *("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_SERVICE_NAME", "OTEL_SDK_DISABLED"),
)
#: Read by the image's entrypoint and by compose.
_AROUND = (
    *("HOST", "DRAIN_SECONDS", "WORKER_CONCURRENCY", "DATABASE_OWNER_URL", "STOP_GRACE_PERIOD"),
    *("DOMAIN", "BACKUPS", "KEEP_DAYS", "WEB_MEMORY", "WORKER_MEMORY"),
)
SECRETS = (
    *("SECRET_KEY", "ENCRYPTION_KEYRING", "DATABASE_URL", "DATABASE_OWNER_URL"),
    "DATABASE_DIRECT_URL",
    *("CELERY_BROKER_URL", "REDIS_URL", "EMAIL_URL", "METRICS_TOKEN", "VAULT_TOKEN"),
    "OTEL_EXPORTER_OTLP_HEADERS",
)
#: Parts of an address, as charts and other services take them: like one of ours, and none.
_OF_OTHERS = ("DATABASE_USER",)
_SHORTEST = 6  # shorter names are like those of others by chance
_LIKENESS = 0.86
_NOTHING = ""
_MASKED = "•••"


class Value(NamedTuple):
    """A variable as it is in force, without a secret; ``source`` is where it was found."""

    name: str
    shown: str
    source: str


def names() -> dict[str, str | None]:
    """Name every variable that ``env.py`` reads, and the property that gives it its default."""
    found: dict[str, str | None] = {}
    for attribute, member in Environment.settings().items():
        if named := NAMED.search(" ".join((member.__doc__ or "").split())):
            several = NAME.findall(named[1])
            found |= dict.fromkeys(several, attribute if len(several) == 1 else None)
    return found | dict.fromkeys(BESIDE, None)


def misspelt(given: Iterable[str]) -> dict[str, str]:
    """Find names that nobody reads and that are nearly one of ours, and which one.

    OpenTelemetry reads many more ``OTEL_…`` than we name, so those are left alone.
    """
    ours = {
        spelt
        for name in (*names(), *_AROUND)
        if not name.startswith("OTEL_")
        for spelt in (name, f"{name}_FILE")
    }
    alike = [name for name in sorted(ours) if len(name) >= _SHORTEST]
    found = {}
    others = {spelt for name in _OF_OTHERS for spelt in (name, f"{name}_FILE")}
    for name in sorted(set(given) - ours - others):
        if len(name) < _SHORTEST or name.startswith("OTEL_"):
            continue
        if near := get_close_matches(name.upper(), alike, n=1, cutoff=_LIKENESS):
            found[name] = near[0]
    return found


def values(environment: Environment) -> Iterator[Value]:
    """Tell every variable in force and where it comes from."""
    for name, attribute in names().items():
        try:
            text = environment.text(name)
            shown = _NOTHING if text is None else masked(name, text)
            if text is None and attribute:
                shown = _default(environment, name, attribute)
        except ConfigurationError as refusal:
            shown = f"refused: {refusal}"
        yield Value(name, shown, environment.source(name))


def masked(name: str, text: str) -> str:
    """Show a value; of a secret nothing, of an address that may have one its place only."""
    if name not in {*SECRETS, "STAFF_PASSWORD"}:
        return text
    try:
        parts = urlsplit(text)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return _MASKED
    if not (parts.scheme and parts.hostname and name.endswith("_URL")):
        return _MASKED
    login = f"{_MASKED}@" if "@" in parts.netloc else ""
    rest = f"?{_MASKED}" if parts.query else ""
    return f"{parts.scheme}://{login}{parts.hostname}{port}{parts.path}{rest}"


def _default(environment: Environment, name: str, attribute: str) -> str:
    value = getattr(environment, attribute)
    if value is None:
        return _NOTHING
    if isinstance(value, list):
        return ",".join(value)
    return masked(name, str(value).lower() if isinstance(value, bool) else str(value))
