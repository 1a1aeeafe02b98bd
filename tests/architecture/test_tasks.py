"""Every task is made in one place, and what is the same for all is said once, by the broker."""

import re
from pathlib import Path

from aisuru_mistral.celery import app

ROOT = Path(__file__).resolve().parents[2]
MADE_IN = ROOT / "tenants/common/queue.py"


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
