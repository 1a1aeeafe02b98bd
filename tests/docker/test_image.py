"""The image and its entrypoint without Docker: its steps in a clean folder, as nobody special.

Where there are buildah and debootstrap, and we are root, also the image that buildah builds of the
Dockerfile, run as compose.yaml has it run (``built.py``).
"""

import json
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from aisuru_mistral.launcher import ports, provision
from tenants.common.models import new_id
from tests.docker import built
from tests.docker import image as images
from tests.postgres import OWNER_URL, new_database, service_environment

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(1200)]  # it installs every package anew
PASSED_ON = ("SECRET_KEY", "ENCRYPTION_KEYRING", "MISTRAL_API_URL")


@pytest.fixture(scope="module", params=["by its steps", "by buildah"])
def image(request):
    folder = Path(tempfile.mkdtemp(prefix="aim-image-"))
    if request.param == "by its steps":
        yield images.build(folder)
        shutil.rmtree(folder)
        return
    if missing := built.missing():
        folder.rmdir()
        pytest.skip(f"the real image cannot be built here: {missing}")
    builder = built.Builder(folder)
    try:
        yield builder.build(service_environment()[OWNER_URL])
    finally:
        builder.close()


@pytest.fixture(scope="module")
def container(image):
    """Start the image's roles on a database of their own, with what compose.yaml gives them."""
    _open_to_all(service_environment()[OWNER_URL])
    database = f"built_{new_id().hex[-8:]}"
    address = new_database(database)
    here = service_environment()
    facts = (
        {"LOG_LEVEL": "INFO"}
        | {name: here[name] for name in PASSED_ON if name in here}
        | {
            "DATABASE_URL": provision.with_login(
                address, f"aim_{database}_app", "a-made-up-password"
            ),
            "PUBLIC_URL": "http://127.0.0.1:8000",
        }
    )

    def start(role, *words, **changes):
        return image.run(image.entrypoint, role, *words, **(facts | changes))

    migrated = start("migrate", DATABASE_OWNER_URL=address)
    printed, _nothing = migrated.communicate(timeout=180)
    assert migrated.returncode == 0, printed
    return start


def test_it_is_built_for_a_user_without_rights(image):
    assert image.user == f"{images.USER}:{images.USER}"
    if isinstance(image, built.Built):
        known = (image.folder / "etc" / "passwd").read_text()
        assert f":{images.USER}:{images.USER}:" in known
    else:
        [step] = image.skipped
        assert f"--uid {images.USER}" in step


def test_a_container_of_the_built_image_can_do_nothing_it_need_not(image):
    if not isinstance(image, built.Built):
        pytest.skip("it is the machine's own files")
    words = "id -u; id -G; grep ^CapEff /proc/self/status; touch /tmp/x && echo made; touch /app/x"
    printed, _nothing = image.run("sh", "-c", words).communicate(timeout=20)
    user, groups, capabilities, made, refused = printed.splitlines()
    assert (user, groups, made) == ("10001", "10001", "made")
    assert int(capabilities.split()[1], 16) == 0
    assert "Read-only file system" in refused
    assert not list((image.folder / "app").rglob("__pycache__"))


def test_its_bill_of_materials_names_what_is_in_it(image):
    bill = json.loads((image.folder / "opt" / "sbom.cdx.json").read_text())
    named = {(part["name"].lower(), part["version"]) for part in bill["components"]}
    [django] = (image.folder / "opt" / "venv").glob("lib/*/site-packages/[dD]jango-*.dist-info")
    assert ("django", django.name.removesuffix(".dist-info").partition("-")[2]) in named
    assert not {"pytest", "mypy", "ruff"} & {name for name, _version in named}


def test_the_web_role_serves_from_a_file_system_it_cannot_write(image, container, tmp_path):
    if isinstance(image, images.Image):
        _write_protect(image.folder / "app")
    port = ports.remembered_port(tmp_path / "port")
    web = container("web", PORT=str(port), HOST="127.0.0.1")
    try:
        with httpx.Client(trust_env=False, timeout=5) as client:
            base = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                try:
                    if client.get(f"{base}/health/ready").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.1)
            assert client.get(f"{base}/health/ready").json()["status"] == "ready"
            page = client.get(f"{base}/sign-in", headers={"Accept-Language": "en"})
            assert page.status_code == 200
            assert "text/html" in page.headers["Content-Type"]
            assert _health(image, port) == 0
    finally:
        web.send_signal(signal.SIGTERM)
        printed, _nothing = web.communicate(timeout=60)
    assert web.returncode == 0, printed
    assert _health(image, port) != 0


def _write_protect(folder):
    for place, _folders, files in os.walk(folder):
        for path in (Path(place), *(Path(place, name) for name in files)):
            path.chmod(path.stat().st_mode & ~0o222)


def _health(image, port):
    """Run the image's own health check; give its exit code."""
    [check] = [
        rest.partition("CMD ")[2]
        for word, rest in images.instructions((images.ROOT / "docker/Dockerfile").read_text())
        if word == "HEALTHCHECK"
    ]
    words = json.loads(check)
    if isinstance(image, built.Built):
        assert image.facts["Healthcheck"]["Test"] == ["CMD", *words]
    asking = image.run(*words, PORT=str(port))
    asking.communicate(timeout=20)
    return asking.returncode


def test_the_doctor_finds_its_database_well(container):
    doctor = container("doctor", "--json")
    printed, _nothing = doctor.communicate(timeout=60)
    found = {}
    for line in printed.splitlines():
        finding = json.loads(line)
        found[finding["code"]] = finding["state"]
    for code in ("database", "login", "migrations", "keyring", "key_service", "broker"):
        assert found[code] == "ok", printed


@pytest.mark.parametrize(("role", "sign"), [("worker", "ready"), ("beat", "Sending due task")])
def test_worker_and_beat_start_and_stop(container, role, sign):
    process = container(role, WORKER_CONCURRENCY="1")
    try:
        seen = ""
        assert process.stdout is not None
        for line in process.stdout:
            seen += line
            if sign in line:
                break
        assert sign in seen, seen
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def _open_to_all(url):
    """Let the image's user at the socket of the suite's PostgreSQL, which is a throw-away."""
    if os.geteuid() == 0:
        [folder] = parse_qs(urlsplit(url).query)["host"]
        for place in (Path(folder), Path(folder).parent):
            place.chmod(place.stat().st_mode | 0o011)
        for socket in Path(folder).glob(".s.PGSQL.*[0-9]"):
            socket.chmod(0o777)
