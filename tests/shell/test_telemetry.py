"""Figures for Prometheus: what they count, what they never name, and the alerts that read them."""

import json
import re
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import promql_parser
import pytest
import yaml
from django.db import DatabaseError
from prometheus_client.parser import text_string_to_metric_families

from aisuru_mistral import telemetry, wishes
from tenants.common.models import new_id
from tenants.gateway import telemetry as gateway
from tenants.spend.calls import ABANDONED, CallIntent, Estimate, Outcome, Settlement, period_of
from tenants.spend.pricing import Cost, PriceState, Quantities, WorstCase
from tenants.support import figures
from tenants.support.figures import Figure
from tests.postgres import service_environment

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "docker/prometheus"
BUDGETS = yaml.safe_load((PROMETHEUS / "slo.yml").read_text())["groups"]
GROUPS = [*yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"], *BUDGETS]
DASHBOARD = json.loads((ROOT / "docker/grafana/aisuru-mistral.json").read_text())


def samples():
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(telemetry.page().decode())
        for sample in family.samples
    }


def rules():
    return [rule for group in GROUPS for rule in group["rules"]]


def expressions():
    return [rule["expr"] for rule in rules()] + [
        target["expr"].replace("$__rate_interval", "5m")
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    ]


def settlement(endpoint="/v1/chat/completions", http_status=200, estimate=Estimate.EXACT):
    call_id = new_id()
    cost = Cost(PriceState.PRICED, Decimal("0.25"), "EUR")
    intent = CallIntent(
        call_id=call_id,
        organization_id=new_id(),
        workspace_id=new_id(),
        key_id=new_id(),
        model_id=new_id(),
        endpoint=endpoint,
        requested_model="a-model-of-a-tenant",
        period=period_of(call_id, "Europe/Rome"),
        worst_case=WorstCase(Quantities(), cost),
    )
    used = Quantities(prompt_tokens=10, cached_tokens=4, completion_tokens=3)
    return Settlement(
        intent,
        Outcome.COMPLETED,
        used,
        cost,
        http_status,
        estimate=estimate,
        duration=timedelta(seconds=0.2),
    )


def test_settled_calls_are_counted_by_class_and_never_by_tenant():
    before = samples()
    gateway.note_settled(
        [
            settlement(),
            settlement(http_status=429),
            settlement(http_status=None, estimate=Estimate.USAGE_MISSING),
            settlement(endpoint="/v1/files/some-id-of-a-tenant"),
        ]
    )
    after = samples()
    grown = {key: value - before.get(key, 0) for key, value in after.items()}
    chat = {"endpoint": "/v1/chat/completions", "outcome": "completed"}

    def of(name, **labels):
        return grown[name, tuple(sorted(labels.items()))]

    assert of("aim_gateway_calls_total", **chat, upstream="2xx") == 1
    assert of("aim_gateway_calls_total", **chat, upstream="429") == 1
    assert of("aim_gateway_calls_total", **chat, upstream="none") == 1
    assert of("aim_gateway_calls_total", endpoint="other", outcome="completed", upstream="2xx") == 1
    assert of("aim_gateway_tokens_total", kind="prompt") == 40
    assert of("aim_gateway_tokens_total", kind="cached") == 16
    assert of("aim_gateway_cost_total", currency="EUR") == pytest.approx(1.0)
    assert of("aim_gateway_estimates_total", reason="usage_missing") == 1
    assert of("aim_gateway_call_seconds_count", endpoint="/v1/chat/completions") == 3
    assert "of-a-tenant" not in telemetry.page().decode()


def test_the_platform_tells_what_waits():
    whats = {dict(labels)["what"] for name, labels in samples() if name == "aim_platform"}
    assert {"keys_due", "announcements", "holds", "limits_over_80"} <= whats
    assert {"webhooks_due", "mails_due", "verdicts_ok", "verdicts_key_unknown"} <= whats


def test_where_nothing_waits_the_age_is_zero_and_not_missing(monkeypatch):
    idle = [Figure(name, 0, None, is_estimate=False) for name in figures.WAITING | {"people"}]
    monkeypatch.setattr(telemetry, "_read", lambda _moment: (idle, [], [], []))
    name = "aim_platform_oldest_seconds"
    ages = {key: age for key, age in samples().items() if key[0] == name}
    assert ages == {(name, (("what", what),)): 0 for what in figures.WAITING}


def test_every_figure_of_what_waits_is_there_whether_or_not_something_does():
    assert {one.name for one in figures.figures() + figures.lags()} >= figures.WAITING


def test_what_is_rare_is_counted_from_the_start():
    counted = {(name, value) for name, labels in samples() for _label, value in labels}
    [asked] = set(re.findall(r'aim_gateway_refusals_total\{code=~"([a-z_|]+)"', str(BUDGETS)))
    for code in asked.split("|"):
        assert ("aim_gateway_refusals_total", code) in counted
    for reason in filter(None, Estimate):
        named = ("aim_gateway_estimates_total", reason.value)
        assert (named in counted) == (reason not in ABANDONED), "those are settled by workers"
    for reason in ABANDONED:
        assert ("aim_platform", f"estimates_{reason.value}") in counted


def test_without_a_database_the_other_figures_are_there(monkeypatch):
    def away(_moment):
        raise DatabaseError

    monkeypatch.setattr(telemetry, "_read", away)
    found = samples()
    names = {name for name, _labels in found}
    assert "aim_platform" not in names
    assert "aim_gateway_calls_under_way" in names
    done_without = {labels for name, labels in found if name == "aim_degraded"}
    assert done_without == {(("what", "shared_rate_limits"),)}, "of the keyring nobody knows"


def test_what_is_done_without_is_told_as_readiness_does(settings, monkeypatch):
    def degraded():
        return {
            dict(labels)["what"]: v for (n, labels), v in samples().items() if n == "aim_degraded"
        }

    assert degraded() == {"keyring": 0, "shared_rate_limits": 0}
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert degraded() == {"keyring": 0, "shared_rate_limits": 1}
    monkeypatch.setattr(wishes, "_missing_master_keys", lambda _minute: ["k0"])
    assert degraded() == {"keyring": 1, "shared_rate_limits": 1}


def test_one_process_answers_for_all(tmp_path):
    count = "from tenants.gateway import telemetry; telemetry.note_refused('busy'); "
    under_way = "telemetry.UNDER_WAY.set(3); "
    end = "import os; os._exit(0)"
    here = service_environment(PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    setup = "import django; django.setup(); "
    for _process in range(2):
        code = setup + count + under_way + end
        subprocess.run([sys.executable, "-c", code], env=here, check=True, cwd=ROOT)
    read = setup + "from aisuru_mistral import telemetry; print(telemetry.page().decode())"
    page = subprocess.run(
        [sys.executable, "-c", read], env=here, check=True, cwd=ROOT, capture_output=True, text=True
    ).stdout
    assert 'aim_gateway_refusals_total{code="busy"} 2.0' in page
    assert not re.search(r"^aim_gateway_calls_under_way 6", page, re.MULTILINE), "they are dead"


def test_alerts_and_dashboard_ask_for_what_there_is():
    # Prometheus's own; nothing waits here, and nobody works.
    known = {"up", "aim_queue_oldest_seconds", "aim_worker_silent_seconds"}
    known |= {"aim_task_failures", "aim_backup_age_seconds"}
    known |= {name for name, _labels in samples()} | {rule.get("record") for rule in rules()}
    for family in text_string_to_metric_families(telemetry.page().decode()):
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
        known |= {f"{family.name}{end}" for end in ends.get(family.type, ("",))}
    for expression in expressions():
        promql_parser.parse(expression)
        asked = set(re.findall(r"\b(?:aim[_:][a-z_:0-9]+|up)\b", expression))
        assert asked or expression.startswith("vector("), expression
        assert asked <= known, expression


def test_every_objective_is_counted_in_every_window_that_an_alert_looks_at():
    text = (ROOT / "docs/slo.md").read_text()
    told = dict(re.findall(r"^\| `(\w+)` \|.*\| ([\d.]+) % \|$", text, re.MULTILINE))
    budgets = {
        rule["labels"]["slo"]: Decimal(rule["expr"].removeprefix("vector(").removesuffix(")"))
        for rule in BUDGETS[0]["rules"]
    }
    assert {name: 100 - 100 * share for name, share in budgets.items()} == {
        name: Decimal(share) for name, share in told.items()
    }
    alerts = [rule for rule in BUDGETS[-1]["rules"] if "alert" in rule]
    for rule in alerts:
        windows = re.findall(r"aim:slo_errors:ratio_(\w+)", rule["expr"])
        assert len(set(windows)) == 2
        for name in budgets:
            for window in windows:
                found = [
                    one["expr"]
                    for one in rules()
                    if one.get("record") == f"aim:slo_errors:ratio_{window}"
                    and one["labels"] == {"slo": name}
                ]
                assert len(found) == 1
                ranges = set(re.findall(r"\[(\w+)(?::1m)?\]", found[0]))
                assert ranges == {window}, found
    factors = {re.findall(r"> ([\d.]+)", rule["expr"])[0] for rule in alerts}
    assert factors == {"14.4", "6", "3", "1"}


def test_every_alert_says_how_bad_it_is():
    for rule in rules():
        if "alert" in rule:
            assert rule["labels"]["severity"] in {"page", "ticket", "info"}
