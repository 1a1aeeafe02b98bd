"""Reads a tenant's monthly consumption from AIsuru: tokens by key and agent, no cost.

The login token is part of the address (`…/TenantConsumptionLogs/{token}/{tenant}/Monthly/{day}`).
So nothing here says an address: requests go through httpx's transport, below the layer that logs
them, and errors carry a status or a class name alone. Names are those of the public client
`@memori.ai/memori-api-client` 6.18 (`consumptionLogs.ts`); it was never tried on a live backend,
so that unknown members are passed over.

    AisuruError
    ├── AisuruRefusedError    it answered, and not with consumption
    └── AisuruAwayError       no usable answer; worth another try
"""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from tenants.common import scope
from tenants.common.secrets import Secret

_MAX_ANSWER_BYTES = 8 * 1024 * 1024
_MAX_DEPTH = 8
_FIRST_FAILURE = 300
_SERVER_FAULT = 500
_TOO_MANY = 429
_MAX_COUNT = 2**48


class AisuruError(Exception):
    """Something went wrong between us and AIsuru; it never holds the address."""


class AisuruRefusedError(AisuruError):
    """AIsuru answered, and not with what was asked for."""


class AisuruAwayError(AisuruError):
    """AIsuru gave no usable answer."""


@dataclass(frozen=True, slots=True)
class Consumption:
    """What one agent, or all agents under one key, used; chargeable and other usage together."""

    name: str
    prompt_tokens: int
    completion_tokens: int
    completions: int


def monthly(
    base_url: str,
    token: Secret[str],
    tenant: str,
    month: date,
    *,
    seconds: float = 20.0,
    transport: httpx.BaseTransport | None = None,
) -> tuple[Consumption, ...]:
    """Ask for a tenant's consumption of a month, leaf by leaf of AIsuru's tree.

    Args:
        base_url: up to and with ``/api/v2``.
        token: of a login that may see the tenant.
        tenant: its host name.
        month: any day of it.
        seconds: for each step of the exchange.
        transport: the far side of the wire, for tests.

    Raises:
        AisuruError: no consumption came.
        ScopeError: a transaction is open.
    """
    scope.assert_no_transaction()
    first = month.replace(day=1)
    rest = f"{quote(tenant, safe='')}/Monthly/{first:%Y%m%d}"
    return read(_get(base_url, token, rest, seconds, transport))


def read(body: bytes) -> tuple[Consumption, ...]:
    """Read an answer.

    Raises:
        AisuruRefusedError: its ``resultCode`` is not 0.
        AisuruAwayError: no JSON object.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise AisuruAwayError("the answer is no JSON object")
    code = document.get("resultCode", 0)
    if code != 0:
        raise AisuruRefusedError(f"result code {code if isinstance(code, int) else 'unknown'}")
    return tuple(_leaves(document, "", _MAX_DEPTH))


def _get(
    base_url: str,
    token: Secret[str],
    rest: str,
    seconds: float,
    transport: httpx.BaseTransport | None,
) -> bytes:
    timeouts = httpx.Timeout(seconds).as_dict()
    status, body = 0, b""
    try:
        with transport or httpx.HTTPTransport(verify=_trusted(), trust_env=False) as wire:
            address = f"{base_url.rstrip('/')}/TenantConsumptionLogs/"
            request = httpx.Request(
                "GET",
                address + quote(token.reveal(), safe="") + "/" + rest,
                headers={"Accept": "application/json"},
                extensions={"timeout": timeouts},
            )
            response = wire.handle_request(request)
            status = response.status_code
            body = response.read()[: _MAX_ANSWER_BYTES + 1]
            response.close()
    except httpx.HTTPError as error:
        failure = type(error).__name__
    else:
        failure = ""
    # Raised here, where no frame holds the address: httpx's errors hold the request.
    if failure:
        raise AisuruAwayError(failure)
    if status >= _SERVER_FAULT or status == _TOO_MANY or len(body) > _MAX_ANSWER_BYTES:
        raise AisuruAwayError(f"status {status}")
    if status >= _FIRST_FAILURE:
        raise AisuruRefusedError(f"status {status}")
    return body


@cache
def _trusted() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _leaves(node: Mapping[str, Any], name: str, depth: int) -> Iterator[Consumption]:
    """Go down the tree: a node with children is their sum, so that only leaves count."""
    own = next((str(node[key]) for key in ("name", "memoriName", "key") if node.get(key)), name)
    children = [
        child
        for key in ("children", "consumptionLogs", "logs")
        for child in _rows(node.get(key))
        if isinstance(child, dict)
    ]
    if children and depth:
        for child in children:
            yield from _leaves(child, own, depth - 1)
        return
    found = Consumption(
        own[:200],
        _count(node, "promptTokens", "nonChargeablePromptTokens"),
        _count(node, "completionTokens", "nonChargeableCompletionTokens"),
        _count(node, "completions", "nonChargeableCompletions"),
    )
    if found.prompt_tokens or found.completion_tokens or found.completions:
        yield found


def _rows(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _count(node: Mapping[str, Any], *names: str) -> int:
    values = [node.get(name) for name in names]
    return sum(value for value in values if type(value) is int and 0 <= value <= _MAX_COUNT)
