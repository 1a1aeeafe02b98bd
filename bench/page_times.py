"""The table of how long pages take inside the server: console and support desk share it.

Beside the time between request and answer stands what it is made of on a machine that has nothing
else to do: the work of this process and that of its PostgreSQL backend, which others on the machine
hardly change.
"""

import gc
import statistics
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

_WARM_UP = 3
_NANOSECONDS = 1e9


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

    # All pages on one backend: its work is theirs.
    database: Any = connection
    database.close()
    database.close_pool()
    database.settings_dict["OPTIONS"]["pool"]["max_size"] = 1
    taken: dict[str, list[float]] = {name: [] for name in asks}
    worked: dict[str, list[float]] = {name: [] for name in asks}
    queried: dict[str, list[float]] = {name: [] for name in asks}
    for number in range(_WARM_UP + rounds):
        if number == _WARM_UP:
            # As the web process does when it starts: collections pass over what is loaded.
            gc.collect()
            gc.freeze()
        for name, ask in asks.items():
            before = _worked_in_database()
            began, working = time.perf_counter(), time.process_time()
            ask()
            seconds, work = time.perf_counter() - began, time.process_time() - working
            queries_work = _worked_in_database() - before
            if number >= _WARM_UP:
                taken[name].append(seconds * 1000)
                worked[name].append(work * 1000)
                queried[name].append(queries_work * 1000)
    sizes: dict[str, tuple[int, int]] = {}
    for name, ask in asks.items():
        with CaptureQueriesContext(connection) as queries:
            sizes[name] = (ask(), len(queries))
    connection.close()
    under = f"under {promised_ms:.0f}"
    print(f"| page | median ms | p95 ms | {under} | CPU ms | PostgreSQL's | queries | KiB |")
    print("| --- | ---: | ---: | :-: | ---: | ---: | ---: | ---: |")
    slow = []
    for name, times in taken.items():
        middle, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        size, many = sizes[name]
        is_slow = p95 >= promised_ms and name not in unjudged
        slow += [name] * is_slow
        told = "file" if name in unjudged else "**no**" if is_slow else "yes"
        work, beside = statistics.median(worked[name]), statistics.median(queried[name])
        times_told = f"{middle:.1f} | {p95:.1f} | {told} | {work:.1f} | {beside:.1f}"
        print(f"| {name} | {times_told} | {many} | {size / 1024:.0f} |")
    return slow


def _worked_in_database() -> float:
    """Read how many seconds of a processor the backend of this connection has had so far."""
    from django.db import connection  # noqa: PLC0415

    connection.ensure_connection()
    pid = connection.connection.info.backend_pid
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / _NANOSECONDS
