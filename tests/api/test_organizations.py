"""Organizations and workspaces over HTTP."""

from uuid import UUID

from tenants.common import scope
from tenants.organizations.models import AuditEvent, Workspace


def test_a_platform_token_creates_an_organization_with_its_default_workspace(platform):
    answer = platform.post("organizations", {"name": "Rossi Srl", "owner_email": "a@rossi.example"})
    assert answer.status == 201, answer.body
    made = answer.body
    assert answer.headers["Location"] == f"/api/v1/organizations/{made['id']}"
    assert (made["locale"], made["timezone"], made["currency"]) == ("it", "Europe/Rome", "EUR")
    assert made["created_at"].endswith("Z")
    assert platform.get(answer.headers["Location"]).body == made
    with scope.tenant(UUID(made["id"])):
        workspace = Workspace.objects.get()
    assert (str(workspace.id), workspace.name) == (made["default_workspace_id"], "Rossi Srl")


def test_the_audit_row_ties_an_act_to_its_token_and_request(platform):
    answer = platform.post(
        "organizations", {"name": "X", "owner_email": "x@x.example"}, {"X-Request-Id": "abc-1"}
    )
    assert answer.headers["X-Request-Id"] == "abc-1"
    with scope.tenant(UUID(answer.body["id"])):
        event = AuditEvent.objects.get()
    assert (event.actor_kind, event.request_id, event.actor_name) == ("platform", "abc-1", "AIsuru")
