"""Logs: JSON lines, tracebacks without the values that were in the frames."""

import json
import subprocess
import sys

from tests.postgres import service_environment

CRASH = """
import logging
from aisuru_mistral.logging import configure
configure("INFO")
def receive():
    body = "Canary0123456789" * 2
    raise RuntimeError("it broke")
try:
    receive()
except RuntimeError:
    logging.getLogger("web").exception("crashed")
"""


def test_a_crash_is_logged_with_its_place_and_without_the_values_in_its_frames():
    result = subprocess.run(
        [sys.executable, "-c", CRASH],
        env=service_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    line = json.loads(result.stderr.splitlines()[-1])
    assert (line["event"], line["level"]) == ("crashed", "error")
    assert line["exception"][0]["frames"][-1]["name"] == "receive"
    assert "Canary" not in result.stderr
