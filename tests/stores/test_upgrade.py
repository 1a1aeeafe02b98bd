"""While an upgrade lasts, the version before the newest migration runs on, beside the new one."""

import shutil
import subprocess
from decimal import Decimal

import httpx
import pytest

from aisuru_mistral.launcher import provision
from tenants.common.models import new_id
from tests.gateway.tenancy import question
from tests.keys.conftest import made_up, mistral
from tests.postgres import APP_LOGIN, APP_PASSWORD, TEMPLATE, new_database
from tests.stores.deployment import ROOT, Deployment, environment

__all__ = ["made_up", "mistral"]

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(400)]


def git(*command):
    return subprocess.run(
        ["git", *command], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()


@pytest.fixture
def version_before(tmp_path):
    """The code as it was before the newest migration."""
    newest = git("log", "-1", "--format=%H", "--diff-filter=A", "--", "tenants/*/migrations/*.py")
    if not newest or not git("rev-parse", "--verify", "--quiet", f"{newest}^"):
        pytest.skip("no history here")
    root = tmp_path / "before"
    root.mkdir()
    archive = tmp_path / "before.tar"
    subprocess.run(["git", "archive", "-o", archive, f"{newest}^"], cwd=ROOT, check=True)
    shutil.unpack_archive(archive, root, filter="data")
    return root


def test_the_version_before_serves_on_the_new_schema_beside_the_new_one(
    version_before, mistral, made_up, tmp_path
):
    address = new_database(f"upgrade_{new_id().hex}", TEMPLATE)
    database = provision.with_login(address, APP_LOGIN, APP_PASSWORD)
    both = []
    for name, root in (("old", version_before), ("new", ROOT)):
        folder = tmp_path / name
        folder.mkdir()
        variables = environment(folder, DATABASE_URL=database, MISTRAL_API_URL=mistral.url)
        both.append(Deployment(variables, folder, root))
    old, new = both
    try:
        for part in ("web", "worker", "beat"):
            old.start(part)
        old.connect()
        told = old.organization()
        key = old.register(told["default_workspace_id"], made_up())
        old.becomes_valid(key)
        new.start("web")
        new.connect()
        for one in both:
            _work_with(one, told)
    finally:
        for one in both:
            one.stop()


def _work_with(one, organization):
    made = one.api.post(
        "/models",
        json={
            "organization_id": organization["id"],
            "workspace_id": organization["default_workspace_id"],
            "name": f"Model {new_id().hex}",
            "model": "mistral-small-latest",
            "purposes": ["question_answering"],
        },
    )
    assert made.status_code == 201, made.text
    spend = f"/spend?organization_id={organization['id']}"
    before = Decimal(one.get(spend).json()["total"])
    answer = httpx.post(
        f"http://127.0.0.1:{one.environment['PORT']}/v1/chat/completions",
        json=question(max_tokens=500),
        headers={"Authorization": f"Bearer {made.json()['token']}"},
        trust_env=False,
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    one.wait_for(lambda: Decimal(one.get(spend).json()["total"]) > before)
    renamed = one.api.patch(f"/models/{made.json()['id']}", json={"description": "upgraded"})
    assert renamed.status_code == 200, renamed.text
