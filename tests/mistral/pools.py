"""A pool, and requests to send with it."""

import asyncio

from tenants.common.secrets import Secret
from tenants.mistral.pool import PoolTimeouts, UpstreamPool

KEY = "QwErTyUiOpAsDfGhJkLzXcVbNm012345"
PATIENT = PoolTimeouts(connect=20.0, idle=20.0)


def pool_to(url, **options):
    return UpstreamPool(url, **{"timeouts": PATIENT, **options})


def send(pool, body=b"{}", **options):
    return pool.send("POST", "/v1/files", {}, body, key=Secret(KEY), **options)


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)
