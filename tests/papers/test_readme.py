"""README.md by hand: `make demo` serves, and what is typed beside it does what is said."""

import os
import signal
import subprocess
import sys
import time

import pytest

from aisuru_mistral import env
from aisuru_mistral.launcher import ports
from tests.launcher.test_service import OWN
from tests.papers.pages import ROOT, Block, blocks

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(600)]


def block(language: str, piece: str) -> Block:
    found = [one for one in blocks("README.md") if one.language == language and piece in one.text]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def demo(tmp_path):
    """Run the demo at a port of its own until its story is told."""
    port = ports.remembered_port(tmp_path / "port")
    inherited = {name: value for name, value in env.load().variables.items() if name not in OWN}
    variables = inherited | {"DATA_DIR": str(tmp_path / "data"), "PORT": str(port)}
    output = tmp_path / "console.txt"
    with output.open("w") as told:
        process = subprocess.Popen(
            ["make", "demo"],
            cwd=ROOT,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        ends = time.monotonic() + 300
        while "The demo keeps serving" not in output.read_text():
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < ends, output.read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}", variables
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)


def test_the_same_by_hand(demo):
    url, variables = demo
    script = block("sh", "API=").text.replace("http://127.0.0.1:8000", url)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{script}\necho; echo $MODEL_TOKEN"],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *_, refused, token = done.stdout.strip().splitlines()
    assert "data: [DONE]" in done.stdout
    assert "spending_limit_reached" in refused
    snippet = block("python", "from mistralai").text.replace("http://127.0.0.1:8000", url)
    subprocess.run([sys.executable, "-c", f"MODEL_TOKEN = {token!r}\n{snippet}"], check=True)
