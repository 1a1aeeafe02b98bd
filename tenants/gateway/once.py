"""Makes a call once under an ``Idempotency-Key``, and gives its answer again to who repeats it.

For POSTs that are answered in one piece; the header is ignored on streams and forms. What cost
nothing may be tried again under its key; what may have cost is not made again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from tenants.access import replays
from tenants.gateway import weighing
from tenants.gateway.exchange import Exchange
from tenants.gateway.refusals import Headers
from tenants.gateway.requests import Request
from tenants.gateway.shelf import Shelf
from tenants.gateway.snapshots import Picture

HEADER = b"idempotency-key"
_REPLAYED = (b"idempotent-replayed", b"true")
_CONTENT_TYPE, _CONTENT_ENCODING = b"content-type", b"content-encoding"
_FIRST_REFUSAL = 300
_UNKNOWN = 500


@dataclass
class Recording(Exchange):
    """An exchange that remembers what was answered."""

    status: int | None = None
    content_type: str = ""
    body: bytes | None = None

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Remember, and answer; a body that is compressed would not be known as such."""
        told = dict(headers)
        self.status, self.body = status, None if _CONTENT_ENCODING in told else body
        self.content_type = told.get(_CONTENT_TYPE, b"").decode("latin-1")
        await super().answer(status, headers, body)


def is_repeatable(request: Request) -> bool:
    """Tell whether a request's answer can be given again."""
    return request.method == "POST" and not request.is_stream and isinstance(request.body, bytes)


async def once(
    *,
    key: bytes,
    picture: Picture,
    request: Request,
    exchange: Exchange,
    shelf: Shelf,
    lease: float,
    keep: Callable[[int], None],
    work: Callable[[Exchange], Awaitable[object]],
) -> None:
    """Do some work that answers an exchange, or answer as it was answered before.

    Args:
        key: the header's value.
        picture: of the token.
        request: of the call.
        exchange: with the caller.
        shelf: for the database.
        lease: seconds that the work can take at most.
        keep: has room for so many bytes of the call, or refuses it.
        work: makes the call.

    Raises:
        Problem: the key is malformed, was used otherwise, or its first request still runs; or there
            is no room for the answer now.
    """
    name, snapshot = replays.name_of(key), picture.snapshot
    body = request.body if isinstance(request.body, bytes) else b""
    owner, token = snapshot.organization.id, snapshot.token_id
    path = request.target or request.endpoint.path
    mark = await weighing.apart(owner, len(body), replays.fingerprint, path, body)
    found = await shelf.run(
        replays.claim, owner, token, name, mark=mark, lease=timedelta(seconds=lease)
    )
    if isinstance(found, replays.Earlier):
        keep(len(body) + len(found.body))
        headers = [
            (_CONTENT_TYPE, found.content_type.encode("latin-1")),
            _REPLAYED,
            (b"x-aim-cost", f"0.000000 {snapshot.organization.currency}".encode()),
        ]
        await exchange.answer(found.status, headers, found.body)
        return
    told = Recording(exchange.receive, exchange.send, exchange.request_id, extra=exchange.extra)
    try:
        await work(told)
    finally:
        exchange.is_started = told.is_started  # whatever becomes of what is remembered
        await asyncio.shield(_finish(shelf, found, told))


async def _finish(shelf: Shelf, mine: replays.Claim, told: Recording) -> None:
    if told.body is not None and told.status is not None and told.status < _FIRST_REFUSAL:
        await shelf.run(replays.settle, mine, told.status, told.content_type, told.body)
    elif told.may_cost:  # whatever went wrong then, on Mistral's side or on ours
        await shelf.run(replays.settle, mine, _UNKNOWN, "", None)
    else:
        await shelf.run(replays.release, mine)
