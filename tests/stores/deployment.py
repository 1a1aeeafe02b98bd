"""A whole deployment by the entrypoint of the image: web, workers, beat, a database, a broker."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from aisuru_mistral.launcher import ports
from tests.postgres import service_environment

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 90
_REQUEST = '"event": "request"'


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """The variables of a deployment in a folder of its own."""
    return service_environment(
        DJANGO_SETTINGS_MODULE="tests.docker.settings",
        DATA_DIR=str(folder),
        PORT=str(ports.remembered_port(folder / "port")),
        HOST="127.0.0.1",
        WORKER_CONCURRENCY="2",
        LOG_LEVEL="INFO",
        PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin",
        **variables,
    )


class Deployment:
    """Processes of the service, and a client of its API with a platform token.

    Args:
        environment: of all of them.
        folder: for what they log.
        root: whose code runs.
        queue: that its workers take tasks from.
    """

    def __init__(
        self,
        environment: dict[str, str],
        folder: Path,
        root: Path = ROOT,
        queue: str = "aisuru",
    ) -> None:
        self.environment = environment
        self.queue = queue
        self.folder = folder
        self._entrypoint = root / "docker" / "entrypoint.sh"
        self._parts: dict[str, subprocess.Popen[bytes]] = {}
        self.api = httpx.Client(
            base_url=f"http://127.0.0.1:{environment['PORT']}/api/v1",
            trust_env=False,
            timeout=30,
        )

    def start(self, role: str, name: str = "") -> None:
        """Start a role, under another name if there are several of it."""
        others = ["-Q", self.queue] if role == "worker" else []
        with (self.folder / f"{name or role}.log").open("ab") as log:
            self._parts[name or role] = subprocess.Popen(
                [self._entrypoint, role, *others],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """End a part and all its processes without a warning."""
        part = self._parts.pop(name)
        os.killpg(part.pid, signal.SIGKILL)
        part.wait(10)

    def end(self, name: str) -> int:
        """Tell a part to stop, as an orchestrator does; give the code with which it ended."""
        part = self._parts.pop(name)
        part.terminate()
        return part.wait(_PATIENCE)

    def keep(self, name: str) -> None:
        """Start a part again if it has ended, as a supervisor does."""
        if self._parts[name].poll() is not None:
            self.start(name)

    def stop(self) -> None:
        """End all of it."""
        self.api.close()
        for name, part in list(self._parts.items()):
            if part.poll() is None:
                self.kill(name)

    def connect(self) -> None:
        """Wait until the API answers a platform token."""
        made = self.manage("create_token", "--platform", "--name", "stores")
        self.api.headers["Authorization"] = f"Bearer {json.loads(made)['token']}"
        self.wait_for(lambda: self.get("/organizations").status_code == 200)

    def manage(self, *command: str) -> str:
        """Run a command of manage.py, and give what it prints."""
        return subprocess.run(
            [self._entrypoint, "manage", *command],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def get(self, path: str) -> httpx.Response:
        """Ask the API; 503 if nobody answers."""
        try:
            return self.api.get(path)
        except httpx.TransportError:
            return httpx.Response(503)

    def organization(self) -> dict[str, str]:
        """Make an organization; give what is told of it."""
        made = self.api.post("/organizations", json={"name": "S", "owner_email": "s@s.example"})
        told: dict[str, str] = made.json()
        return told

    def register(self, workspace: str, plain: str) -> str:
        """Register a key; give its id."""
        answer = self.api.post(f"/workspaces/{workspace}/keys", json={"name": "k", "key": plain})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def status(self, key: str) -> str:
        """Tell what a key is known to be."""
        return str(self.get(f"/keys/{key}").json().get("status"))

    def doctor(self) -> list[dict[str, str]]:
        """Ask the doctor; it may find something wrong."""
        said = subprocess.run(
            [self._entrypoint, "doctor", "--json"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        return [json.loads(line) for line in said.splitlines()]

    def becomes_valid(self, *keys: str) -> None:
        """Wait until keys were checked and found good."""
        self.wait_for(lambda: all(self.status(key) == "valid" for key in keys))

    def wait_for(self, happens: Callable[[], object], seconds: float = _PATIENCE) -> None:
        """Wait for something, for a bounded time; else tell what was logged."""
        deadline = time.monotonic() + seconds
        while not happens():
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.1)

    def logs(self) -> str:
        """The last that each part has logged, but for requests: this client asks many times."""
        told = []
        for path in sorted(self.folder.glob("*.log")):
            lines = [line for line in path.read_text().splitlines() if _REQUEST not in line]
            told += [f"--- {path.name}", *lines[-25:]]
        return "\n".join(told)
