"""The table of how long pages take inside the server: console and support desk share it."""

import statistics
import time
from collections.abc import Callable, Collection, Mapping

_WARM_UP = 3


def measure(
    asks: Mapping[str, Callable[[], int]],
    *,
    rounds: int,
    promised_ms: float,
    unjudged: Collection[str] = (),
) -> list[str]:
    """Ask for all pages in turn, so many rounds, and print the table.

    Args:
        asks: each asks for a page and gives its size in bytes.
        rounds: that count; a few go before them.
        promised_ms: what the 95th percentile stays below.
        unjudged: pages whose length depends on what is asked for.

    Returns:
        The pages that were slower than promised.
    """
    from django.db import connection  # noqa: PLC0415 - Django is set up by the stage
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    taken: dict[str, list[float]] = {name: [] for name in asks}
    worked: dict[str, list[float]] = {name: [] for name in asks}
    for number in range(_WARM_UP + rounds):
        for name, ask in asks.items():
            began, working = time.perf_counter(), time.process_time()
            ask()
            seconds, work = time.perf_counter() - began, time.process_time() - working
            if number >= _WARM_UP:
                taken[name].append(seconds * 1000)
                worked[name].append(work * 1000)
    sizes: dict[str, tuple[int, int]] = {}
    for name, ask in asks.items():
        with CaptureQueriesContext(connection) as queries:
            sizes[name] = (ask(), len(queries))
    connection.close()
    print(f"| page | median ms | p95 ms | under {promised_ms:.0f} | CPU ms | queries | KiB |")
    print("| --- | ---: | ---: | :-: | ---: | ---: | ---: |")
    slow = []
    for name, times in taken.items():
        middle, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        size, many = sizes[name]
        is_slow = p95 >= promised_ms and name not in unjudged
        slow += [name] * is_slow
        told = "file" if name in unjudged else "**no**" if is_slow else "yes"
        work = statistics.median(worked[name])
        times_told = f"{middle:.1f} | {p95:.1f} | {told} | {work:.1f}"
        print(f"| {name} | {times_told} | {many} | {size / 1024:.0f} |")
    return slow
