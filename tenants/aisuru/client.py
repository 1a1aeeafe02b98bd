"""Speaks HTTP with AIsuru's backend: completion configs and consumption logs.

The login token is part of every address (``…/CompletionConfig/{token}/{id}``). So nothing here says
an address: requests go through httpx's transport, below the layer that logs them, errors carry
numbers or a class name alone, and an exception that breaks a request off, such as a time limit,
leaves without the frames that hold it. Addresses and shapes are those of the public client
``@memori.ai/memori-api-client`` 6.24 (``src/backend``, ``src/types.ts``);
it was never tried on a live backend, so that unknown members are passed over.
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
import orjson

from tenants.aisuru import configs, consumption
from tenants.aisuru.configs import RemoteConfig
from tenants.aisuru.consumption import Consumption
from tenants.aisuru.errors import AisuruAwayError, judge
from tenants.common import scope
from tenants.common.secrets import Secret

_MAX_ANSWER_BYTES = 8 * 1024 * 1024
_LARGEST_CODE = 2**31
_SECONDS = re.compile(r"(?a:\d{1,6})")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    retry_after: float | None


class AisuruClient:
    """One login's view of AIsuru; use it as a context manager, outside of any transaction.

    Args:
        base_url: up to and with ``/api/v2``.
        token: of a login.
        seconds: for each step of an exchange.
        transport: the far side of the wire, for tests.
    """

    def __init__(
        self,
        base_url: str,
        token: Secret[str],
        *,
        seconds: float = 20.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._timeouts = httpx.Timeout(seconds).as_dict()
        self._wire = transport or httpx.HTTPTransport(verify=_trusted(), trust_env=False)

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its connections."""
        self._wire.close()

    def configs(self) -> tuple[RemoteConfig, ...]:
        """List the configurations that the login may use.

        Raises:
            AisuruError: they did not come.
            ScopeError: a transaction is open; so everywhere here.
        """
        return _there(configs.read_list(self._ask("GET", "CompletionConfigs")))

    def config(self, config_id: str) -> RemoteConfig:
        """Read one configuration.

        Raises:
            AisuruMissingError: it is not there.
            AisuruError: it did not come.
        """
        read = configs.read_one(self._ask("GET", "CompletionConfig", config_id), config_id)
        return _there(read)

    def create(self, config: Mapping[str, object], token: Secret[str]) -> RemoteConfig:
        """Make a configuration; calling it twice makes two, or is refused for the name.

        Args:
            config: without ``apiKey``.
            token: what AIsuru is to send to its end point.

        Raises:
            AisuruAwayError: it may have been made.
            AisuruRefusedError: it was not made.
        """
        read = configs.read_one(self._ask("POST", "CompletionConfig", body=config, key=token), "")
        return _there(read)

    def update(
        self, config_id: str, config: Mapping[str, object], token: Secret[str]
    ) -> RemoteConfig:
        """Change a configuration; members that are left out stay as they are over there.

        Args:
            config_id: which.
            config: without ``apiKey``.
            token: what AIsuru is to send to its end point from now on.

        Raises:
            AisuruMissingError: it is not there.
            AisuruError: it was not changed, or may have been.
        """
        body = {**config, "completionConfigID": config_id}
        read = configs.read_one(
            self._ask("PATCH", "CompletionConfig", config_id, body=body, key=token), config_id
        )
        return _there(read)

    def delete(self, config_id: str) -> None:
        """Delete a configuration.

        Raises:
            AisuruMissingError: it is not there.
            AisuruError: it was not deleted, or may have been.
        """
        self._ask("DELETE", "CompletionConfig", config_id)

    def consumption(self, tenant: str, month: date) -> tuple[Consumption, ...]:
        """Read what a tenant used in a month of UTC.

        Args:
            tenant: its host name.
            month: any day of it.

        Raises:
            AisuruError: no consumption came.
        """
        first = month.replace(day=1)
        last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        period = ("Monthly", f"{first:%Y%m%d}", f"{last:%Y%m%d}")
        return consumption.read(self._ask("GET", "TenantConsumptionLogs", tenant, *period), first)

    def _ask(
        self,
        method: str,
        noun: str,
        *rest: str,
        body: Mapping[str, object] | None = None,
        key: Secret[str] | None = None,
    ) -> Mapping[str, Any]:
        """Ask, and give the JSON object of a success."""
        scope.assert_no_transaction()
        answer = self._exchange(method, noun, rest, body, key)
        document = _object(answer.body)
        code = None if document is None else document.get("resultCode")
        known = code if type(code) is int and abs(code) < _LARGEST_CODE else None
        error = judge(answer.status, known, answer.retry_after)
        if error is None and document is not None:
            return document
        what = AisuruAwayError("the answer is no JSON object", status=answer.status)
        # What AIsuru said may quote the address: the frame of the error does not hold it.
        del answer, document, code
        raise error or what

    def _exchange(
        self,
        method: str,
        noun: str,
        rest: tuple[str, ...],
        body: Mapping[str, object] | None,
        key: Secret[str] | None,
    ) -> _Answer:
        failure = ""
        broken: BaseException | None = None
        try:
            return self._send(method, noun, rest, body, key)
        except httpx.HTTPError as error:
            failure = type(error).__name__
        except BaseException as error:  # noqa: BLE001 - whatever it is, it goes on, without its frames
            broken = error.with_traceback(None)
            broken.__context__ = None
        # Raised here, where no frame holds the address: httpx's errors and frames hold the request.
        if broken is not None:
            raise broken
        raise AisuruAwayError(failure)

    def _send(
        self,
        method: str,
        noun: str,
        rest: tuple[str, ...],
        body: Mapping[str, object] | None,
        key: Secret[str] | None,
    ) -> _Answer:
        sent = {**(body or {}), **({"apiKey": key.reveal()} if key else {})}
        parts = [noun, self._token.reveal(), *rest]
        request = httpx.Request(
            method,
            f"{self._base_url}/" + "/".join(quote(part, safe="") for part in parts),
            headers={"Accept": "application/json", "Content-Type": "application/json"},
            content=None if body is None else orjson.dumps(sent),
            extensions={"timeout": self._timeouts},
        )
        response = self._wire.handle_request(request)
        try:
            content, size = [], 0
            for part in response.iter_bytes():
                content.append(part)
                size += len(part)
                if size > _MAX_ANSWER_BYTES:
                    raise httpx.ReadError("the answer is too large")
        finally:
            response.close()
        return _Answer(response.status_code, b"".join(content), _retry_after(response.headers))


def _there[Read](read: Read | None) -> Read:
    """Refuse an answer that could not be read; its text is in no frame of the error."""
    if read is None:
        raise AisuruAwayError("the answer does not hold what was asked for")
    return read


@cache
def _trusted() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _object(body: bytes) -> Mapping[str, Any] | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _retry_after(headers: httpx.Headers) -> float | None:
    """Read the seconds of ``Retry-After``; its other form, a date, is passed over."""
    value = headers.get("retry-after", "").strip()
    return float(value) if _SECONDS.fullmatch(value) else None
