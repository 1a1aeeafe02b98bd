"""The simulated Mistral as an ASGI application.

Finds the route, the key, the mood of the day, and answers; refuses keys it does not know. Endpoints
are plain functions (see routing.py); waiting, breaking and sending are done here, so that an
endpoint needs to know nothing of them.
"""

import asyncio
import logging
import time
from functools import lru_cache
from typing import Any

import orjson
import uuid_utils

from aisuru_mistral.simulator import directives as dictated
from aisuru_mistral.simulator.endpoints import ROUTES, aisuru
from aisuru_mistral.simulator.errors import REFUSALS, Refusal
from aisuru_mistral.simulator.faults import reset_connection
from aisuru_mistral.simulator.keys import Key
from aisuru_mistral.simulator.multipart import BadForm, read_form
from aisuru_mistral.simulator.routing import Call, Route, Routes
from aisuru_mistral.simulator.state import RecordedRequest, SimulatorState
from aisuru_mistral.simulator.validation import Checker, Findings, check_body, finding
from aisuru_mistral.simulator.wire import (
    BodyTooLarge,
    CallerLeft,
    Exchange,
    Interrupted,
    Receive,
    Reply,
    Scope,
    Send,
    StreamReply,
    json_reply,
)

CONTROL = "/sim/"
KEEP_ALIVE = b": keep-alive\n\n"
NO_ERROR = "none"
SMALL_BODY = 4096

logger = logging.getLogger(__name__)


class Simulator:
    """The application. `state` may be read and changed from other threads."""

    def __init__(self, state: SimulatorState) -> None:
        self.state = state
        self._routes = Routes(ROUTES)
        self._waiting: set[asyncio.Future[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "http":
            await self._serve(Exchange(scope, receive, send))
        elif scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            raise NotImplementedError(scope["type"])

    def interrupt(self) -> None:
        """Break every answer that is waiting, so that the server can stop.

        Call it in the event loop.
        """
        for waiting in tuple(self._waiting):
            if not waiting.done():
                waiting.set_exception(Interrupted())

    async def _serve(self, exchange: Exchange) -> None:
        began = time.perf_counter()
        bearer, api_key = _credentials(exchange)
        request = self._recorded(exchange, bearer, api_key)
        try:
            call = Call(
                state=self.state,
                request=request,
                correlation_id=str(uuid_utils.uuid7()),
                directives=dictated.NOTHING,
                sent=exchange.headers,
                query=exchange.query,
            )
            request.correlation_id = call.correlation_id
            try:
                reply = await self._reply(exchange, call, bearer, api_key)
            except BodyTooLarge:
                reply = call.refuse("payload_too_large")
            request.status = reply.status
            identifier = call.correlation_id.encode()
            reply.headers += (
                (b"mistral-correlation-id", identifier),
                (b"x-kong-request-id", identifier),
                (b"x-envoy-upstream-service-time", b"%d" % ((time.perf_counter() - began) * 1000)),
            )
            if isinstance(reply, StreamReply):
                await self._stream(exchange, call, reply)
            else:
                await self._send(exchange, call, reply)
        except CallerLeft:
            request.outcome = "disconnected"
        except Interrupted:
            request.outcome = "broken"
            raise
        except Exception:
            logger.exception("the simulator failed at %s %s", exchange.method, exchange.path)
            raise
        finally:
            exchange.close()

    def _recorded(
        self, exchange: Exchange, bearer: str | None, api_key: str | None
    ) -> RecordedRequest:
        # AIsuru's addresses hold a login token; the stand-in remembers them without it.
        if exchange.path.startswith(CONTROL) or exchange.path.startswith(aisuru.PREFIX):
            return RecordedRequest(0, time.time(), exchange.method, exchange.path, "none")
        if bearer is not None:
            auth = "bearer" if api_key is None else "both"
        elif api_key is not None:
            auth = "x-api-key"
        else:
            auth = "other" if b"authorization" in exchange.headers else "none"
        return self.state.record(exchange.method, exchange.path, auth)

    async def _reply(
        self, exchange: Exchange, call: Call, bearer: str | None, api_key: str | None
    ) -> Reply | StreamReply:
        if exchange.method != "GET":
            call.raw = await exchange.read_body()
        if exchange.path.startswith(aisuru.PREFIX):
            return aisuru.serve(call, exchange.method, exchange.path)
        route, call.tail = self._routes.find(exchange.method, exchange.path)
        if route is None:
            if self._routes.knows(exchange.path):
                return json_reply(405, {"detail": "Method Not Allowed"})
            return call.refuse("no_route")
        if route.kind == "control":
            return route.handler(call)
        key = self._key(route, bearer, api_key)
        if key is None:
            return call.refuse("unauthorized")
        return await self._reply_to_key(exchange, call, route, key)

    async def _reply_to_key(
        self, exchange: Exchange, call: Call, route: Route, key: Key
    ) -> Reply | StreamReply:
        call.known_key = key
        call.request.key_name = key.name
        try:
            call.directives = self._directives(exchange, key)
            refusal = self._refusal(call, route)
        except dictated.BadDirective as error:
            return json_reply(400, {"simulator": str(error)})
        if call.directives.delay:
            await exchange.pause(call.directives.delay, self._waiting)
        if refusal is not None:
            return refusal.reply(
                model=_model_of(call.raw) if b"{model}" in refusal.body else "",
                request_id=call.correlation_id,
                key=key.secret,
            )
        return _checked(call, route)

    def _key(self, route: Route, bearer: str | None, api_key: str | None) -> Key | None:
        for form, secret in (("bearer", bearer), ("x-api-key", api_key)):
            if secret is not None and form in route.forms:
                key = self.state.find(secret)
                return key if key is not None and key.admin == (route.kind == "admin") else None
        return None

    def _directives(self, exchange: Exchange, key: Key) -> dictated.Directives:
        given = dictated.from_headers(exchange.headers)
        return given.over(key.directives).over(self.state.directives)

    def _refusal(self, call: Call, route: Route) -> Refusal | None:
        name = call.directives.error
        if name is None:
            name = self.state.misbehaviour(call.key, route.kind)
        if name is None or name == NO_ERROR:
            return None
        if name not in REFUSALS:
            raise dictated.BadDirective(f"unknown error {name!r}; known: {', '.join(REFUSALS)}")
        return REFUSALS[name]

    async def _send(self, exchange: Exchange, call: Call, reply: Reply) -> None:
        if reply.fault == "hang":
            await exchange.pause(None, self._waiting)
        if reply.fault == "reset":
            reset_connection(exchange.scope)
            raise Interrupted
        if reply.fault == "cut":
            await exchange.start(reply, length=None)
            await exchange.write(reply.body, more=True)
            raise Interrupted
        # Said before the last byte leaves: who has the answer may ask at once how it went.
        call.request.outcome = "answered"
        await exchange.start(reply, length=len(reply.body))
        await exchange.write(reply.body, more=False)

    async def _stream(self, exchange: Exchange, call: Call, reply: StreamReply) -> None:
        wanted = call.directives
        contents = 0
        held = b""
        await exchange.start(reply, length=None)
        for number, (chunk, tokens) in enumerate(reply.events):
            if wanted.chunk_delay:
                await exchange.pause(wanted.chunk_delay, self._waiting)
            if wanted.keep_alive and number % wanted.keep_alive == 0:
                chunk = KEEP_ALIVE + chunk  # noqa: PLW2901 - the comment belongs to its chunk
            if wanted.split is None:
                await exchange.write(chunk, more=True)
            else:
                held += chunk
                while len(held) >= wanted.split:
                    await exchange.write(held[: wanted.split], more=True)
                    held = held[wanted.split :]
            contents += tokens > 0
            if wanted.cut_after is not None and contents >= wanted.cut_after:
                raise Interrupted
        call.request.outcome = "answered"
        await exchange.write(held, more=False)


def create_app(state: SimulatorState | None = None) -> Simulator:
    """The application over this state, or over a new one."""
    return Simulator(state if state is not None else SimulatorState())


def _credentials(exchange: Exchange) -> tuple[str | None, str | None]:
    bearer = None
    kind, _, rest = exchange.headers.get(b"authorization", b"").partition(b" ")
    if kind.lower() == b"bearer":
        bearer = rest.strip().decode("latin-1")
    api_key = exchange.headers.get(b"x-api-key")
    return bearer, None if api_key is None else api_key.strip().decode("latin-1")


def _checked(call: Call, route: Route) -> Reply | StreamReply:
    """The body read and checked, then the endpoint's answer."""
    if route.schema is None:
        return route.handler(call)
    if route.multipart:
        return _checked_form(call, route, route.schema)
    read = _read_again if len(call.raw) <= SMALL_BODY else _read
    call.body, findings = read(route.schema, call.raw)
    return _unless(findings, call, route)


def _checked_form(call: Call, route: Route, schema: Checker) -> Reply | StreamReply:
    content_type = call.sent.get(b"content-type", b"")
    try:
        form = read_form(content_type, call.raw)
    except BadForm as error:
        return json_reply(400, {"detail": str(error)})
    call.body, findings = check_body(schema, form)
    return _unless(findings, call, route)


def _unless(findings: Findings, call: Call, route: Route) -> Reply | StreamReply:
    if not findings:
        return route.handler(call)
    if call.directives.validation == "wrapped":
        body = {"object": "error", "message": {"detail": findings}}
        return json_reply(
            422, {**body, "type": "invalid_request_error", "param": None, "code": None}
        )
    return json_reply(422, {"detail": findings})


def _read(schema: Checker, raw: bytes) -> tuple[Any, Findings]:
    if not raw:
        return None, [finding("missing", ("body",), "Field required", None)]
    try:
        given = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        context = {"error": error.msg}
        return None, [
            finding("json_invalid", ("body", error.pos), "JSON decode error", {}, context)
        ]
    return check_body(schema, given)


# A benchmark sends the same small body again and again; endpoints never change what they are given.
_read_again = lru_cache(maxsize=256)(_read)


def _model_of(raw: bytes) -> str:
    """The model that a body names, as far as it can be read at all."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return ""
    model = body.get("model") if isinstance(body, dict) else None
    return model if isinstance(model, str) else ""


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return
