"""How a worker puts a question to Mistral in the name of one key; knows no question itself.

Refuses to run inside a database transaction, to follow redirects (they would carry the key away),
to take proxies or certificates from the environment, and to read an unbounded answer. The key shows
in no error of this module, nor in any exception chained to one, nor in a log line or repr.
"""

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Self

import httpx

from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.mistral.address import join, service_root
from tenants.mistral.classification import FIRST_FAILURE, classify
from tenants.mistral.errors import (
    UNREADABLE,
    UNSENDABLE_KEY,
    KeyRefusedError,
    MistralError,
    UpstreamFailure,
    WireError,
    answer_lost,
    error_of,
    never_reached,
)
from tenants.mistral.headers import USER_AGENT, read_correlation_id
from tenants.mistral.masking import is_plausible_key
from tenants.mistral.tls import trusted

_MAX_ANSWER_BYTES = 8 * 1024 * 1024
_MAX_LINE_BYTES = 64 * 1024 * 1024
_NOT_CONNECTED = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)


@dataclass(frozen=True, slots=True)
class ClientTimeouts:
    """Seconds to connect, to wait for the next bytes, and for a whole answer once it began."""

    connect: float = 5.0
    read: float = 20.0
    total: float = 30.0


@dataclass(frozen=True, slots=True)
class AnswerMark:
    """What identifies an answer, as evidence for a verdict."""

    http_status: int
    correlation_id: str | None


class Asker:
    """Asks Mistral in the name of one key; close it, or use it in a `with`.

    Every question raises an error of `tenants.mistral.errors`, and
    `tenants.common.scope.ScopeError` inside a transaction. `last_answer` marks the newest answer,
    error answers included.

    Args:
        base_url: `https://api.mistral.ai`, with or without `/v1`.
        key: the Mistral key.
        timeouts: how long to wait.
        transport: the far side of the wire, for tests.
    """

    def __init__(
        self,
        base_url: str,
        key: Secret[str],
        *,
        timeouts: ClientTimeouts = ClientTimeouts(),
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._root = service_root(base_url)
        self._key = key
        self._timeouts = timeouts
        self.last_answer: AnswerMark | None = None
        self._http = httpx.Client(
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": USER_AGENT,
            },
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            http2=False,
            timeout=httpx.Timeout(timeouts.read, connect=timeouts.connect),
            transport=transport,
            trust_env=False,
            verify=trusted(),
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask[Read](
        self,
        path: str,
        present: "Presentation",
        reader: Callable[[bytes], Read],
        *,
        body: bytes | None = None,
    ) -> Read:
        """Put one question: a path (with its query), how the key is shown, how to read the answer.

        With a body, JSON, it is a POST; such a question may cost.

        Raises:
            MistralError: whatever went wrong.
            ScopeError: a transaction is open.
        """
        scope.assert_no_transaction()
        if not is_plausible_key(self._key.reveal()):
            raise KeyRefusedError(UNSENDABLE_KEY)
        self.last_answer = None
        outcome = self._outcome(path, present, reader, body)
        # Raised here, where no handler and no frame holds what may quote the key: httpx's errors
        # hold the request, and the frames that read an answer hold its body.
        if isinstance(outcome, MistralError):
            raise outcome
        return outcome

    def ask_lines(self, path: str) -> Iterator[bytes]:
        """Give the lines of an answer, one after the other, without holding the whole of it.

        Of a line above the limit only its first part is given, which is no JSON then.

        Raises:
            MistralError: whatever went wrong; lines may have been given before.
            ScopeError: a transaction is open.
        """
        scope.assert_no_transaction()
        failure: MistralError | None = None
        try:
            with self._http.stream(
                "GET", join(self._root, path), auth=_Credential(self._key, as_bearer)
            ) as response:
                if response.status_code >= FIRST_FAILURE:
                    body = response.read()[:_MAX_ANSWER_BYTES]
                    failure = error_of(
                        classify(response.status_code, response.headers, body, path=path)
                    )
                else:
                    yield from _lines(response.iter_raw())
        except _NOT_CONNECTED:
            failure = never_reached()
        except httpx.HTTPError:
            failure = answer_lost()
        # Raised here, where no handler holds the request; see `ask`.
        if failure is not None:
            raise failure

    def _outcome[Read](
        self,
        path: str,
        present: "Presentation",
        reader: Callable[[bytes], Read],
        body: bytes | None,
    ) -> Read | MistralError:
        answer = self._exchange(path, present, body)
        if isinstance(answer, MistralError):
            return answer
        try:
            return reader(answer)
        except WireError as error:
            return WireError(error.where, error.expected, self._marked(error.failure))

    def _exchange(
        self, path: str, present: "Presentation", body: bytes | None
    ) -> bytes | MistralError:
        try:
            with self._http.stream(
                "GET" if body is None else "POST",
                join(self._root, path),
                content=body,
                headers=None if body is None else {"Content-Type": "application/json"},
                auth=_Credential(self._key, present),
            ) as response:
                return self._receive(response, path)
        except _NOT_CONNECTED:
            return never_reached()
        except httpx.HTTPError:
            mark = self.last_answer
            return answer_lost(mark.http_status, mark.correlation_id) if mark else answer_lost()

    def _receive(self, response: httpx.Response, path: str) -> bytes | MistralError:
        status, headers = response.status_code, response.headers
        mark = self.last_answer = AnswerMark(status, read_correlation_id(headers))
        deadline = time.monotonic() + self._timeouts.total
        body = bytearray()
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > _MAX_ANSWER_BYTES:
                break
            if time.monotonic() > deadline:
                return answer_lost(status, mark.correlation_id)
        if status >= FIRST_FAILURE:
            return error_of(classify(status, headers, bytes(body), path=path.partition("?")[0]))
        if len(body) > _MAX_ANSWER_BYTES:
            expected = f"at most {_MAX_ANSWER_BYTES} bytes"
            return WireError("body", expected, self._marked(UNREADABLE))
        return bytes(body)

    def _marked(self, failure: UpstreamFailure) -> UpstreamFailure:
        mark = self.last_answer
        if mark is None:
            return failure
        return replace(failure, http_status=mark.http_status, correlation_id=mark.correlation_id)


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    pending = bytearray()
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield bytes((pending + line)[:_MAX_LINE_BYTES])
            pending.clear()
        if len(pending) < _MAX_LINE_BYTES:
            pending += rest
    if pending:
        yield bytes(pending[:_MAX_LINE_BYTES])


type Presentation = Callable[[str], tuple[str, str]]


def as_bearer(key: str) -> tuple[str, str]:
    """Show the key as OAuth's bearer."""
    return "Authorization", f"Bearer {key}"


def as_api_key(key: str) -> tuple[str, str]:
    """Show the key in a header of its own."""
    return "x-api-key", key


class _Credential(httpx.Auth):
    """Puts the key on the request at the last moment, so that no frame of ours holds it."""

    def __init__(self, key: Secret[str], present: Presentation) -> None:
        self._key = key
        self._present = present

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        name, value = self._present(self._key.reveal())
        request.headers[name] = value
        yield request
