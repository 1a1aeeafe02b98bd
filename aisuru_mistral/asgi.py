"""The web process: `/v1` is the gateway's, the rest is Django's; both live and end together."""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import psutil
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aisuru_mistral.settings")  # noqa: TID251 - chosen before env.py can be read
_django = get_asgi_application()

from aisuru_mistral import undelivered  # noqa: E402 - Django's apps come first
from aisuru_mistral.traced import traced  # noqa: E402
from tenants.access.requests import limited  # noqa: E402
from tenants.gateway.app import application as _gateway  # noqa: E402
from tenants.gateway.bounds import bounds  # noqa: E402
from tenants.gateway.crowd import Crowd  # noqa: E402

type _Message = dict[str, Any]
type _Receive = Callable[[], Awaitable[_Message]]
type _Send = Callable[[Any], Awaitable[None]]

_crowd = traced(Crowd(_gateway))


async def application(scope: _Message, receive: _Receive, send: _Send) -> None:
    """Serve one ASGI scope."""
    if scope["type"] == "http":
        path = scope["path"]
        if path.startswith("/v1/") or path == "/v1":
            if path.startswith("/v1/v1/"):  # a client that adds /v1 to an address that ends in it
                scope = {**scope, "path": path.removeprefix("/v1")}
            await _crowd(scope, receive, send)
        else:
            await _django(scope, limited(receive), send)
    elif scope["type"] == "lifespan":
        await _live(receive, send)
    else:
        await receive()
        await send({"type": "websocket.close", "code": 1000})


def _take_turns() -> None:
    """Keep this process's threads from interrupting each other where they share a core (ADR 4).

    Whatever wakes a thread of the server or of the client, the event loop goes on until it waits:
    then they do all at once what each would have broken in for.
    """
    with suppress(OSError):
        for thread in psutil.Process().threads():
            os.sched_setscheduler(thread.id, os.SCHED_BATCH, os.sched_param(0))


async def _live(receive: _Receive, send: _Send) -> None:
    """Start and stop the gateway with the server, and what watches the server's connections."""
    watching: asyncio.Task[None] | None = None
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            _gateway.start()
            # What is loaded stays: collections need not walk through it again and again.
            gc.collect()
            gc.freeze()
            _take_turns()
            # By then the gateway has given up whoever takes nothing of a stream.
            watching = asyncio.create_task(undelivered.watch(2 * bounds().lag))
            await send({"type": "lifespan.startup.complete"})
        else:
            if watching is not None:
                watching.cancel()
            await _gateway.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
