"""Every task is made in one place, and ends within the time that those who stop workers allow."""

import re
from pathlib import Path

import pytest
import yaml

from aisuru_mistral import broker
from aisuru_mistral.celery import app
from tenants.common.queue import LONGEST
from tests.docker.test_manifests import DOCKER, ComposeLoader, pod_of

ROOT = Path(__file__).resolve().parents[2]
MADE_IN = ROOT / "tenants/common/queue.py"

#: End between their steps when their worker is told to stop, and say there that it lives; each of
#: them has a test that shows it: `tests/spend/test_batches.py`.
ENDS_BETWEEN_STEPS = {"spend.meter_batch"}


def tasks():
    app.loader.import_default_modules()
    return {name: one for name, one in app.tasks.items() if not name.startswith("celery.")}


def test_tasks_are_made_in_one_place():
    sources = [
        path for folder in ("aisuru_mistral", "tenants") for path in ROOT.glob(f"{folder}/**/*.py")
    ]
    makers = re.compile(r"\bshared_task\b|@app\.task\b|\bautoretry_for\b|\btime_limit=")
    assert [path for path in sources if makers.search(path.read_text())] == [MADE_IN]


def test_every_task_is_acknowledged_late_and_keeps_no_result():
    found = tasks()
    assert len(found) > 30
    for name, one in found.items():
        assert (one.acks_late, one.reject_on_worker_lost, one.ignore_result) == (True,) * 3, name
        assert one.time_limit > one.soft_time_limit > 0, name


def test_beat_sends_only_tasks_that_there_are():
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= set(tasks())


def test_no_task_takes_longer_than_is_said():
    limits = {name: one.time_limit for name, one in tasks().items()}
    too_long = {name for name, seconds in limits.items() if seconds > LONGEST}
    assert too_long == ENDS_BETWEEN_STEPS


def test_a_worker_that_stops_has_longer_than_its_tasks_may_take():
    compose = yaml.load((DOCKER / "compose.yaml").read_text(), ComposeLoader)["services"]  # noqa: S506
    assert pod_of("worker")["spec"]["terminationGracePeriodSeconds"] > LONGEST
    assert int(compose["worker"]["stop_grace_period"].removesuffix("s")) > LONGEST


def test_a_worker_whose_every_place_is_taken_by_a_long_task_is_not_started_anew():
    [minutes] = re.findall(r"\{2:-(\d+)\}", (DOCKER / "entrypoint.sh").read_text())
    assert int(minutes) * 60 >= 2 * LONGEST


@pytest.mark.parametrize("url", ["pgmq://u:p@h/d", "redis://h/0", "rediss://h/0"])
def test_no_message_is_delivered_again_while_its_task_may_be_under_way(url):
    options = broker.celery_settings(url)["broker_transport_options"]
    longest_wait = 0
    for name, one in tasks().items():
        retries, pause = one.max_retries or 0, getattr(one, "retry_backoff", 0)
        waits = pause * 2 ** (retries - 1) if hasattr(one, "autoretry_for") else 0
        longest_wait = max(longest_wait, waits)
        # For the pause before a retry, for a place that another task has, and for itself.
        assert waits + LONGEST + one.time_limit < options["visibility_timeout"], name
    assert longest_wait > LONGEST, "retries are seen"


def test_rabbitmq_does_not_take_a_task_for_forgotten():
    """It closes the channel of who has not acknowledged for half an hour."""
    assert max(one.time_limit for one in tasks().values()) + LONGEST < 30 * 60
