"""Types for TypeScript generated from the committed schema, compiled and exercised over HTTP.

Skipped unless `make typescript` has put the three packages of package-lock.json there: nothing of
the service needs Node.
"""

import json
import shutil
import subprocess
import threading
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.core.wsgi import get_wsgi_application

from tests.api.callers import organization_caller
from tests.api.world import with_login, world

HERE = Path(__file__).parent / "typescript"
SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def project(tmp_path):
    """A folder with the packages and the types."""
    if not (HERE / "node_modules").is_dir():
        pytest.skip("`make typescript` was not run here")
    for name in ("package.json", "tsconfig.json", "check.ts"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    made = ("--default-non-nullable=false", "-o", "schema.ts")
    run(tmp_path, "node_modules/.bin/openapi-typescript", SCHEMA, *made)
    return tmp_path


@pytest.fixture
def address():
    """The service on loopback."""
    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def run(folder, *command):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_types_compile_and_say_what_the_service_does(project, address):
    hers = with_login(world())
    token = organization_caller(hers.organization).token
    run(project, "node_modules/.bin/tsc", "--project", ".")
    said = run(project, "node", "check.js", address, token, str(hers.organization.pk))
    assert json.loads(said) == {
        "name": "Assistente",
        "purposes": ["question_answering"],
        "description": "Da TypeScript",
        "publication": "pending",
        "refused": "validation_failed",
        "pointer": "/purposes",
    }
