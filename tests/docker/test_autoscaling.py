"""What the autoscalers of Kubernetes ask for is scraped from the pods that have it, and served."""

import re
from pathlib import Path

import promql_parser
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "docker/prometheus"
ADAPTER = yaml.safe_load((PROMETHEUS / "adapter.yml").read_text())
RULES = [*ADAPTER["rules"], *ADAPTER["externalRules"]]


def manifests():
    for path in sorted((ROOT / "docker/k8s").glob("*.yaml")):
        yield from filter(None, yaml.safe_load_all(path.read_text()))


def asked(kind: str) -> set[str]:
    """Name the metrics of one kind that autoscalers ask for."""
    return {
        metric[kind.lower()]["metric"]["name"]
        for manifest in manifests()
        if manifest["kind"] == "HorizontalPodAutoscaler"
        for metric in manifest["spec"]["metrics"]
        if metric["type"] == kind
    }


def test_what_autoscalers_ask_for_is_served():
    assert asked("Pods") == {rule["name"]["as"] for rule in ADAPTER["rules"]}
    assert asked("External") == {rule["name"]["as"] for rule in ADAPTER["externalRules"]}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["name"]["as"])
def test_rules_are_queries_by_labels_that_scraping_gives(rule):
    series = rule["seriesQuery"].partition("{")[0]
    scrape = yaml.safe_load((PROMETHEUS / "kubernetes.yml").read_text())["scrape_configs"][0]
    given = {step.get("target_label") for step in scrape["relabel_configs"]}
    assert set(rule["resources"]["overrides"]) <= given
    assert set(re.findall(r'(\w+)!=""', rule["seriesQuery"])) <= given
    query = rule["metricsQuery"].replace("<<.Series>>", series)
    query = query.replace("<<.LabelMatchers>>", 'namespace="a"').replace(
        "<<.GroupBy>>", "namespace"
    )
    promql_parser.parse(query)
    promql_parser.parse(rule["seriesQuery"])


def test_the_pods_that_are_scraped_are_those_of_the_web():
    scrape = yaml.safe_load((PROMETHEUS / "kubernetes.yml").read_text())["scrape_configs"][0]
    wanted = scrape["relabel_configs"][0]["regex"].split(";")
    web = next(
        one
        for one in manifests()
        if one["kind"] == "Deployment" and one["metadata"]["name"] == "web"
    )
    labels = web["spec"]["template"]["metadata"]["labels"]
    assert [labels["app"], labels["role"]] == wanted
