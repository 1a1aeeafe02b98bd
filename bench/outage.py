"""`python -m bench.outage`: PostgreSQL is killed under load, and is away for ten seconds.

One gateway process, callers for JSON and streams who never stop asking, and a Mistral that counts
what it answers. It prints what callers saw before, meanwhile and after, and ends with an error if a
call reached Mistral while there was no ledger, if a refusal was slow or unlike what is documented,
if calls do not go on soon afterwards, or if the ledger has not exactly one exact event for each
call that Mistral answered, and nothing but calls that were not sent beside them.
"""

import argparse
import asyncio
import os
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import orjson
import psycopg
import uvloop

from bench import wire
from bench.servers import Server, describe_machine, free_port
from bench.stage import Stage, stage
from bench.stub import Stub

_CALLERS = 12
_PAUSE = 0.02
_BESIDE = 4.0  # seconds of load before and after
#: What was sent just before is still under way.
_GRACE = 1.0
_SLOWEST_REFUSAL = 6.0
_LONGEST_PAUSE = 8.0
_PATIENCE = 60.0
_COUNT = """
    SELECT (SELECT count(*) FROM spend_usageevent
             WHERE model_id = %(model)s AND outcome = 'completed'),
           (SELECT count(*) FROM spend_usageevent
             WHERE model_id = %(model)s
               AND (estimate <> '' OR outcome NOT IN ('completed', 'not_sent'))),
           (SELECT count(*) FROM spend_hold WHERE model_id = %(model)s)
"""


class Mistral(Stub):
    """The stub, counting the requests that reached it."""

    reached = 0

    def data_received(self, data: bytes) -> None:
        """Count the head of a request."""
        Mistral.reached += data.count(b"POST ")
        super().data_received(data)


@dataclass
class Load:
    """Callers in a thread of their own, and what each answer was, by phase."""

    port: int = 0
    token: str = ""
    phase: str = "before"
    answers: dict[str, Counter[str]] = field(default_factory=dict)
    slowest: dict[str, float] = field(default_factory=dict)
    unlike: list[bytes] = field(default_factory=list)
    is_over: bool = False

    def note(self, phase: str, answer: str, seconds: float) -> None:
        """Keep one answer."""
        self.answers.setdefault(phase, Counter())[answer] += 1
        self.slowest[phase] = max(self.slowest.get(phase, 0.0), seconds)


async def _serve(port: int, load: Load) -> None:
    """Be Mistral, and then the callers too, until the load is over."""
    loop = asyncio.get_running_loop()
    async with await loop.create_server(Mistral, "127.0.0.1", port):
        while not load.port:
            if load.is_over:
                return
            await asyncio.sleep(0.05)
        async with asyncio.TaskGroup() as group:
            for number in range(_CALLERS):
                group.create_task(_call(load, is_stream=number % 2 == 1))


async def _call(load: Load, *, is_stream: bool) -> None:
    body = wire.question(stream=is_stream)
    request = wire.request("/v1/chat/completions", body, load.token)
    request = request.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
    while not load.is_over:
        phase, began = load.phase, time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", load.port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        head, _, rest = answer.partition(b"\r\n\r\n")
        status = head[9:12].decode()
        if status == "503":
            problem = orjson.loads(rest)
            status = f"503 {problem['code']}"
            if problem["source"] != "gateway" or b"retry-after:" not in head.lower():
                load.unlike.append(answer[:300])
        load.note(phase, status, time.monotonic() - began)
        await asyncio.sleep(_PAUSE)


def _play(set_up: Stage, load: Load, away: float) -> list[str]:
    """Run the scenes; tell what was wrong."""
    time.sleep(_BESIDE)
    postgres = set_up.postgres
    assert postgres.process is not None
    load.phase = "away"
    os.killpg(postgres.process.pid, signal.SIGKILL)
    postgres.process.wait()
    postgres.stop()
    killed = time.monotonic()
    time.sleep(_GRACE)
    reached = Mistral.reached
    time.sleep(max(away - (time.monotonic() - killed), 0))
    leaked = Mistral.reached - reached
    postgres.start()
    print(f"PostgreSQL was away for {time.monotonic() - killed:.1f} s")
    back = time.monotonic()
    load.phase = "after"
    while not load.answers.get("after", Counter())["200"]:
        if time.monotonic() - back > _PATIENCE:
            return ["calls did not go on"]
        time.sleep(0.05)
    pause = time.monotonic() - back
    print(f"the first call got through {pause:.1f} s after it was back")
    time.sleep(_BESIDE)
    return [
        *([f"{leaked} calls reached Mistral without a ledger"] if leaked else []),
        *(["calls went on late"] if pause > _LONGEST_PAUSE else []),
    ]


def _balance(set_up: Stage, load: Load) -> list[str]:
    """Compare the ledger with what Mistral has answered, once everything is written."""
    until = time.monotonic() + _PATIENCE
    with psycopg.connect(set_up.owner_url, autocommit=True) as owner:
        while True:
            found = owner.execute(_COUNT, {"model": set_up.model_id}).fetchone()
            posted, doubtful, held = found or (0, 0, 0)
            if (posted >= Mistral.reached and not held) or time.monotonic() > until:
                break
            time.sleep(0.2)
    served = sum(answers["200"] for answers in load.answers.values())
    print(f"Mistral answered {Mistral.reached:,} calls, callers got {served:,} of them", end="")
    print(
        f"; the ledger has {posted:,} events, {doubtful} of them not exact; {held} holds are left"
    )
    return [] if posted == Mistral.reached and not doubtful and not held else ["not exact"]


def main() -> None:
    """Play it, print, and judge."""
    parser = argparse.ArgumentParser(prog="bench.outage", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="without PostgreSQL")
    arguments = parser.parse_args()
    print(describe_machine())
    port, load = free_port(), Load()
    thread = threading.Thread(target=lambda: uvloop.run(_serve(port, load)))
    thread.start()
    try:
        with stage(f"http://127.0.0.1:{port}") as set_up:
            application = "aisuru_mistral.asgi:application"
            with Server.granian("gateway", application, set_up.environment) as server:
                load.token, load.port = set_up.token, server.port
                faults = _play(set_up, load, arguments.seconds)
                load.is_over = True
                thread.join(_PATIENCE)
                faults += _balance(set_up, load)
    finally:
        load.is_over = True
        thread.join(_PATIENCE)
    for phase, answers in load.answers.items():
        print(f"{phase}: {dict(answers)}, slowest {load.slowest[phase]:.1f} s")
    if load.slowest.get("away", 0) > _SLOWEST_REFUSAL or load.unlike:
        faults.append(f"refusals were slow, or not as documented: {load.unlike[:1]}")
    if set(load.answers.get("away", ())) - {"200", "503 metering_unavailable"}:
        faults.append("callers saw something else")
    print("; ".join(faults) or "nothing unmetered, nothing lost")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
