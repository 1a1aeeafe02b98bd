"""AIsuru's backend under /api/v2, as far as this service uses it.

Refuses nothing that is about Mistral: the login token in the address is the only credential.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from aisuru_mistral.simulator.aisuru import AisuruBackend, Refused, answer
from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.wire import Reply, json_reply

PREFIX = "/api/v2/"
_BUSY_SECONDS = b"7"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request: what stands in its address after the noun, token first, and its body."""

    backend: AisuruBackend
    rest: list[str]
    body: dict[str, Any]


type _Work = Callable[[_Asked], dict[str, Any]]


def serve(call: Call, method: str, path: str) -> Reply:
    """Answer one request, as the next dictated fault would have it."""
    backend = call.state.aisuru
    noun, *rest = path.removeprefix(PREFIX).split("/")
    backend.asked.append(" ".join([method, "/".join([noun, "{token}", *rest[1:]])]))
    fault = backend.faults.popleft() if backend.faults else None
    if fault is not None and fault in _INSTEAD:
        return _INSTEAD[fault](backend)
    done = _answered(backend, method, noun, rest, call.raw)
    return Reply(status=200, body=b"", fault="reset") if fault == "lost_answer" else done


def show(call: Call) -> Reply:
    """What it has, but for keys and tokens."""
    backend = call.state.aisuru
    configs = [{**one, "apiKey": bool(one.get("apiKey"))} for one in backend.configs.values()]
    logins = [{"userName": one.name, "tenant": one.tenant} for one in backend.logins.values()]
    return json_reply(200, {"configs": configs, "logins": logins, "asked": list(backend.asked)})


def dictate(call: Call) -> Reply:
    """Dictate faults of the next requests: {"faults": ["unavailable", null, …]}."""
    try:
        given = orjson.loads(call.raw or b"{}")
        call.state.aisuru.dictate(*given.get("faults", ()))
    except (ValueError, TypeError, AttributeError) as error:
        return json_reply(422, {"simulator": str(error)})
    return json_reply(200, {"faults": list(call.state.aisuru.faults)})


def _answered(backend: AisuruBackend, method: str, noun: str, rest: list[str], raw: bytes) -> Reply:
    work = _WORK.get((method, noun))
    if work is None:
        return json_reply(404, {"message": "Not Found"})
    try:
        body = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError:
        return json_reply(400, {"message": "Bad Request"})
    try:
        return json_reply(200, answer(**work(_Asked(backend, rest, body))))
    except Refused as refusal:
        return _refusal(backend, refusal.code)
    except (IndexError, ValueError):
        return json_reply(404, {"message": "Not Found"})


def _refusal(backend: AisuruBackend, code: int) -> Reply:
    return json_reply(backend.refusal_status, answer(code))


def _sign_in(asked: _Asked) -> dict[str, Any]:
    return asked.backend.sign_in(asked.body)


def _list(asked: _Asked) -> dict[str, Any]:
    configs = asked.backend.seen_by(
        asked.backend.login_of(asked.rest[0]), asked.rest[1] if len(asked.rest) > 1 else None
    )
    return {"count": len(configs), "totalCount": len(configs), "configs": configs}


def _create(asked: _Asked) -> dict[str, Any]:
    return _applied(asked.backend.create(asked.backend.login_of(asked.rest[0]), asked.body))


def _read(asked: _Asked) -> dict[str, Any]:
    token, config_id = asked.rest
    return {"config": asked.backend.read(asked.backend.login_of(token), config_id)}


def _update(asked: _Asked) -> dict[str, Any]:
    token, config_id = asked.rest
    return _applied(asked.backend.update(asked.backend.login_of(token), config_id, asked.body))


def _delete(asked: _Asked) -> dict[str, Any]:
    token, config_id = asked.rest
    asked.backend.delete(asked.backend.login_of(token), config_id)
    return {}


def _consumption(asked: _Asked) -> dict[str, Any]:
    token, tenant, kind, *days = asked.rest
    return {
        "consumptionLogs": asked.backend.consumption(
            asked.backend.login_of(token), tenant, kind, days
        )
    }


def _applied(config: dict[str, Any]) -> dict[str, Any]:
    return {"config": config, "appliedMemoriIDs": [], "appliedMemoriNames": []}


def _busy() -> Reply:
    busy = json_reply(429, {})
    busy.headers.append((b"retry-after", _BUSY_SECONDS))
    return busy


#: What answers instead, by dictated fault.
_INSTEAD: Mapping[str, Callable[[AisuruBackend], Reply]] = {
    "unavailable": lambda _: json_reply(503, {"message": "Service Unavailable"}),
    "busy": lambda _: _busy(),
    "garbage": lambda _: Reply(status=200, body=b"<html><body>It works!</body></html>"),
    "reset": lambda _: Reply(status=200, body=b"", fault="reset"),
    "hang": lambda _: Reply(status=200, body=b"", fault="hang"),
    "expired": lambda backend: _refusal(backend, -103),
}

_WORK: Mapping[tuple[str, str], _Work] = {
    ("POST", "PwlLogin"): _sign_in,
    ("GET", "CompletionConfigs"): _list,
    ("POST", "CompletionConfig"): _create,
    ("GET", "CompletionConfig"): _read,
    ("PATCH", "CompletionConfig"): _update,
    ("DELETE", "CompletionConfig"): _delete,
    ("GET", "TenantConsumptionLogs"): _consumption,
}

ROUTES = (
    Route("GET", "/sim/aisuru", show, "control"),
    Route("POST", "/sim/aisuru", dictate, "control"),
)
