"""A gateway as it is deployed: granian in a process of its own, on loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]
_START_PATIENCE = 60


class GatewayServer:
    """The web process, started as the launcher does.

    Args:
        mistral_url: where Mistral is.
        database_url: another than this test worker's.
        redis_url: where processes count together.
        variables: more of the environment.
        bounds: what differs from ``tenants.gateway.bounds``.
    """

    def __init__(
        self,
        mistral_url: str,
        database_url: str | None = None,
        redis_url: str | None = None,
        variables: dict[str, str] | None = None,
        **bounds: float,
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = Path(tempfile.mkdtemp(prefix="aim-gateway-")) / "web.log"
        self._environment = os.environ | {  # noqa: TID251 - a child gets what the suite has
            "DJANGO_SETTINGS_MODULE": "tests.gateway.settings",
            "MISTRAL_API_URL": mistral_url,
            # Gateways of other tests are on the same database: only who asks for it counts them.
            "AIM_TEST_GATEWAY": json.dumps({"siblings": 0} | bounds),
            "LOG_LEVEL": "DEBUG",
        }
        if database_url is not None:
            self._environment["DATABASE_URL"] = database_url
        if redis_url is not None:
            self._environment["REDIS_URL"] = redis_url
        self._environment |= variables or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """Everything that the process has said."""
        return self._log.read_text(errors="replace")

    def start(self) -> Self:
        """Start, and return when it answers."""
        command = [
            *(sys.executable, "-m", "granian", "--interface", "asgi", "--no-ws"),
            *("--loop", "uvloop", "--runtime-mode", "mt", "--workers-kill-timeout", "4"),
            *("--host", "127.0.0.1", "--port", str(self.port), "--log-level", "debug"),
            "aisuru_mistral.asgi:application",
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_PATIENCE
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/v1/models", trust_env=False).status_code == 401:
                    return self
            except httpx.TransportError:
                time.sleep(0.05)
            assert self._process.poll() is None, self.log
        raise AssertionError(self.log)

    @property
    def children(self) -> list[psutil.Process]:
        """The processes under it; one of them serves."""
        assert self._process is not None
        return psutil.Process(self._process.pid).children(recursive=True)

    def stop(self) -> None:
        """Stop as the launcher does, and by force what does not follow."""
        if self._process is None:
            return
        self.signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal, and do not wait."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill -9 the whole of it."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
