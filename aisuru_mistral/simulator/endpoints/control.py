"""The simulator's own paths under /sim; refuses nothing to anyone: it listens on loopback only.

GET /sim/ledger, GET /sim/requests, GET /sim/keys; POST /sim/keys (a row as in keys.json), POST
/sim/directives (dictated for every request, {} for none), POST /sim/behaviour {"name",
"behaviour"?, "limits"?}, POST /sim/reset.
"""

import dataclasses
from typing import Any

import orjson

from aisuru_mistral.simulator import directives
from aisuru_mistral.simulator.errors import REFUSALS
from aisuru_mistral.simulator.keys import BadKey, Key
from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.wire import Reply, json_reply


def show_ledger(call: Call) -> Reply:
    """The bill, line by line, and its sum."""
    ledger = call.state.ledger
    lines = [
        {
            **dataclasses.asdict(line),
            "usd": str(ledger.cost(line, "usd")),
            "eur": str(ledger.cost(line, "eur")),
        }
        for line in ledger.lines()
    ]
    total = {
        name: str(value) if name in {"usd", "eur"} else value
        for name, value in dataclasses.asdict(ledger.total()).items()
    }
    return json_reply(200, {"lines": lines, "total": total})


def show_requests(call: Call) -> Reply:
    """The remembered requests, oldest first."""
    return json_reply(200, {"requests": [dataclasses.asdict(each) for each in call.state.requests]})


def show_keys(call: Call) -> Reply:
    """Every key with what it does."""
    return json_reply(200, {"keys": [_described(key) for key in call.state.known_keys()]})


def register_key(call: Call) -> Reply:
    """Register a key at run time."""
    return _changed(call, lambda given: _described(call.state.register(**given)), 201)


def dictate(call: Call) -> Reply:
    """Dictate something for every request."""

    def change(given: dict[str, Any]) -> dict[str, Any]:
        wanted = directives.from_mapping(given)
        if wanted.error not in {None, *REFUSALS}:
            raise directives.BadDirective(f"unknown error {wanted.error!r}")
        call.state.directives = wanted
        return wanted.given()

    return _changed(call, change)


def behave(call: Call) -> Reply:
    """Change how a key behaves."""
    return _changed(call, lambda given: _described(call.state.change(**given)))


def reset(call: Call) -> Reply:
    """Forget everything since the start."""
    call.state.reset()
    return Reply(status=204, body=b"")


def _changed(call: Call, change: Any, status: int = 200) -> Reply:
    try:
        return json_reply(status, change(_object(call.raw)))
    except (BadKey, directives.BadDirective, orjson.JSONDecodeError, TypeError) as error:
        return json_reply(422, {"simulator": str(error)})
    except KeyError as error:
        return json_reply(404, {"simulator": f"no key has the name {error}"})


def _object(raw: bytes) -> dict[str, Any]:
    given = orjson.loads(raw or b"{}")
    if not isinstance(given, dict):
        raise TypeError("a JSON object is expected")
    return given


def _described(key: Key) -> dict[str, Any]:
    return {
        "name": key.name,
        "key": key.secret,
        "about": key.about,
        "key_name": key.key_name,
        "organization": {"id": key.organization.id, "name": key.organization.name},
        "workspace": {"id": key.workspace.id, "name": key.workspace.name},
    }


ROUTES = (
    Route("GET", "/sim/ledger", show_ledger, "control"),
    Route("GET", "/sim/requests", show_requests, "control"),
    Route("GET", "/sim/keys", show_keys, "control"),
    Route("POST", "/sim/keys", register_key, "control"),
    Route("POST", "/sim/directives", dictate, "control"),
    Route("POST", "/sim/behaviour", behave, "control"),
    Route("POST", "/sim/reset", reset, "control"),
)
