"""`python -m bench.pages`: how long the server takes for each page of the console, in a crowd.

Every page that an administrator of the largest organization can look at is asked for in turn,
through the whole of Django: session, wall, queries, template. What is printed is the time between
request and answer inside the process, without network and browser; of what is streamed, until its
first piece. CPU is that of this process alone: beside it stands PostgreSQL's, and waiting for it.
A page whose p95 is over the promise is named, and the run fails.
"""

import argparse
import secrets
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg

from bench import crowd
from bench.page_times import measure
from bench.stage import Stage, stage

PROMISED_MS = 50.0
#: What is saved, not looked at: it is as long as what is asked for.
_FILES = ("-table", "-file")
#: What pages are asked beside being shown.
_ASKED = {
    "keys": (
        *("?search=perche", "?search=0a1b", "?show=expired"),
        *("?sort=name", "?sort=-name", "?sort=expires", "?sort=-expires", "?sort=created"),
        "?search=perche&sort=name",
    ),
    "models": ("?sort=name", "?sort=-mistral"),
    "members": ("?sort=name", "?sort=role"),
    "spend": ("?sort_models=name",),
    "calls": ("?message=message-3", "?category=ocr"),
    "workspace-calls": ("?category=ocr",),
    "trail": ("?action=limit.set", "?action=key", "?period=week"),
    "limits": ("?agents=5&messages=2&requests=10",),
    "model-quote": ("?model=mistral-large-latest",),
}
_BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def main() -> None:
    """Measure, print, and fail if a page is too slow."""
    parser = argparse.ArgumentParser(prog="bench.pages", description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--organizations", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    with stage("http://127.0.0.1:9") as set_up:
        made = crowd.seed(
            set_up.owner_url,
            set_up.organization_id,
            keys=arguments.keys,
            events=arguments.events,
            organizations=arguments.organizations,
        )
        print(made)
        slow = _measure(set_up, arguments.rounds)
    if slow:
        sys.exit(f"over {PROMISED_MS:.0f} ms: {', '.join(slow)}")


def _measure(set_up: Stage, rounds: int) -> list[str]:
    """Print the table.

    Returns:
        The pages that were slower than promised.
    """
    from django.conf import settings  # noqa: PLC0415 - Django is set up by the stage
    from django.test import Client  # noqa: PLC0415

    settings.API_RATES = dict.fromkeys(settings.API_RATES, (10**9, 60))
    client = Client(
        headers={"Accept": "text/html"}, SERVER_NAME=urlsplit(settings.PUBLIC_URL).hostname
    )
    client.force_login(_administrator(set_up), backend=_BACKEND)
    _prove(client)
    asks = {
        name: partial(_size, client, name, address)
        for name, address in _pages(_ids(set_up))
        # What only leads on is no page.
        if client.get(address).status_code != HTTPStatus.SEE_OTHER
    }
    return measure(
        asks,
        rounds=rounds,
        promised_ms=PROMISED_MS,
        unjudged=[name for name in asks if name.endswith(_FILES)],
    )


def _size(client: Any, name: str, address: str) -> int:
    return len(_whole(client, name, address))


def _whole(client: Any, name: str, address: str) -> bytes:
    """Ask for a page: all of it, or the first piece of what is streamed."""
    answer = client.get(address)
    if answer.status_code != HTTPStatus.OK:
        raise RuntimeError(f"{name}: {answer.status_code}")
    if not answer.streaming:
        whole: bytes = answer.content
        return whole
    pieces = iter(answer.streaming_content)
    next(pieces)
    found: bytes = next(pieces, b"")
    answer.close()
    return found


def _administrator(set_up: Stage) -> Any:
    """Make one, around the sign-up."""
    from allauth.account.models import EmailAddress  # noqa: PLC0415

    from tenants.common import scope  # noqa: PLC0415
    from tenants.organizations.models import Member  # noqa: PLC0415
    from tenants.organizations.roles import Role  # noqa: PLC0415
    from tenants.people.models import Person  # noqa: PLC0415
    from tenants.people.services import TERMS_VERSION, accept_terms  # noqa: PLC0415

    person = Person.objects.create_person(
        email="alice@bench.example", password=secrets.token_urlsafe(), name="Alice Rossi"
    )
    EmailAddress.objects.create(user=person, email=person.email, verified=True, primary=True)
    accept_terms(person=person, version=TERMS_VERSION)
    with scope.tenant(set_up.organization_id):
        Member.objects.create(
            organization_id=set_up.organization_id, person=person, role=Role.ADMIN
        )
    return person


def _prove(client: Any) -> None:
    """Have the session look as if the password had just been asked for."""
    session = client.session
    proof = {"method": "password", "at": time.time() + 3600, "reauthenticated": True}
    session["account_authentication_methods"] = [proof]
    session["account_authentication_methods_user"] = session["_auth_user_id"]
    session.save()


def _ids(set_up: Stage) -> dict[str, Any]:
    """Choose what addresses point at: a key and a model that are much used, and one of the rest."""
    one = "SELECT id FROM {} WHERE organization_id = %(ours)s ORDER BY id LIMIT 1"
    questions = {
        "model_id": "SELECT subject_id FROM spend_balance WHERE subject_kind = 'model'"
        " AND organization_id = %(ours)s ORDER BY settled DESC LIMIT 1",
        "key_id": "SELECT key_id FROM registry_registeredmodel WHERE id = %(model_id)s",
        "workspace_id": "SELECT workspace_id FROM registry_registeredmodel WHERE id = %(model_id)s",
        "member_id": one.format("organizations_member"),
        "webhook_id": one.format("notices_webhookendpoint"),
    }
    found: dict[str, Any] = {"ours": set_up.organization_id}
    with psycopg.connect(set_up.owner_url) as owner:
        for name, question in questions.items():
            row = owner.execute(question, found).fetchone()
            if row is None:
                raise LookupError(name)
            found[name] = row[0]
    month = _close_last_month(set_up.organization_id)
    return found | {"organization_id": found.pop("ours"), "month": month, "form": "pdf"}


def _close_last_month(organization_id: UUID) -> str:
    """Have a statement to look at."""
    from django.utils import timezone  # noqa: PLC0415

    from tenants.accounting import closing  # noqa: PLC0415
    from tenants.accounting.models import Statement  # noqa: PLC0415
    from tenants.common import scope  # noqa: PLC0415
    from tenants.common.months import Month  # noqa: PLC0415
    from tenants.organizations.models import Organization  # noqa: PLC0415

    with scope.tenant(organization_id):
        organization = Organization.objects.get()
        statement = Statement.objects.first()
    if statement is None:
        this = Month.of(timezone.now(), organization.timezone)
        day = this.first_day - timedelta(days=1)
        statement = closing.close(organization, Month(day.year, day.month, organization.timezone))
    if statement is None:
        raise LookupError("no statement")
    return f"{statement.period:%Y-%m}"


def _pages(ids: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give every page that can be looked at: what it is called, and where it is."""
    from django.urls import NoReverseMatch, reverse  # noqa: PLC0415

    from tenants.console.urls import urlpatterns  # noqa: PLC0415

    for pattern in urlpatterns:
        name = pattern.name or ""
        view = getattr(pattern.callback, "view_class", None)
        named = {one: ids[one] for one in pattern.pattern.converters if one in ids}
        if not hasattr(view, "get") or name == "home" or name.startswith("console-short-"):
            continue
        try:
            address = reverse(name, kwargs=named)
        except NoReverseMatch:  # it points at something that only a letter names
            continue
        short = name.removeprefix("console-")
        yield short, address
        for query in _ASKED.get(short, ()):
            yield f"{short} {query}", address + query


if __name__ == "__main__":
    main()
