"""Pages that take figures from elsewhere have those that stand there."""

import math
import re
from pathlib import Path

import pytest
import yaml

from tenants.gateway.bounds import Bounds

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = (ROOT / "docs/benchmarks.md").read_text()
RULES = {
    rule["alert"]: rule
    for group in yaml.safe_load((ROOT / "docker/prometheus/slo.yml").read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
HOURS = {"h": 1, "d": 24}
#: Calls under way at 10,000 a second, so many seconds each.
SECONDS = 5
UNDER_WAY = 10_000 * SECONDS
TIMES = "\N{MULTIPLICATION SIGN}"


def row(start: str, section: str) -> list[str]:
    """Give the cells after those that the row of a section of the benchmarks begins with."""
    table = BENCHMARKS.split(f"\n## {section}\n")[1].split("\n## ")[0]
    line = next(line for line in table.splitlines() if line.startswith(f"| {start} |"))
    return line.removeprefix(f"| {start} |").strip(" |").split(" | ")


def one_process(connections: int, section: str) -> tuple[str, str, str]:
    """Give its requests a second, and the CPU of one, its own and PostgreSQL's, in µs."""
    rate, *_, server, database = row(f"gateway | {connections}", section)
    return rate, f"{int(server):,}", f"{int(database):,}"


def test_scale_computes_with_the_figures_of_the_benchmarks():
    rate, few, few_sql = one_process(16, "Requests, not streamed")
    most, many, many_sql = one_process(64, "Requests, not streamed")
    streams, stream, stream_sql = one_process(16, "Streams of 30 chunks")
    at_pace, paced, paced_sql = one_process(64, "Streams of 30 chunks, one each 10 ms")
    alone, by_sixteen, by_all = (row(f"{size}", "The ledger alone")[-1] for size in (1, 16, 256))
    wanted = (
        f"{few} µs CPU of the web process and {few_sql} of PostgreSQL (16 connections)",
        f"(16 connections), {many} and {many_sql} (64) |",
        f"{stream} µs and {stream_sql} (16 connections)",
        f"{paced} µs and {paced_sql} (64 connections: {at_pace} a second",
        f"{rate} calls/s (16 connections), {most} (64); {streams} streams/s (16)",
        f"{alone} calls/s one at a time, {by_sixteen} by sixteen, {by_all} by 256",
        f"{row('gateway', 'Memory and start-up')[0]} MiB after the bench",
        f"10,000 {TIMES} {many} to {few} µs",
        f"10,000 / {most} to {rate}",
        f"10,000 {TIMES} {stream} µs; by the rate",
        f"10,000 / {streams}",
        f"at most 22: {TIMES} {paced} µs",
        f"10,000 {TIMES} {many_sql} to {few_sql} µs; paced",
        f"{TIMES} {paced_sql} µs",
        f"{few} + {few_sql} µs",
        f"{stream} + {stream_sql} µs",
        f"{paced} + {paced_sql} µs",
    )
    scale = (ROOT / "docs/scale.md").read_text()
    assert [words for words in wanted if words not in scale] == []


def test_scale_computes_with_the_bounds_of_the_gateway():
    bounds = Bounds()
    organization, token = bounds.calls_of_organization, bounds.calls_of_one
    processes = math.ceil(UNDER_WAY / bounds.calls)
    alone = math.ceil(UNDER_WAY / organization)
    wanted = (
        f"{UNDER_WAY:,}: {processes} processes at {bounds.calls:,}",
        f"{alone} processes: it has {organization:,} places in each",
        f"{token // SECONDS} calls/s in a process: it has {token} places in each",
        f"memory of {processes} processes",
        f"15 a process at most: {15 * processes}",
        f"{2000 // processes + 1} tokens a process",
        f"for {processes} processes. So calls",
        f"more than its {token}\n",
    )
    scale = (ROOT / "docs/scale.md").read_text()
    assert [words for words in wanted if words not in scale] == []
    # Whoever is alone in a deployment has fewer places than the deployment.
    assert token < organization < bounds.calls


@pytest.mark.parametrize("alert", RULES)
def test_share_of_a_budget_that_is_gone_is_rate_times_window(alert):
    said = re.search(
        rf"^\| `{alert}` \| ([\d.]+) \| (\d+) ([hd]) and \d+ [mh] \| (\d+) % \|",
        (ROOT / "docs/slo.md").read_text(),
        re.MULTILINE,
    )
    assert said
    rate, window, unit, share = said.groups()
    assert int(share) == round(100 * float(rate) * int(window) * HOURS[unit] / (28 * 24))
    burning = f"aim:slo_errors:ratio_{window}{unit} / on (slo) group_left () aim:slo_budget"
    assert f"{burning} > {rate} " in RULES[alert]["expr"]
    told = re.findall(r"(\d+) % of it went", RULES[alert]["annotations"]["summary"])
    assert told in ([share], [])
