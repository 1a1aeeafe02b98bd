"""AIsuru's consumption: read leaf by leaf, and its token in the address is said by nobody."""

import logging
from datetime import date

import pytest

from tenants.aisuru import consumption
from tenants.aisuru.consumption import AisuruAwayError, AisuruRefusedError, Consumption
from tenants.common.secrets import Secret
from tests.mistral.far_side import FarSide, answering, free_address

TOKEN = "canary-login-token-0123456789"
TREE = {
    "resultCode": 0,
    "children": [
        {
            "name": "key",
            "promptTokens": 99,
            "children": [
                {"memoriName": "Ada", "promptTokens": 7, "nonChargeablePromptTokens": 1},
                {"memoriName": "Leo", "completionTokens": 3, "completions": 2, "odd": {}},
                {"memoriName": "Nil", "promptTokens": "7", "completionTokens": -1},
            ],
        }
    ],
}


def ask(script):
    with FarSide(script) as far_side:
        found = consumption.monthly(
            f"{far_side.url}/api/v2", Secret(TOKEN), "www.example.com", date(2026, 10, 9)
        )
    return found, far_side.requests


def test_a_month_is_asked_for_and_its_leaves_are_read():
    found, (request,) = ask(answering(200, TREE))
    assert found == (Consumption("Ada", 8, 0, 0), Consumption("Leo", 0, 3, 2))
    assert request.path == (
        f"/api/v2/TenantConsumptionLogs/{TOKEN}/www.example.com/Monthly/20261001"
    )


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"resultCode": -7, "resultMessage": TOKEN}, AisuruRefusedError),
        (403, {}, AisuruRefusedError),
        (429, {}, AisuruAwayError),
        (502, b"<html>", AisuruAwayError),
        (200, b"<html>", AisuruAwayError),
    ],
)
def test_whatever_goes_wrong_says_nothing_of_the_address(status, body, kind, caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(kind) as caught:
        ask(answering(status, body))
    said = [caught.value]
    while said[-1].__context__ is not None:
        said.append(said[-1].__context__)
    assert TOKEN not in "".join(map(repr, said)) + caplog.text


def test_nobody_there_is_away(caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(AisuruAwayError) as caught:
        consumption.monthly(free_address(), Secret(TOKEN), "t", date(2026, 10, 1))
    assert caught.value.__context__ is None
    assert TOKEN not in str(caught.value) + caplog.text
