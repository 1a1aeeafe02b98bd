"""The gateway as an ASGI application ahead of Django: who calls, what, may they, then the relay.

No middleware, no framework: a request costs a look-up in memory, one JSON parse and one wait for
the ledger. Everything is refused in Mistral's error shape, and nothing of a request is logged.
"""

import time
from dataclasses import dataclass
from itertools import chain
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from django.conf import settings

from tenants.common.models import new_id
from tenants.common.problems import Conflict, Invalid, Problem, Unauthenticated
from tenants.gateway import addresses, models, parameters, requests, weighing
from tenants.gateway.arrivals import Arrival, Arrivals
from tenants.gateway.attempts import Attempts, Wanted
from tenants.gateway.bounds import Bounds, bounds
from tenants.gateway.breaker import Breaker
from tenants.gateway.calls import load_opened
from tenants.gateway.charsets import LIKE_ASCII, UTF_8, charset_of
from tenants.gateway.crowd import bearer
from tenants.gateway.doubts import Doubts
from tenants.gateway.elsewhere import Asked, Elsewhere
from tenants.gateway.endpoints import ENDPOINTS, MODELS
from tenants.gateway.exchange import Exchange, Message, Receive, Send
from tenants.gateway.failover import Alternates
from tenants.gateway.lanes import Lanes
from tenants.gateway.learning import Keeper
from tenants.gateway.once import HEADER, is_repeatable, once
from tenants.gateway.pacing import CallerLeftError, Pacer
from tenants.gateway.pictures import Pictures
from tenants.gateway.refusals import JSON
from tenants.gateway.relay import Relay
from tenants.gateway.shared import connect
from tenants.gateway.shelf import Shelf, owner_of
from tenants.gateway.siblings import Siblings
from tenants.gateway.snapshots import Picture
from tenants.gateway.together import Together
from tenants.gateway.tripwire import MOST_SUSPECTS, Place, screen, suspects
from tenants.gateway.uploads import Upload
from tenants.gateway.writer import Writer
from tenants.mistral.headers import forwarded
from tenants.mistral.pool import PoolLimits, PoolTimeouts, UpstreamPool
from tenants.registry.models import ResourceKind
from tenants.spend.channel import past_poolers
from tenants.spend.pricing import Modifier

log = structlog.get_logger(__name__)

type _Headers = dict[bytes, bytes]

_REGIONAL_HOSTS = frozenset({"api.eu.mistral.ai", "api.us.mistral.ai"})
_CONNECTIONS = 2000
_ONCE = (b"authorization", b"x-message-id", b"host", b"transfer-encoding", b"content-type")
_CHUNKED = b"chunked"


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a running gateway consists of."""

    bounds: Bounds
    pictures: Pictures
    writer: Writer
    pool: UpstreamPool
    attempts: Attempts
    pacer: Pacer
    keeper: Keeper
    shelf: Shelf
    elsewhere: Elsewhere
    arrivals: Arrivals


class Gateway:
    """One process's gateway; it starts with its server, or else with its first request."""

    def __init__(self) -> None:
        self._parts: _Parts | None = None

    def start(self) -> None:
        """Start the writer and get ready to call Mistral, in the running event loop."""
        self._running()

    async def stop(self) -> None:
        """Write what is left to the ledger, and let go of every connection."""
        parts, self._parts = self._parts, None
        if parts is not None:
            await parts.pool.close()
            parts.pacer.stop()
            await parts.writer.stop()
            await parts.keeper.stop()
            await parts.pacer.together.stop()
            parts.pictures.close()
            parts.shelf.close()
            parts.arrivals.patience.stop()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request; whatever goes wrong in it stays in it."""
        started = time.perf_counter()
        call_id = new_id()
        exchange = Exchange(receive, send, str(call_id))
        structlog.contextvars.bind_contextvars(request_id=exchange.request_id)
        try:
            await self._serve(scope, exchange, call_id, started)
        except CallerLeftError:
            return
        except Problem as problem:
            await exchange.refuse(problem)
        except Exception as error:  # noqa: BLE001 - the last wall: a caller never sees a traceback
            log.error("gateway_fault", **_place_of(error))  # noqa: TRY400 - a traceback could quote the request
            fault = Problem("internal_error", "Something went wrong in the service.")
            await exchange.refuse(fault)
        finally:
            if exchange.leave is not None:
                exchange.leave()

    async def _serve(
        self, scope: Message, exchange: Exchange, call_id: UUID, started: float
    ) -> None:
        parts = self._running()
        path, method = scope["path"], scope["method"]
        headers, is_ascii = _headers(scope, parts.bounds)
        endpoint = ENDPOINTS.get(path)
        place = None
        if endpoint is None:
            if method == "GET" and (path == MODELS or path.startswith(f"{MODELS}/")):
                picture = await _authenticate(headers, parts.pictures)
                whose = picture.snapshot.organization.id
                exchange.leave = Arrival(parts.arrivals, whose, exchange.receive, headers).leave
                await _show_models(exchange, picture, path, parts.shelf)
                return
            place = addresses.find(path, method)
        else:
            _allow(method, "POST")
        picture = await _authenticate(headers, parts.pictures)
        whose = picture.snapshot.organization.id
        structlog.contextvars.bind_contextvars(organization_id=str(whose))
        if picture.blocked is not None:
            raise Conflict("model_blocked", picture.explanation, reason=picture.blocked.value)
        message_id = requests.message_id(headers.get(b"x-message-id"))
        arrival = Arrival(parts.arrivals, whose, exchange.receive, headers)
        exchange.leave = arrival.leave
        if endpoint is not None:
            body = await _whole(arrival, picture, is_ascii=is_ascii)
            wished = picture.traffic.policy.parameters
            mode = parameters.mode_of(headers.get(parameters.HEADER), wished)
            model = picture.snapshot.model
            request = await weighing.apart(
                whose, len(body), requests.read, endpoint, body, model, mode
            )
            if request.adapted:
                exchange.extra = [parameters.told(request.adapted)]
        elif place is not None:
            asked = _asked(picture, headers, scope["query_string"], arrival, is_ascii=is_ascii)
            request = await parts.elsewhere.request(place, asked)
        if request.names_files:
            owner = owner_of(picture.snapshot)
            await parts.shelf.require(owner, ResourceKind.FILE, request.names_files)

        async def work(told: Exchange) -> None:
            told_on = _told_on(scope, request, is_ascii=is_ascii)
            wanted = Wanted(picture, request, call_id, message_id, started, told_on)
            await parts.attempts.make(told, wanted)

        key = headers.get(HEADER)
        if key is None or not is_repeatable(request):
            await work(exchange)
        else:
            await once(
                key=key,
                picture=picture,
                request=request,
                exchange=exchange,
                shelf=parts.shelf,
                lease=parts.bounds.total + parts.bounds.idle,
                keep=arrival.keep,
                work=work,
            )

    def _running(self) -> _Parts:
        if self._parts is None:
            self._parts = _assemble()
            self._parts.writer.start()
            self._parts.keeper.start()
            self._parts.pacer.together.start()
        return self._parts


def _assemble() -> _Parts:
    limits = bounds()
    pool = UpstreamPool(
        settings.MISTRAL_API_URL,
        limits=PoolLimits(connections=_CONNECTIONS),
        timeouts=PoolTimeouts(connect=limits.connect, idle=limits.idle),
    )
    host = urlsplit(settings.MISTRAL_API_URL).hostname
    shelf = Shelf(is_regional=host in _REGIONAL_HOSTS)
    extra = (Modifier.REGIONAL,) if host in _REGIONAL_HOSTS else ()
    writer, lanes = Writer(limits), Lanes(limits.outages)
    keeper, relay = Keeper(lanes), Relay(pool, limits, Doubts(shelf))
    shared = connect(settings.REDIS_URL) if settings.REDIS_URL else None
    breaker = Breaker(failures=limits.outages)
    is_alone = shared is not None or not limits.siblings
    siblings = None if is_alone else Siblings(past_poolers, limits.siblings)
    pacer = Pacer(lanes, breaker, Together(shared, siblings), keeper.read_months)
    return _Parts(
        bounds=limits,
        pictures=Pictures(limits, load_opened),
        writer=writer,
        pool=pool,
        attempts=Attempts(writer, relay, pacer, Alternates(limits.fresh), extra),
        pacer=pacer,
        keeper=keeper,
        shelf=shelf,
        elsewhere=Elsewhere(shelf, pool, limits),
        arrivals=Arrivals(limits),
    )


def _headers(scope: Message, limits: Bounds) -> tuple[_Headers, bool]:
    """Index the header fields by name, and tell whether the body has to be ASCII.

    Raises:
        Invalid: too many (431), one that must not come twice does, what the server lets through and
            a proxy before it may read otherwise (400), or another charset than UTF-8 (415).
    """
    fields: list[tuple[bytes, bytes]] = scope["headers"]
    length = len(b"".join(chain.from_iterable(fields)))
    if len(fields) > limits.headers or length > limits.header_bytes:
        raise Invalid("headers_too_large", "The header is too large.", status=431)
    headers = dict(fields)
    if len(headers) != len(fields):
        names = [name for name, _ in fields]
        if any(names.count(name) > 1 for name in _ONCE):
            raise Invalid(
                "ambiguous_header", "A header that may come once comes twice.", status=400
            )
    if headers.get(b"transfer-encoding", _CHUNKED).lower() != _CHUNKED:
        raise Invalid("unsupported_encoding", "Send the body uncompressed.", status=400)
    if not headers.get(b"host") and scope.get("http_version") == "1.1":  # granian makes it empty
        raise Invalid("host_missing", "The request names no host.", status=400)
    media = headers.get(b"content-type", b"").lower()
    charset = charset_of(media)
    if charset in UTF_8:
        return headers, False
    if charset in LIKE_ASCII and media.partition(b";")[0].rstrip() == b"application/json":
        return headers, True
    raise _in_another_charset()


def _in_another_charset() -> Invalid:
    """Refuse a body of which Mistral would read another text than is read here."""
    return Invalid("unsupported_charset", "Send the body in UTF-8.", status=415)


def _told_on(scope: Message, request: requests.Request, *, is_ascii: bool) -> dict[str, str]:
    """Choose the headers that Mistral gets: of a form only what was read of its type.

    A charset that allows ASCII only is left out: a body that is written anew may have other text.
    """
    headers = forwarded(scope["headers"])
    if isinstance(request.body, Upload):
        headers["content-type"] = request.body.form.content_type
    elif is_ascii:
        headers["content-type"] = "application/json"
    return headers


def _allow(method: str, only: str) -> None:
    if method != only:
        raise Invalid("method_not_allowed", f"This endpoint takes {only} only.", status=405)


async def _authenticate(headers: _Headers, pictures: Pictures) -> Picture:
    """Find what the caller's token stands for.

    Raises:
        Unauthenticated: no token, none of ours, revoked or over.
        Unavailable: it cannot be looked up now.
    """
    token = bearer(headers.get(b"authorization", b""))
    picture = await pictures.find(token) if token is not None else None
    if picture is None:
        raise Unauthenticated(
            "invalid_token",
            "Send a valid model token (aim_mdl_…) as `Authorization: Bearer`. This one is missing,"
            " unknown, expired or revoked.",
        )
    return picture


def _asked(
    picture: Picture, headers: _Headers, query: bytes, arrival: Arrival, *, is_ascii: bool
) -> Asked:
    """Let a request's body be had as a whole or piece by piece, whichever it takes."""

    async def body() -> bytes:
        return await _whole(arrival, picture, is_ascii=is_ascii)

    owner = owner_of(picture.snapshot)
    return Asked(picture, owner, headers, query, body, arrival.piece, arrival.keep, arrival.spool)


async def _whole(arrival: Arrival, picture: Picture, *, is_ascii: bool) -> bytes:
    """Read a body, without secrets of ours.

    Raises:
        Invalid: it is not in its charset (415).
    """
    body = await arrival.whole()
    if is_ascii and not body.isascii():
        raise _in_another_charset()
    return await _without_secrets(body, picture)


async def _without_secrets(body: bytes, picture: Picture) -> bytes:
    """Mask secrets of ours in a prompt, and have their owner told; nearly always it is one look.

    Raises:
        Invalid: there are more suspects than can be looked up.
    """
    owner = picture.snapshot.organization.id
    if found := await weighing.apart(owner, len(body), suspects, body, MOST_SUSPECTS):
        return await screen(body, found, seen_in=owner, place=Place.PROMPT)
    return body


async def _show_models(exchange: Exchange, picture: Picture, path: str, shelf: Shelf) -> None:
    snapshot = picture.snapshot
    card = await shelf.card(owner_of(snapshot), snapshot.key.id, snapshot.model.mistral_model)
    if path == MODELS:
        body = models.list_models(snapshot, card)
    else:
        body = models.read_model(snapshot, path[len(MODELS) + 1 :], card)
    await exchange.answer(200, [JSON], body)


def _place_of(error: BaseException) -> dict[str, str]:
    """Name a fault of ours without quoting anything: its kind and where it happened."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return {"error": type(error).__name__, "where": where}


application = Gateway()
