"""Looks at what the service talks to: key service, broker, Redis, mail, Mistral, and the rest."""

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from functools import partial
from urllib.parse import urlsplit

import httpx
import psycopg
from django.conf import settings
from django.core.mail import mailers
from django.utils import timezone

from aisuru_mistral import tracing
from aisuru_mistral.celery import app
from aisuru_mistral.doctor.findings import Finding, Look, fail, ok, unheard, warn
from aisuru_mistral.env import Traces
from tenants.common.models import new_id
from tenants.common.problems import Unavailable
from tenants.gateway import shared
from tenants.organizations import data_keys

_PATIENCE = 5
_SECONDS_APART = 30.0
#: What Mistral was seen to say to whoever has no key.
_WORDS = {"Unauthorized", "Invalid API Key"}


def looks() -> dict[str, Look]:
    """The looks, by name; those at what is not configured are left out."""
    found: dict[str, Look] = {"key_service": _key_service, "broker": _broker}
    if settings.REDIS_URL:
        found["redis"] = partial(_redis, settings.REDIS_URL)
    if (settings.EMAIL_URL or "").startswith("smtp"):
        found["mail"] = _mail
    found["mistral"] = _mistral
    if settings.AISURU_API_URL:
        found["aisuru"] = partial(_aisuru, settings.AISURU_API_URL)
    if settings.TRACES:
        found["traces"] = partial(_traces, settings.TRACES)
    found["gateway"] = _gateway
    return found


def _key_service() -> Iterator[Finding]:
    newest = settings.ENCRYPTION_KEYRING[0][0]
    try:
        works = data_keys.opens(data_keys.make(new_id()))
    except Unavailable:
        works = False
    if works:
        yield ok("key_service", f"master key {newest} seals, and opens what it sealed")
    else:
        yield fail(
            "key_service",
            f"master key {newest} cannot be asked: no key can be registered or used",
            "check the address, token and policy of Vault or KMS (docs/custody.md)",
        )


def _broker() -> Iterator[Finding]:
    scheme = settings.BROKER_URL.partition("://")[0]
    try:
        with app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, timeout=_PATIENCE)
    except Exception as error:  # noqa: BLE001 - each broker raises its own kind
        if scheme == "pgmq" and _has_no_queue():
            yield fail(
                "broker",
                "the queue (schema pgmq) is not in the database: keys stay pending",
                "run `docker/entrypoint.sh migrate` with DATABASE_OWNER_URL: it makes it again",
            )
            return
        yield fail(
            "broker",
            f"{scheme} does not answer ({type(error).__name__}): keys stay pending",
            "check CELERY_BROKER_URL; what waits is done when it is back",
        )
    else:
        yield ok("broker", f"{scheme} takes work")


def _has_no_queue() -> bool:
    """Tell whether PostgreSQL answers where the queue should be, and knows of none."""
    where = f"postgresql{settings.BROKER_URL.removeprefix('pgmq')}"
    try:
        with psycopg.connect(where, connect_timeout=_PATIENCE) as direct:
            return direct.execute("SELECT to_regnamespace('pgmq')").fetchone() == (None,)
    except psycopg.Error:
        return False


def _redis(url: str) -> Iterator[Finding]:
    if shared.answers(url):
        yield ok("redis", "answers")
    else:
        yield warn(
            "redis",
            "does not answer: each process keeps to its share of the rate limits",
            "check REDIS_URL (money limits hold without it)",
        )


def _mail() -> Iterator[Finding]:
    mailer = mailers["default"]
    try:
        mailer.open()
    except OSError as error:  # smtplib's errors are among them
        yield fail(
            "mail",
            f"the mail server refuses ({type(error).__name__}): invitations do not arrive",
            "check EMAIL_URL: host, port, user and password",
        )
    else:
        mailer.close()
        yield ok("mail", "the mail server lets us in")


def _mistral() -> Iterator[Finding]:
    answer = _get(f"{settings.MISTRAL_API_URL}/v1/models")
    if answer is None:
        yield fail(
            "mistral",
            f"{settings.MISTRAL_API_URL} does not answer: no key can be checked, no model answers",
            "check MISTRAL_API_URL, name resolution and the way out of this network",
        )
    elif answer.status_code != httpx.codes.UNAUTHORIZED:
        yield warn(
            "mistral",
            f"{settings.MISTRAL_API_URL} answers a stranger with {answer.status_code}, "
            "where Mistral says 401",
            "check that it is Mistral's address, and that no proxy answers in its place",
        )
    elif (told := _refusal(answer)).get("source") == "gateway":
        yield fail(
            "mistral",
            f"{settings.MISTRAL_API_URL} is a service like this one: calls go round in a circle",
            "set MISTRAL_API_URL to Mistral's own address",
        )
    elif not _WORDS & {told.get("detail"), told.get("message")}:
        yield warn(
            "mistral",
            f"{settings.MISTRAL_API_URL} refuses a stranger in other words than Mistral",
            "check that it is Mistral's address, and that no proxy answers in its place",
        )
    else:
        yield ok("mistral", f"{settings.MISTRAL_API_URL} answers")
        yield from _time_at_mistral(answer)


def _refusal(answer: httpx.Response) -> dict[str, str]:
    """Read the texts of an error's body; none of what is no object."""
    try:
        document = answer.json()
    except ValueError:
        return {}
    members = document.items() if isinstance(document, dict) else ()
    return {name: text for name, text in members if isinstance(text, str)}


def _time_at_mistral(answer: httpx.Response) -> Iterator[Finding]:
    try:
        there = parsedate_to_datetime(answer.headers["Date"])
    except (KeyError, ValueError):
        return
    apart = abs((timezone.now() - there).total_seconds())
    if apart > _SECONDS_APART:
        yield warn(
            "clock",
            f"this machine and Mistral are {apart:.0f} s apart",
            "have it keep time by NTP: spend would fall on the wrong day",
        )


def _aisuru(url: str) -> Iterator[Finding]:
    if _get(url) is None:
        yield fail(
            "aisuru",
            "AIsuru's backend does not answer: models are not published",
            "check AISURU_API_URL; publishing is tried again until it is back",
        )
    else:
        yield ok("aisuru", "AIsuru's backend answers")


def _traces(traces: Traces) -> Iterator[Finding]:
    """Send what spans go by, and none of them."""
    with unheard("opentelemetry"):
        arrived = tracing.exporter(traces, _PATIENCE).export([])
    where = urlsplit(traces.url).netloc.rpartition("@")[2]
    if arrived.name == "SUCCESS":
        yield ok("traces", f"{where} takes spans")
    else:
        yield warn(
            "traces",
            f"{where} takes no spans: they are lost, nothing else is",
            "check OTEL_EXPORTER_OTLP_ENDPOINT (OTLP over HTTP, mostly port 4318), "
            "OTEL_EXPORTER_OTLP_HEADERS, and that the collector runs",
        )


def _gateway() -> Iterator[Finding]:
    answer = _get(f"{settings.PUBLIC_URL}/health/ready")
    if answer is None:
        yield warn(
            "gateway",
            f"{settings.PUBLIC_URL} does not answer from here",
            "start the web process, or see whether the proxy and its certificate are right",
        )
    elif answer.status_code != httpx.codes.OK:
        yield fail(
            "gateway",
            f"{settings.PUBLIC_URL}/health/ready says {answer.status_code}",
            "see what it names as failing; ALLOWED_HOSTS must have this host name",
        )
    else:
        yield ok("gateway", f"{settings.PUBLIC_URL} is ready")


def _get(url: str) -> httpx.Response | None:
    """Ask once, following nothing; None if nobody answers in time."""
    try:
        return httpx.get(url, timeout=_PATIENCE)
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
