"""`python -m bench.faults.chaos`: for a minute Mistral answers as it likes.

Refusals, outages, connections reset before and in the middle of an answer, and answers that come
late, mixed at random among good ones. It counts what it did; the ledger has to say the same.
"""

import argparse
import asyncio
import random
from collections import Counter

import psycopg

from bench import wire
from bench.faults.ground import judge
from bench.faults.play import Mistral, Scene, scene, until

_ERROR = b'{"object":"error","message":"Not now"}'
_HEAD = b"\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_ERROR)
_LIMITED = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1" + _HEAD + _ERROR
_BROKEN = b"HTTP/1.1 503 Service Unavailable" + _HEAD + _ERROR
_KINDS = {"good": 70, "late": 8, "limited": 6, "broken": 6, "reset": 5, "cut": 5}
_LEDGER = """
    SELECT CASE WHEN estimate <> '' THEN 'estimate' WHEN outcome = 'completed' THEN 'exact'
                ELSE outcome END, count(*), coalesce(sum(cost), 0) FROM spend_usageevent
    WHERE corrects IS NULL GROUP BY 1 ORDER BY 1
"""
_HOLDS = "SELECT count(*) FROM spend_hold"
did: Counter[str] = Counter()


class Chaos(Mistral):
    """Does one of many things to each request."""

    def answer(self, body: bytes) -> None:
        """Do it, and count it."""
        kind = random.choices(list(_KINDS), list(_KINDS.values()))[0]
        did[kind] += 1
        match kind:
            case "good":
                super().answer(body)
            case "late":
                asyncio.get_running_loop().call_later(0.5, super().answer, body)
            case "limited":
                self._transport.write(_LIMITED)
            case "broken":
                self._transport.write(_BROKEN)
            case "reset":
                self._transport.abort()
            case "cut":
                part = wire.STREAM_HEAD + b"".join(wire.STREAM_PARTS[:9])
                self._transport.write(part if b'"stream":true' in body else wire.ANSWER[:-40])
                self._transport.close()


def _compare(played: Scene) -> list[str]:
    with psycopg.connect(played.set_up.owner_url, autocommit=True) as owner:
        until(lambda: owner.execute(_HOLDS).fetchone() == (0,), "holds are left")
        ledger = {kind: (count, cost) for kind, count, cost in owner.execute(_LEDGER)}
    print("Mistral:", ", ".join(f"{count:,} {kind}" for kind, count in sorted(did.items())))
    print(
        "ledger:",
        ", ".join(f"{count:,} {kind} ({cost:.4f})" for kind, (count, cost) in ledger.items()),
    )
    exact = ledger.get("exact", (0, 0))[0]
    estimates = ledger.get("estimate", (0, 0))[0]
    free = [kind for kind in ledger if kind not in {"exact", "estimate"}]
    return [
        *(["not every good answer is there once"] if exact != did["good"] + did["late"] else []),
        *(
            ["not every answer that broke off is an estimate"]
            if not did["cut"] <= estimates <= did["cut"] + did["reset"]
            else []
        ),
        *(["refusals cost something"] if any(ledger[kind][1] for kind in free) else []),
    ]


def main() -> None:
    """Play it, print, and judge."""
    parser = argparse.ArgumentParser(prog="bench.faults.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    with scene(mistral=Chaos, callers=32) as played:
        played.wait(arguments.seconds, "chaos")
        played.end_load()
        faults = _compare(played)
    played.load.tell()
    judge(faults)


if __name__ == "__main__":
    main()
