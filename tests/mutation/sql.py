"""Tells what no test notices when a function of the ledger is broken: mutation testing of its SQL.

``python -m tests.mutation.sql spend_open spend_settle`` migrates a database, takes the functions'
definitions from it, breaks each in one place at a time (``mutations``), installs that in a copy
and runs the tests of spend until one fails. What none fails for has survived: a test is missing, or
the two say the same.

Tests make their own tenants, so that all mutants of a function may have one copy, but for what
concerns all tenants: holds that nobody released are gone before the next, and a function that sums
everybody's events, or makes and drops tables, has a new copy each time.

A function that takes a parameter less than another of its name is told by its arguments:
``'spend_recover(interval, interval, integer)'``.
"""

import argparse
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import django
import psycopg
import pytest
from psycopg import sql

from tests import postgres
from tests.mutation.mutations import Mutant, mutants

# Which files of tests notice most of what is broken in a function, the quickest first; what
# survives them may be shown to others by `--tests`.
NEAR = (
    (r"forget|retention", ("retention",)),
    (r"partitions", ("partitions", "retention", "ledger")),
    (r"sum_up", ("ledger_index",)),
    (r"alerts", ("alerts",)),
    (r"rebuild|restart", ("rebuilding", "rollups", "retention")),
    (r"roll|line|mended|priced|periods", ("windows", "rollups", "rebuilding", "reports")),
    (r"post", ("posting", "reporting")),
    (r"recover", ("own_estimates", "recovery")),
    (r"correct", ("own_estimates", "own_balances", "recovery")),
    (r"apply_limit", ("own_limits", "own_balances", "posting", "limits", "race")),
    (r"", ("own_balances", "own_limits", "own_estimates", "limits", "meter", "ledger", "race")),
)
# Seconds each: a process killed, everything at random.
LONG = (
    "recovery.py::test_after_a_kill_nine_every_opened_call_is_recorded_once",
    "meter.py::test_balances_are_the_sum_of_events_and_holds_whatever_happens",
)
OF_ALL = re.compile("roll|line|rebuild|mended|priced|forget|periods|retention|partitions|sum_up")
WORKER = "mutant"
FORK = multiprocessing.get_context("fork")
OPTIONS = [
    *("-x", "-q", "-n", "0", "--timeout", "60", "-p", "no:cacheprovider", "-p", "no:randomly"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
    *(f"--deselect=tests/spend/test_{test}" for test in LONG),
]
PATIENCE = 300.0
PATIENT_DROPS = 60


class Installed:
    """Puts a definition in place of what is there before the first test."""

    def __init__(self, definition: str) -> None:
        self._definition = definition

    def pytest_sessionstart(self) -> None:
        with psycopg.connect(postgres.owner_url()) as owner:
            owner.execute(self._definition.encode())
            owner.execute("TRUNCATE spend_hold")


def main() -> None:
    wanted = _arguments()
    postgres.start()
    run = FORK.Process(target=_run, args=(wanted,))
    run.start()
    run.join()
    sys.exit(run.exitcode)


def _run(wanted: argparse.Namespace) -> None:
    """Load all that tests load, once; every run is a fork of this process."""
    postgres.disown()
    postgres.be_worker(WORKER)
    django.setup()
    postgres.drop(WORKER)
    if wanted.list:
        for function in wanted.functions:
            for mutant in _chosen(_definition_of(function), wanted):
                print(mutant)
        return
    files = {test for one in wanted.functions for test in wanted.tests or _near(one)}
    pytest.main([*OPTIONS, "--collect-only", *sorted(files)])
    survivors = {function: _survivors(function, wanted) for function in wanted.functions}
    for function, left in survivors.items():
        print(f"\n{function}: {len(left)} survived")
        for mutant in left:
            print(f"  {mutant}")


def _survivors(function: str, wanted: argparse.Namespace) -> list[Mutant]:
    real = _definition_of(function)
    _forget_copy()
    tests = wanted.tests or _near(function)
    began = time.monotonic()
    if _outcome(real, tests) != "survived":
        raise SystemExit(f"{function}: the tests fail on what is not broken")
    print(f"{function}: its tests take {time.monotonic() - began:.0f} s", flush=True)
    left, counted = [], 0
    for mutant in _chosen(real, wanted):
        counted += 1
        if OF_ALL.search(function):
            _forget_copy()
        outcome = _outcome(mutant.definition, tests)
        print(f"  {outcome:9} {mutant}", flush=True)
        if outcome == "survived":
            left.append(mutant)
    print(f"{function}: {counted} mutants, {len(left)} survived", flush=True)
    return left


def _forget_copy() -> None:
    """Drop the copy; while PostgreSQL's own autovacuum is at it, nobody may."""
    for _ in range(PATIENT_DROPS):
        try:
            return postgres.drop(WORKER)
        except psycopg.errors.InsufficientPrivilege:
            time.sleep(1)
    raise SystemExit("the copy of the database cannot be dropped")


def _chosen(real: str, wanted: argparse.Namespace) -> Iterator[Mutant]:
    """Give the mutants that are wanted, of those that PostgreSQL takes for SQL."""
    chosen = (
        mutant
        for mutant in mutants(real)
        if mutant.number > wanted.after
        and (not wanted.only or mutant.number in wanted.only)
        and _is_sql(mutant.definition)
    )
    return islice(chosen, wanted.most)


def _outcome(definition: str, tests: list[str]) -> str:
    """Run the tests on a copy of the database in which this definition holds."""
    run = FORK.Process(target=_play, args=(definition, tests))
    run.start()
    run.join(PATIENCE)
    if run.is_alive():
        run.kill()
        run.join()
        _forget_copy()
        return "timed out"
    match run.exitcode:
        case 0:
            return "survived"
        case 1:
            return "killed"
        case other:
            raise SystemExit(f"pytest ended with {other}: see var/mutation.log")


def _play(definition: str, tests: list[str]) -> None:
    """Be one run of pytest, in a process of its own."""
    log = Path("var/mutation.log")
    log.parent.mkdir(exist_ok=True)
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.exit(pytest.main([*OPTIONS, *tests], plugins=[Installed(definition)]))


def _near(function: str) -> list[str]:
    names = next(names for words, names in NEAR if re.search(words, function))
    return [f"tests/spend/test_{name}.py" for name in names]


def _is_sql(definition: str) -> bool:
    """Whether PostgreSQL would install it: what it would not is no mutant."""
    with psycopg.connect(postgres.template_url()) as owner:
        try:
            owner.execute(definition.encode())
        except psycopg.Error:
            return False
        finally:
            owner.rollback()
    return True


def _definition_of(function: str) -> str:
    kind = "regprocedure" if "(" in function else "regproc"
    with psycopg.connect(postgres.template_url()) as owner:
        found = owner.execute(
            sql.SQL("SELECT pg_get_functiondef(%s::{})").format(sql.SQL(kind)), [function]
        ).fetchone()
    assert found is not None
    return str(found[0])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("functions", nargs="+", help="as spend_open")
    parser.add_argument("--most", type=int, help="how many mutants of each")
    parser.add_argument("--after", type=int, default=0, help="leave out those up to this number")
    parser.add_argument("--only", type=int, nargs="*", help="these numbers")
    parser.add_argument("--tests", nargs="+", help="files of tests, or single tests, instead")
    parser.add_argument("--list", action="store_true", help="tell the mutants, run nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
