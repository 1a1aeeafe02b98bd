"""The gateway inside a span, where a deployment traces."""

from collections.abc import Awaitable, Callable
from typing import Any

from tenants.common import tracing

type _Message = dict[str, Any]
type _Receive = Callable[[], Awaitable[_Message]]
type _Send = Callable[[Any], Awaitable[None]]
type _Application = Callable[[_Message, _Receive, _Send], Awaitable[None]]


def traced(inner: _Application) -> _Application:
    """Wrap an ASGI application, if anybody traces; the span has its status and its request id."""
    if not tracing.is_on():
        return inner

    async def application(scope: _Message, receive: _Receive, send: _Send) -> None:
        parent = next((v for name, v in scope["headers"] if name == b"traceparent"), b"")
        with tracing.span("gateway", parent.decode("latin-1")) as here:

            async def told(message: _Message) -> None:
                if message["type"] == "http.response.start":
                    here.set_attribute("http.response.status_code", message["status"])
                    for name, value in message["headers"]:
                        if name == b"x-request-id":
                            here.set_attribute("aim.request_id", value.decode())
                await send(message)

            await inner(scope, receive, told)

    return application
