"""`python -m bench.desk`: how long the server takes for each page of the support desk, in a crowd.

Every page, list, filter and kind of look-up is asked for in turn by a lead with a session in the
largest organization, through the whole of Django. What is printed is the time between request and
answer inside the process, without network and browser, and the part of it that this process worked
(the rest is the database, or waiting for a turn). A page whose p95 is over the promise is
named, and the run fails.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import psycopg

from bench import crowd
from bench.page_times import measure
from bench.stage import Stage, stage

PROMISED_MS = 150.0
_BACKEND = "allauth.account.auth_backends.AuthenticationBackend"

type Request = Callable[[Any], Any]


def main() -> None:
    """Measure, print, and fail if a page is too slow."""
    parser = argparse.ArgumentParser(prog="bench.desk", description=__doc__)
    parser.add_argument("--keys", type=int, default=500_000)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--organizations", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    with stage("http://127.0.0.1:9") as set_up:
        made = crowd.seed(
            set_up.owner_url,
            set_up.organization_id,
            keys=arguments.keys,
            events=arguments.events,
            organizations=arguments.organizations,
            audited=2,
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

    host = urlsplit(settings.PUBLIC_URL).hostname
    client = Client(headers={"Accept": "text/html"}, SERVER_NAME=host)
    _enter(client, set_up)

    def asking(name: str, request: Request) -> int:
        answer = request(client)
        if answer.status_code != 200:
            raise RuntimeError(f"{name}: {answer.status_code}")
        return len(answer.content)

    asks = {name: partial(asking, name, request) for name, request in _requests(set_up)}
    return measure(asks, rounds=rounds, promised_ms=PROMISED_MS)


def _enter(client: Any, set_up: Stage) -> None:
    """Sign a lead in, around the sign-in, and open a session that may act."""
    from tenants.assistance import services  # noqa: PLC0415
    from tenants.assistance.staff import Staff, StaffRole  # noqa: PLC0415
    from tenants.people.models import Person  # noqa: PLC0415

    person = Person.objects.create_person(
        email="lead@staff.example", name="Lea", password=None, is_staff=True
    )
    services.give_role(person=person, role=StaffRole.LEAD)
    client.force_login(person, backend=_BACKEND)
    session = client.session
    session["account_authentication_methods"] = [{"method": "mfa", "at": time.time() + 3600}]
    session["account_authentication_methods_user"] = str(person.pk)
    session.save()
    services.open_session(
        staff=Staff(person, StaffRole.LEAD),
        organization_id=set_up.organization_id,
        reason="the bench",
        break_open=True,
        elevated=True,
    )


def _requests(set_up: Stage) -> Iterator[tuple[str, Request]]:
    """Give every page, list, filter and look-up: what it is called, and how it is asked for."""
    from django.urls import reverse  # noqa: PLC0415

    from tenants.support.lists import KNOWN  # noqa: PLC0415

    ids, terms = _known(set_up)
    ours = set_up.organization_id
    for name in ("index", "platform", "attention", "prices", "keyring", "log"):
        yield name, _get(reverse(f"admin:{name}"))
    for name in ("organization", "keys", "models", "calls", "spend", "people", "outside", "audit"):
        yield name, _get(reverse(f"admin:{name}", args=[ours]))
    yield "key", _get(reverse("admin:key", args=[ours, ids["key"]]))
    yield "call", _get(reverse("admin:call", args=[ours, ids["call"]]))
    for page, listing in KNOWN.items():
        address = reverse(f"admin:{page}", args=[ours])
        for menu in listing.filters:
            for value, _label in menu.choices():
                yield f"{page}, {menu.name} {value}", _get(f"{address}?{menu.name}={value}")
    for kind, term in terms.items():
        yield f"look-up by {kind}", _post(reverse("admin:index"), term)


def _get(address: str) -> Request:
    return lambda client: client.get(address)


def _post(address: str, term: str) -> Request:
    return lambda client: client.post(address, {"term": term})


def _known(set_up: Stage) -> tuple[dict[str, Any], dict[str, str]]:
    """Choose a key and a call, and one term of each kind that the look-up takes."""
    questions = {
        "key": "SELECT key_id FROM registry_registeredmodel WHERE organization_id = %(ours)s"
        " LIMIT 1",
        "call": "SELECT id FROM spend_usageevent WHERE organization_id = %(ours)s"
        " ORDER BY occurred_at DESC OFFSET 5000 LIMIT 1",
        "old": "SELECT id FROM spend_usageevent ORDER BY occurred_at OFFSET 1000 LIMIT 1",
        "Mistral's id": "SELECT correlation_id FROM spend_usageevent"
        " WHERE occurred_at < now() - interval '40 days' AND correlation_id <> '' LIMIT 1",
        "last four": "SELECT last4 FROM keys_mistralkey LIMIT 1",
        "e-mail": "SELECT email FROM people_person WHERE email LIKE 'p%%' LIMIT 1",
        "model": "SELECT name FROM registry_registeredmodel ORDER BY id DESC LIMIT 1",
        "slug": "SELECT slug FROM organizations_organization ORDER BY id DESC LIMIT 1",
    }
    found: dict[str, Any] = {}
    with psycopg.connect(set_up.owner_url, cursor_factory=psycopg.ClientCursor) as owner:
        for name, question in questions.items():
            row = owner.execute(question, {"ours": set_up.organization_id}).fetchone()
            if row is None:
                raise LookupError(name)
            found[name] = row[0]
    terms = {
        name: str(found[name])
        for name in ("Mistral's id", "last four", "e-mail", "model", "slug", "call", "old")
    }
    terms |= {
        "Mistral's id that nobody has": "0" * 32,
        "part of a name": "Ferrari SpA 4",
        "token": "aim_org_" + "0" * 40,
        "id that nobody has": "01a20abe-7c4e-753a-9193-20391e59f480",
        "id of an organization": str(set_up.organization_id),
    }
    return found, terms


if __name__ == "__main__":
    main()
