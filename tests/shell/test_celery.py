"""Celery: every process of the service sends its tasks to the service's own queue."""

import subprocess
import sys

from tests.postgres import service_environment

PROBE = """
import django; django.setup()
from tenants.keys.tasks import validate
print(validate.app.main, validate.app.conf.broker_url, validate.app.conf.task_default_queue)
"""


def test_a_process_that_only_sets_django_up_uses_our_queue():
    result = subprocess.run(
        [sys.executable, "-c", PROBE],
        env=service_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == ["aisuru_mistral", "pgmq://", "aisuru"]
