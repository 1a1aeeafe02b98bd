"""Makes what tests need, through the services that users' requests go through."""

from itertools import count
from secrets import token_bytes

from tenants.common import scope
from tenants.keys.models import MistralKey
from tenants.organizations import services
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization, Workspace

ACTOR = Actor(kind="command", id="tests", name="the test suite")
_numbers = count(1)


def organization(name: str = "Rossi Srl", **facts) -> Organization:
    """Make an organization with its default workspace."""
    facts.setdefault("owner_email", f"alice{next(_numbers)}@rossi.example")
    made, _workspace = services.create_organization(actor=ACTOR, name=name, **facts)
    return made


def default_workspace(organization: Organization) -> Workspace:
    """Fetch the workspace that came with an organization."""
    with scope.tenant(organization.id):
        return Workspace.objects.get(organization=organization, is_default=True)


def workspace(organization: Organization, name: str | None = None) -> Workspace:
    """Add another workspace."""
    return services.create_workspace(
        actor=ACTOR, organization=organization, name=name or f"Workspace {next(_numbers)}"
    )


def raw_key(organization: Organization, workspace: Workspace) -> MistralKey:
    """Insert a key row around the service, inside an open scope: for tests of the database."""
    return MistralKey.objects.create(
        organization=organization,
        workspace=workspace,
        last4="wxyz",
        fingerprint=token_bytes(32),
        sealed=b"no box",
        created_by="tests",
    )
