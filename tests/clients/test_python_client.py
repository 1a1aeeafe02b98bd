"""A Python client generated from the committed schema, exercised against the service."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.wsgi import get_wsgi_application

from tests.api.callers import organization_caller, platform_caller
from tests.api.world import MODEL, World, with_login, world

pytestmark = pytest.mark.slow

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"
CONFIG = """\
post_hooks: []
content_type_overrides:
  application/x-ndjson: text/plain
"""


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Generate the package, and give a function that imports a part of it."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    command: list[Any] = [
        "-m",
        "openapi_python_client",
        "generate",
        "--path",
        SCHEMA,
        "--meta",
        "none",
    ]
    command += ["--config", folder / "config.yaml", "--output-path", folder / "aim_client"]
    made = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    assert "WARNING" not in made.stdout + made.stderr, "something of the schema was left out"
    sys.path.insert(0, str(folder))

    def part(name: str) -> Any:
        return importlib.import_module(f"aim_client.{name}")

    yield part
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.split(".")[0] == "aim_client"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def hers() -> World:
    return with_login(world())


@pytest.fixture(scope="module")
def client(generated):
    """Make a client with a token."""
    wire = httpx.WSGITransport(app=get_wsgi_application())

    def with_token(token: str | None) -> Any:
        return generated("client").AuthenticatedClient(
            base_url="http://127.0.0.1", token=token, httpx_args={"transport": wire}
        )

    return with_token


@pytest.fixture(scope="module")
def alice(client, hers):
    return client(organization_caller(hers.organization).token)


def test_an_organization_is_provisioned_and_read(generated, client):
    aisuru = client(platform_caller().token)
    body = generated("models").OrganizationRequest(
        name="Generata Srl", owner_email="anna@generata.example"
    )
    made = generated("api.organizations.create_organization").sync(client=aisuru, body=body)
    read = generated("api.organizations.get_organization").sync(made.id, client=aisuru)
    assert (read.name, read.default_workspace_id) == ("Generata Srl", made.default_workspace_id)


def test_a_model_is_made_listed_changed_published_and_deleted(generated, alice, hers):
    models = generated("models")
    body = models.ModelRequest(
        organization_id=hers.organization.pk,
        workspace_id=hers.workspace.pk,
        name="Generato",
        model=MODEL,
        purposes=[models.PurposesEnum.DEEP_THOUGHT],
        spend_limit="50.00",
    )
    made = generated("api.models.create_model").sync(
        client=alice, body=body, idempotency_key="generated"
    )
    assert made.token.startswith("aim_mdl_")
    assert made.completion_config.api_key == made.token
    again = generated("api.models.create_model").sync_detailed(
        client=alice, body=body, idempotency_key="generated"
    )
    assert again.headers["Idempotent-Replayed"] == "true"
    listed = generated("api.models.list_models").sync(
        client=alice, organization_id=hers.organization.pk
    )
    assert {one.name for one in listed.results} == {"Assistente", "Generato"}
    changed = generated("api.models.update_model").sync(
        made.id, client=alice, body=models.PatchedModelChangeRequest(description="Da Python")
    )
    assert (changed.description, changed.spend_limit) == ("Da Python", "50.00")
    published = generated("api.publications.publish_model").sync(
        made.id, client=alice, body=models.PublishRequest()
    )
    assert published.status == "pending"
    gone = generated("api.models.delete_model").sync_detailed(made.id, client=alice)
    assert gone.status_code == 204


def test_a_refusal_is_a_problem_with_code_and_pointer(generated, alice, hers):
    models = generated("models")
    body = models.LimitRequest(monthly_spend="lots")
    refused = generated("api.limits.set_model_limits").sync(hers.model.pk, client=alice, body=body)
    assert isinstance(refused, models.ProblemDetails)
    assert (refused.status, refused.code) == (422, "validation_failed")
    assert [error.pointer for error in refused.errors] == ["/monthly_spend"]


def test_spend_is_read(generated, alice, hers):
    spend = generated("api.spend.get_spend").sync(
        client=alice, organization_id=hers.organization.pk
    )
    assert (spend.total, spend.currency, spend.groups) == ("0.00", "EUR", [])


def test_every_operation_has_a_function(generated, client):
    package = Path(generated("api").__file__).parent
    functions = {path.stem for path in package.rglob("*.py")} - {"__init__"}
    declared = {
        line.partition(": ")[2].strip()
        for line in SCHEMA.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith("operationId:")
    }
    assert functions == declared
