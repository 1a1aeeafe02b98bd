"""Posts one webhook to one endpoint: the only place in this room that speaks HTTP.

It connects to an address that ``targets`` has judged, follows no redirect, reads the beginning of
the answer only, takes no longer than it is given, and uses no proxy, cookie or decompression. It
raises nothing for the wire: whatever happens there is an ``Answer``. It runs in threads, so it
touches no database.
"""

import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache

import httpcore
from django.utils import timezone

from tenants.mistral.masking import mask_key_shaped
from tenants.notices import targets
from tenants.notices.targets import Target

_MOST_READ = 4_096
_MOST_KEPT = 1_000
_LARGEST_WAIT = 10**9
#: Whatever can happen between here and there; anything else is a slip of ours.
_FAULTS = (
    targets.NotPublicError,
    targets.UnresolvedError,
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    OSError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an attempt.

    Attributes:
        status: of HTTP; None when there was no answer.
        error: why not: ``address_not_allowed``, ``name_not_resolved``, ``not_reachable``,
            ``tls_failed``, ``timed_out``, ``broken_answer``; empty with a status.
        excerpt: the beginning of its body, masked.
        retry_after: seconds that the endpoint asks for; None if it asks for none.
        milliseconds: that it took.
    """

    status: int | None = None
    error: str = ""
    excerpt: str = ""
    retry_after: float | None = None
    milliseconds: int = 0

    @property
    def is_delivered(self) -> bool:
        """Whether the endpoint took it."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own


def post(target: Target, body: bytes, headers: Mapping[str, str], *, seconds: float) -> Answer:
    """Post a body, within so many seconds in all."""
    began = time.monotonic()
    try:
        status, answered, raw = _post(target, body, headers, began + seconds)
    except _FAULTS as fault:
        return Answer(error=_name_of(fault), milliseconds=_since(began))
    return Answer(
        status=status,
        excerpt=_excerpt(raw),
        retry_after=_retry_after(answered.get("retry-after")),
        milliseconds=_since(began),
    )


@cache
def trusted() -> ssl.SSLContext:
    """Return the authorities that an endpoint's certificate must come from."""
    return httpcore.default_ssl_context()


class _Line(httpcore.NetworkStream):
    """A connection whose every step ends at the same instant."""

    def __init__(self, plain: httpcore.NetworkStream, ends: float) -> None:
        self._plain = plain
        self._ends = ends

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._plain.read(max_bytes, _left(self._ends))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._plain.write(buffer, _left(self._ends))

    def close(self) -> None:
        self._plain.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        secured = self._plain.start_tls(ssl_context, server_hostname, _left(self._ends))
        return _Line(secured, self._ends)


class _Door(httpcore.NetworkBackend):
    """Connects to addresses that were judged, whatever the name leads to by now."""

    def __init__(self, addresses: tuple[str, ...], ends: float) -> None:
        self._addresses = addresses
        self._ends = ends
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        refusal: httpcore.ConnectError | None = None
        for address in self._addresses:
            try:
                plain = self._plain.connect_tcp(address, port, timeout=_left(self._ends))
            except httpcore.ConnectError as error:
                refusal = error
            else:
                return _Line(plain, self._ends)
        raise refusal or httpcore.ConnectError


def _post(
    target: Target, body: bytes, headers: Mapping[str, str], ends: float
) -> tuple[int, dict[str, str], bytes]:
    door = _Door(targets.resolve(target), ends)
    with (
        httpcore.ConnectionPool(ssl_context=trusted(), network_backend=door) as pool,
        pool.stream(
            "POST",
            httpcore.URL(
                scheme=target.scheme.encode(),
                host=target.host.encode(),
                port=target.port,
                target=target.path.encode(),
            ),
            headers=[*headers.items(), ("Host", _authority(target)), ("Connection", "close")],
            content=body,
        ) as response,
    ):
        raw = b""
        for piece in response.iter_stream():
            raw += piece
            if len(raw) >= _MOST_READ:
                break
        answered = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.headers
        }
        return response.status, answered, raw[:_MOST_READ]


def _authority(target: Target) -> str:
    return target.url.partition("://")[2].partition("/")[0]


def _left(ends: float) -> float:
    """Tell how many seconds are left.

    Raises:
        TimeoutError: none.
    """
    seconds = ends - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _name_of(fault: Exception) -> str:
    """Say what went wrong on the way, in the words of ``Answer``."""
    if isinstance(fault, targets.NotPublicError):
        return "address_not_allowed"
    if isinstance(fault, targets.UnresolvedError):
        return "name_not_resolved"
    if isinstance(fault, httpcore.TimeoutException | TimeoutError):
        return "timed_out"
    if isinstance(fault, httpcore.ConnectError):
        # What went wrong below is told in the text only, where it was mapped.
        is_tls = isinstance(fault.__cause__, ssl.SSLError) or "SSL" in str(fault)
        return "tls_failed" if is_tls else "not_reachable"
    return "broken_answer"


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _excerpt(raw: bytes) -> str:
    text = mask_key_shaped(raw.decode(errors="replace"))
    return "".join(one for one in text if one.isprintable() or one == "\n")[:_MOST_KEPT]


def _retry_after(value: str | None) -> float | None:
    """Read ``Retry-After``: seconds, or an instant (RFC 9110)."""
    if not value:
        return None
    if value.isascii() and value.isdecimal():
        return float(min(int(value[:12]), _LARGEST_WAIT))
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    if at.tzinfo is None:
        return None
    return max((at - timezone.now()).total_seconds(), 0.0)
