"""docs/aisuru.md is true: its commands are run one after the other, and say what it shows."""

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import connection

from tenants.common import queue
from tests.api.callers import platform_caller
from tests.keys.conftest import _timing, mistral

__all__ = ["_timing", "mistral"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "aisuru.md"
STEP = re.compile(r"^```sh\n(.*?)^```\n(?:```json\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
MARK = "=== next step ==="


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service(mistral, settings, monkeypatch):
    """The service on loopback, and a worker that does at once what is enqueued."""
    work: SimpleQueue[tuple[Any, tuple[str, ...]] | None] = SimpleQueue()
    monkeypatch.setattr(queue, "_enqueue", lambda task, ids: work.put((task, ids)))
    settings.AISURU_API_URL = f"{mistral.url}/api/v2"
    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
    threads = [
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True),
        threading.Thread(target=_work, args=(work,), daemon=True),
    ]
    for thread in threads:
        thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    work.put(None)
    server.shutdown()
    for thread in threads:
        thread.join()
    server.server_close()


def _work(work: SimpleQueue[Any]) -> None:
    while (found := work.get()) is not None:
        task, ids = found
        if task.name in {"keys.validate", "registry.publish"}:
            task.run(*ids)
    connection.close()


@pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "curl", "python3"))), reason="its commands need curl"
)
def test_every_command_says_what_the_page_shows(service, mistral):
    steps = STEP.findall(PAGE.read_text(encoding="utf-8"))
    script = f"\necho '{MARK}'\n".join(commands for commands, _shown in steps)
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},  # noqa: TID251
        "API": f"{service}/api/v1",
        "AISURU_API_URL": f"{mistral.url}/api/v2",
        "TOKEN": platform_caller().token or "",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    said = done.stdout.split(f"{MARK}\n")
    assert len(said) == len(steps) > 15
    for (commands, shown), printed in zip(steps, said, strict=True):
        if shown:
            wrong = list(differences(json.loads(shown), _last_object(printed)))
            assert wrong == [], f"{commands}\n{printed}"


def _last_object(printed: str) -> Any:
    """Read the last of several answers that were printed without a line break between them."""
    decoder, found, at = json.JSONDecoder(), None, 0
    text = printed.strip()
    while (start := text.find("{", at)) >= 0:
        found, at = decoder.raw_decode(text, start)
    return found


def differences(shown: Any, answer: Any, where: str = "") -> Iterator[str]:
    """Tell where an answer is not what is shown; what is not shown may be anything."""
    if isinstance(shown, dict) and isinstance(answer, dict):
        for name, value in shown.items():
            yield from differences(value, answer.get(name, "(missing)"), f"{where}/{name}")
    elif isinstance(shown, list) and isinstance(answer, list):
        if "…" not in shown and len(shown) != len(answer):
            yield f"{where} has {len(answer)} entries"
        for number, (value, there) in enumerate(zip(shown, answer, strict=False)):
            yield from differences(value, there, f"{where}/{number}")
    elif isinstance(shown, str) and "…" in shown and isinstance(answer, str):
        pattern = ".+".join(map(re.escape, shown.split("…")))
        if not re.fullmatch(pattern, answer):
            yield f"{where}: {answer!r} is not like {shown!r}"
    elif shown != answer:
        yield f"{where}: {answer!r} is not {shown!r}"
