"""Looks at the environment: first whether it can be read, then whether it is wise.

The first needs no settings, so it can name everything that keeps the service from starting.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from aisuru_mistral.doctor.findings import Finding, Look, fail, ok, warn
from aisuru_mistral.env import Environment
from aisuru_mistral.naming import SECRETS, misspelt

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def refusals(environment: Environment) -> list[Finding]:
    """Name all that keeps the service from starting, not only the first of it."""
    return [fail("configuration", str(refusal), "") for refusal in environment.refusals()]


def looks(environment: Environment) -> dict[str, Look]:
    """The looks that need nothing but the environment, by name."""
    return {
        "configuration": lambda: _addresses(environment),
        "names": lambda: _names(environment),
        "secrets": lambda: _files(environment),
    }


def _addresses(environment: Environment) -> Iterator[Finding]:
    public = urlsplit(environment.public_url)
    is_here = public.hostname in _LOOPBACK
    yield ok("configuration", "every variable can be read")
    if environment.debug:
        yield fail(
            "debug",
            "DEBUG is on: pages of errors show settings and code to whoever causes one",
            "unset DEBUG",
        )
    if "*" in environment.allowed_hosts:
        yield fail(
            "hosts",
            "ALLOWED_HOSTS has *: whoever sends a request chooses the address in links and mails",
            "name the hosts that the service answers to",
        )
    if environment.webhook_loopback and not is_here:
        yield fail(
            "webhooks",
            "WEBHOOK_LOOPBACK is on: a customer's webhook reaches what listens on this machine",
            "unset WEBHOOK_LOOPBACK (and DEBUG, which turns it on)",
        )
    if is_here:
        yield warn(
            "public_url",
            f"PUBLIC_URL is {environment.public_url}: AIsuru can reach models only on this machine",
            "set it to the address that AIsuru's backend uses",
        )
    elif public.scheme != "https":
        yield fail(
            "public_url",
            "PUBLIC_URL is http: tokens and prompts travel in clear text",
            "put a proxy with a certificate in front, and write https",
        )
    if not is_here and environment.trusted_proxy_count == 0:
        yield warn(
            "proxies",
            "TRUSTED_PROXY_COUNT is 0: behind a proxy, all callers share its address, and with it "
            "the limits on signing in and the networks of tokens",
            "set it to the number of proxies in front, or leave it if there is none",
        )
    if environment.email_url in {None, "consolemail://"}:
        yield warn(
            "mail",
            "EMAIL_URL is not set: invitations and warnings are printed, not sent",
            "set it, like smtp://host:25",
        )
    if environment.web_concurrency > 1 and environment.redis_url is None:
        yield warn(
            "redis",
            f"{environment.web_concurrency} web processes and no REDIS_URL: each keeps to an equal "
            "share of every rate limit, used or not",
            "set REDIS_URL (money limits hold without it)",
        )


def _names(environment: Environment) -> Iterator[Finding]:
    for name, ours in misspelt(environment.given).items():
        yield warn("names", f"nobody reads {name}", f"if it is to be {ours}, write that")


def _files(environment: Environment) -> Iterator[Finding]:
    open_to_others = [
        path
        for path in _secret_files(environment)
        if path.exists() and path.stat().st_mode & stat.S_IROTH
    ]
    for path in open_to_others:
        yield warn(
            "secrets",
            f"{path} can be read by every user of this machine",
            f"chmod 0600 {path}, or 0640 with the service's group",
        )
    if not open_to_others:
        yield ok("secrets", "no file of secrets is open to others")


def _secret_files(environment: Environment) -> Iterator[Path]:
    yield environment.data_dir / "secrets.env"
    for name in SECRETS:
        if path := environment.variables.get(f"{name}_FILE"):
            yield Path(os.fspath(path))
