"""What keeping to rate limits costs a call, and how many round trips to Redis.

Admission and settlement of one call at a time, without network and ledger: nothing known, the
limits Mistral tells in headers, and configured ones beside them, for one bucket and for many. The
plain measure beside it is an empty coroutine. Redis is measured where ``redis-server`` is there.
Run: ``.venv/bin/python -m bench.pacing``.
"""

import argparse
import asyncio
import os
import shutil
import socket
import subprocess
import time
from decimal import Decimal

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")  # noqa: TID251 - a process of its own

import django

django.setup()  # the product is imported after this

from redis.asyncio import Redis  # noqa: E402

from tenants.common.models import new_id  # noqa: E402
from tenants.gateway.endpoints import ENDPOINTS  # noqa: E402
from tenants.gateway.requests import Request  # noqa: E402
from tenants.gateway.shared import Shared  # noqa: E402
from tenants.gateway.snapshots import Picture  # noqa: E402
from tenants.spend.calls import LimitMode, SubjectKind  # noqa: E402
from tenants.spend.pricing import Bound  # noqa: E402
from tenants.spend.rates import RateLimit, Rates  # noqa: E402
from tests.gateway.paced import nobody, picture_of  # noqa: E402
from tests.gateway.paced import pacer as pacer_of  # noqa: E402

_TOLD = {
    "content-type": "application/json",
    "x-ratelimit-limit-req-minute": "100000000",
    "x-ratelimit-remaining-req-minute": "99999999",
    "x-ratelimit-limit-tokens-minute": "100000000000",
    "x-ratelimit-remaining-tokens-minute": "99999999999",
    "x-ratelimit-limit-tokens-month": "100000000000",
    "x-ratelimit-remaining-tokens-month": "99999999999",
}
_CALLS = 20_000
_REQUEST = Request(
    ENDPOINTS["/v1/chat/completions"],
    b"",
    Bound(2000, context_length=32_000, max_tokens=500, default_max_tokens=None, choices=1),
    (),
)


def picture(*, rated: bool) -> Picture:
    """Make a model's picture."""
    organization, model = new_id(), new_id()
    limits = (
        RateLimit(SubjectKind.ORGANIZATION, organization, _rates(), LimitMode.ENFORCE),
        RateLimit(SubjectKind.MODEL, model, _rates(), LimitMode.ENFORCE),
    )
    return picture_of(organization, model, *(limits if rated else ()))


def _rates() -> Rates:
    return Rates(Decimal(900_000), 10**12, None)


async def measure(
    pictures: list[Picture], told: dict[str, str], shared: Shared | None, at_once: int = 1
) -> float:
    """Tell the seconds of one call."""
    pacer = pacer_of(shared)

    async def calls(count: int) -> None:
        for number in range(count):
            found = pictures[number % len(pictures)]
            until = pacer.clock() + 30
            permit = await pacer.admit(found, _REQUEST, f"m{number // 5}", nobody, until)
            permit.heard(told)
            permit.finish(400, 100)

    await calls(len(pictures))
    count = _CALLS if shared is None else _CALLS // 4
    began = time.perf_counter()
    await asyncio.gather(*(calls(count // at_once) for _ in range(at_once)))
    return (time.perf_counter() - began) / count


async def _empty() -> float:
    async def nothing() -> None:
        return None

    began = time.perf_counter()
    for _ in range(_CALLS):
        await nothing()
    return (time.perf_counter() - began) / _CALLS


async def without_redis() -> None:
    print(f"{'an empty coroutine':42} {await _empty() * 1e6:7.2f} µs a call")
    for count in (1, 1000):
        some = f"{count} bucket{'s' * (count > 1)}"
        for name, rated, told in (
            ("nothing known", False, {}),
            ("Mistral's limits", False, _TOLD),
            ("and two configured subjects", True, _TOLD),
        ):
            pictures = [picture(rated=rated) for _ in range(count)]
            seconds = await measure(pictures, told, None)
            print(f"{some + ', ' + name:42} {seconds * 1e6:7.2f} µs a call")


async def with_redis(port: int) -> None:
    for at_once in (1, 64):
        shared = Shared(Redis(port=port))
        seconds = await measure([picture(rated=True)], _TOLD, shared, at_once)
        trips = shared.round_trips / (_CALLS // 4)
        label = f"with Redis, {at_once} at once"
        print(f"{label:42} {seconds * 1e6:7.2f} µs a call, {trips:.2f} round trips")
        await shared.stop()


def main() -> None:
    argparse.ArgumentParser(prog="bench.pacing", description=__doc__).parse_args()
    asyncio.run(without_redis())
    program = shutil.which("redis-server")
    if program is None:
        print("no redis-server here: round trips not measured")
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        asyncio.run(with_redis(port))
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
