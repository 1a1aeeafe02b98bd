"""Who seals something and who erases the organization at that moment do not wait for each other.

Whoever erases destroys the data key, and later the rows in which something is sealed.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from tenants.access import replays
from tenants.access.erasure import erase_organization
from tenants.common.models import new_id
from tenants.notices import custody
from tenants.notices import services as webhooks
from tenants.organizations import data_keys
from tests import factories
from tests.factories import ACTOR
from tests.racing import is_waited_for


@pytest.fixture
def organization():
    return factories.organization()


@pytest.fixture
def erased_meanwhile(organization, monkeypatch):
    """Have somebody erase the organization, and wait, just before a room's function is called."""
    erasing: list[Any] = []

    def erase() -> None:
        try:
            erase_organization(actor=ACTOR, organization=organization)
        finally:
            connection.close()

    def before(room: Any, name: str) -> None:
        function: Callable[..., Any] = getattr(room, name)

        def later(*given: Any, **facts: Any) -> Any:
            if not erasing:
                erasing.append(pool.submit(erase))
                while not erasing[0].done() and not is_waited_for():
                    time.sleep(0.01)
            return function(*given, **facts)

        monkeypatch.setattr(room, name, later)

    with ThreadPoolExecutor(1) as pool:
        yield before
        erasing[0].result()


def test_a_webhook_gets_the_secret_that_is_being_made(organization, erased_meanwhile):
    endpoint, first = webhooks.create_webhook(
        actor=ACTOR, organization=organization, url="https://hooks.example.com/aim"
    )
    erased_meanwhile(custody, "seal")
    second = webhooks.rotate_secret(actor=ACTOR, endpoint=endpoint)
    assert second.reveal() != first.reveal()


def test_an_answer_comes_too_late_for_who_is_erased(organization, erased_meanwhile):
    mine = replays.claim(
        organization.pk, new_id(), "once", mark=b"\0" * 32, lease=timedelta(minutes=1)
    )
    assert isinstance(mine, replays.Claim)
    erased_meanwhile(data_keys, "newest")
    with pytest.raises(data_keys.KeyGoneError):
        replays.settle(mine, 200, "application/json", b"{}")
