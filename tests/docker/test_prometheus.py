"""What Prometheus makes of its settings and rules: checked, and evaluated, by its own promtool."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "docker" / "prometheus"
PLAYED = Path(__file__).with_name("prometheus")
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool here (Debian's package prometheus)"
)


def asked(*words: object) -> tuple[bool, str]:
    """Run promtool; give whether it is content, and what it says."""
    done = subprocess.run(
        ["promtool", *map(str, words)], capture_output=True, text=True, check=False, timeout=100
    )
    return done.returncode == 0, done.stdout + done.stderr


def promtool(*words: object) -> str:
    is_content, said = asked(*words)
    assert is_content, said
    return said


@needs_promtool
def test_rules_are_read():
    told = promtool("check", "rules", PROMETHEUS / "alerts.yml", PROMETHEUS / "slo.yml")
    assert len(re.findall(r"SUCCESS: \d+ rules found", told)) == 2


@needs_promtool
def test_scrape_settings_are_read(tmp_path):
    """Some are made without Kubernetes, like Debian 12's: there the discovery is left out."""
    promtool("check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")
    is_content, said = asked("check", "config", "--syntax-only", PROMETHEUS / "kubernetes.yml")
    if "field kubernetes_sd_configs not found" in said:
        settings = yaml.safe_load((PROMETHEUS / "kubernetes.yml").read_text())
        del settings["scrape_configs"][0]["kubernetes_sd_configs"]
        copy = tmp_path / "kubernetes.yml"
        copy.write_text(yaml.safe_dump(settings))
        is_content, said = asked("check", "config", "--syntax-only", copy)
    assert is_content, said


@needs_promtool
@pytest.mark.parametrize(
    "name",
    [
        "alerts.test.yml",
        "slo.test.yml",
        pytest.param("slo-days.test.yml", marks=pytest.mark.rehearsal),
    ],
)
def test_rules_do_what_they_are_for(name):
    assert "SUCCESS" in promtool("test", "rules", PLAYED / name)


def test_every_alert_is_seen_to_fire_and_to_stay_silent():
    rules = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"][0]["rules"]
    tests = yaml.safe_load((PLAYED / "alerts.test.yml").read_text())["tests"]
    looks = [one for test in tests for one in test["alert_rule_test"]]
    alerts = {rule["alert"] for rule in rules}
    assert {one["alertname"] for one in looks if one.get("exp_alerts")} == alerts
    assert {one["alertname"] for one in looks if not one.get("exp_alerts")} == alerts


def test_every_burn_rate_is_seen():
    groups = yaml.safe_load((PROMETHEUS / "slo.yml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    played = "".join((PLAYED / name).read_text() for name in ("slo.test.yml", "slo-days.test.yml"))
    assert {name for name in alerts if f'alertname="{name}"' in played} == alerts
