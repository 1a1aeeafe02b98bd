"""A server's application whose answers are longer than anybody's buffers, whoever asks."""

import asyncio

from aisuru_mistral import undelivered

#: For which a caller may take nothing.
PATIENCE = 5
LENGTH = 16 * 1024 * 1024
_PIECE = 64 * 1024


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        watching = asyncio.create_task(undelivered.watch(PATIENCE))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        watching.cancel()
        await send({"type": "lifespan.shutdown.complete"})
        return
    headers = [(b"content-length", str(LENGTH).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(LENGTH // _PIECE):
        await send({"type": "http.response.body", "body": bytes(_PIECE), "more_body": True})
    await send({"type": "http.response.body"})
