"""AIsuru's client: what answers mean, and that the token in the address is said by nobody."""

import logging
import os
import signal
import threading
from datetime import date

import pytest

from tenants.aisuru.client import AisuruClient
from tenants.aisuru.errors import (
    AisuruAwayError,
    AisuruError,
    AisuruLoginError,
    AisuruMissingError,
    AisuruRefusedError,
)
from tenants.common import scope
from tenants.common.secrets import Secret
from tests.keys.test_secrecy import assert_absent, our_frames
from tests.mistral.far_side import FarSide, answering, free_address

TOKEN = "canary-login-token-0123456789"
KEY = "aim_mdl_canarymodeltoken0123456789"
CONFIG = {"completionConfigID": "c1", "configName": "Assistente", "apiKey": KEY}


class TimeIsUpError(Exception):
    """What a soft time limit raises, wherever the worker is."""


def ask(script, call=lambda client: client.config("c1")):
    with FarSide(script) as far_side, AisuruClient(f"{far_side.url}/api/v2", Secret(TOKEN)) as one:
        found = call(one)
    return found, far_side.requests


def test_a_month_is_asked_for_from_its_first_to_its_last_day():
    found, (request,) = ask(
        answering(200, {"resultCode": 0, "consumptionLogs": []}),
        lambda client: client.consumption("www.example.com", date(2026, 12, 9)),
    )
    start = f"/api/v2/TenantConsumptionLogs/{TOKEN}/www.example.com/Monthly"
    assert (found, request.path) == ((), f"{start}/20261201/20261231")


def test_a_configuration_is_changed_with_its_id_and_key_and_read_without_the_key():
    found, (request,) = ask(
        answering(200, {"resultCode": 0, "config": CONFIG}),
        lambda client: client.update("c1", {"configName": "Assistente"}, Secret(KEY)),
    )
    assert (request.method, request.path) == ("PATCH", f"/api/v2/CompletionConfig/{TOKEN}/c1")
    assert f'"apiKey":"{KEY}"'.encode() in request.body
    assert b'"completionConfigID":"c1"' in request.body
    assert (found.config_id, found.name) == ("c1", "Assistente")
    assert KEY not in repr(found)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"resultCode": -2442, "resultMessage": TOKEN}, AisuruRefusedError),
        (500, {"resultCode": -2445}, AisuruRefusedError),
        (422, {}, AisuruRefusedError),
        (200, {"resultCode": -103}, AisuruLoginError),
        (401, {}, AisuruLoginError),
        (403, b"no", AisuruLoginError),
        (200, {"resultCode": -2421}, AisuruMissingError),
        (404, b"nothing", AisuruMissingError),
        (429, {}, AisuruAwayError),
        (502, b"<html>", AisuruAwayError),
        (200, b"<html>", AisuruAwayError),
        (200, {"resultCode": 0, "config": {}}, AisuruAwayError),
        (200, {"resultCode": 0, "config": CONFIG | {"completionConfigID": "c2"}}, AisuruAwayError),
    ],
)
def test_whatever_goes_wrong_says_what_it_is_and_nothing_of_the_address(status, body, kind, caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(AisuruError) as caught:
        ask(answering(status, body))
    assert type(caught.value) is kind
    said: list[BaseException] = [caught.value]
    while said[-1].__context__ is not None:
        said.append(said[-1].__context__)
    assert_absent(TOKEN, *map(repr, said), caplog.text, our_frames(caught.value))


def test_aisuru_says_when_to_come_back():
    with pytest.raises(AisuruAwayError) as caught:
        ask(answering(429, {}, {"Retry-After": "7"}))
    assert caught.value.retry_after == 7


def test_nobody_there_is_away(caplog):
    caplog.set_level(logging.DEBUG)
    with (
        AisuruClient(f"{free_address()}/api/v2", Secret(TOKEN)) as client,
        pytest.raises(AisuruAwayError) as caught,
    ):
        client.configs()
    assert caught.value.__context__ is None
    assert_absent(TOKEN, str(caught.value), caplog.text, our_frames(caught.value))


def test_a_time_limit_shows_neither_token_nor_key_in_any_frame():
    def time_is_up(*_: object) -> None:
        raise TimeIsUpError

    before = signal.signal(signal.SIGUSR1, time_is_up)
    released = threading.Event()

    def silence(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        released.wait(5)

    try:
        with pytest.raises(TimeIsUpError) as broken:
            ask(silence, lambda client: client.create(CONFIG | {"apiKey": ""}, Secret(KEY)))
    finally:
        released.set()
        signal.signal(signal.SIGUSR1, before)
    text = our_frames(broken.value)
    assert "create" in text, "it really was broken off while AIsuru was asked"
    assert_absent(TOKEN, text)
    assert_absent(KEY, text)


def test_it_asks_nothing_while_a_transaction_is_open(organization):
    with (
        AisuruClient("http://127.0.0.1:9/api/v2", Secret(TOKEN)) as client,
        scope.tenant(organization.pk),
        pytest.raises(scope.ScopeError),
    ):
        client.configs()
