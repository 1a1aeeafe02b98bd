"""A small world behind the API: an organization with people, workspace, key, model and token."""

import secrets
import string
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from uuid import UUID

from django.apps import apps
from django.db import connection
from django.utils import timezone

from tenants.access.models import OrganizationToken
from tenants.access.services import issue_organization_token
from tenants.accounting import closing
from tenants.accounting.models import FigureSource, Reconciliation, SyncRun, SyncStatus
from tenants.accounting.reconciliations import request_reconciliation
from tenants.accounting.services import set_admin_key
from tenants.assistance.models import SupportGrant
from tenants.assistance.services import grant_access
from tenants.common import scope
from tenants.common.months import Month
from tenants.common.secrets import Secret
from tenants.keys.models import KeyStatus, MistralKey, SeenModel
from tenants.keys.services import register_key
from tenants.notices.models import Delivery, WebhookEndpoint
from tenants.notices.services import create_webhook, send_test
from tenants.organizations import invitations
from tenants.organizations.models import (
    Invitation,
    JoinRequest,
    Member,
    Organization,
    OrganizationDomain,
    Workspace,
)
from tenants.organizations.roles import Role, WorkspaceRole
from tenants.registry.connections import set_connection
from tenants.registry.models import RegisteredModel
from tenants.registry.services import create_model
from tests import factories, people
from tests.factories import ACTOR

MODEL = "mistral-small-latest"
#: A month that has a statement.
CLOSED = "2026-10"


@dataclass
class World:
    """Rows to point at."""

    organization: Organization
    workspace: Workspace
    key: MistralKey
    model: RegisteredModel

    @property
    def ids(self) -> dict[str, UUID]:
        """By the names that addresses give them."""
        return {
            "organization_id": self.organization.pk,
            "workspace_id": self.workspace.pk,
            "key_id": self.key.pk,
            "model_id": self.model.pk,
        }


@dataclass
class WholeWorld(World):
    """One row of everything that an address can name."""

    token: OrganizationToken
    reconciliation: Reconciliation
    member: Member
    colleague: Member
    invitation: Invitation
    domain: OrganizationDomain
    join_request: JoinRequest
    webhook: WebhookEndpoint
    delivery: Delivery
    grant: SupportGrant
    sync: SyncRun

    @property
    def ids(self) -> dict[str, UUID]:
        """By the names that addresses give them."""
        return super().ids | {
            "token_id": self.token.pk,
            "reconciliation_id": self.reconciliation.pk,
            "member_id": self.member.pk,
            "invitation_id": self.invitation.pk,
            "domain_id": self.domain.pk,
            "join_request_id": self.join_request.pk,
            "webhook_id": self.webhook.pk,
            "delivery_id": self.delivery.pk,
            "grant_id": self.grant.pk,
        }


def made_up_key() -> str:
    """Make a plaintext of the usual shape."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(32))


def valid_key(workspace: Workspace, name: str = "Produzione") -> MistralKey:
    """Register a key and give it the verdict that a worker would."""
    registration = register_key(
        actor=ACTOR, workspace=workspace, plain=Secret(made_up_key()), name=name
    )
    key = registration.key
    with scope.tenant(workspace.organization_id):
        MistralKey.objects.filter(pk=key.pk).update(
            status=KeyStatus.VALID,
            verdict_code="ok",
            checked_at=timezone.now(),
            evidence={"http_status": 200, "mistral_code": None, "correlation_id": "c"},
            identity={"organization": "Rossi", "workspace": "Default", "key_name": "k"},
            models_seen=1,
        )
        SeenModel.objects.create(
            organization_id=workspace.organization_id, key=key, mistral_id=MODEL, name=MODEL
        )
        key.refresh_from_db()
    return key


def registered_model(workspace: Workspace, key: MistralKey, name: str) -> RegisteredModel:
    """Create a model through the service."""
    with scope.tenant(workspace.organization_id):
        organization = Organization.objects.get()
    model, _token = create_model(
        actor=ACTOR,
        organization=organization,
        workspace=workspace,
        key=key,
        name=name,
        mistral_model=MODEL,
        purposes=["question_answering"],
    )
    return model


def world(organization: Organization | None = None) -> World:
    """Make one."""
    organization = organization or factories.organization()
    workspace = factories.workspace(organization, "Vendite")
    key = valid_key(workspace)
    return World(organization, workspace, key, registered_model(workspace, key, "Assistente"))


def with_login(found: World) -> World:
    """Give its organization a login at AIsuru."""
    plain = Secret(made_up_key())
    set_connection(actor=ACTOR, organization=found.organization, plain=plain)
    return found


def whole_world(
    organization: Organization | None = None, *, has_statement: bool = True
) -> WholeWorld:
    """Make one that has everything; it takes four times as long, half of that for a statement."""
    small = world(organization)
    organization, workspace = small.organization, small.workspace
    set_admin_key(actor=ACTOR, organization=organization, plain=Secret(made_up_key()))
    with_login(small)
    if has_statement:
        closing.close(organization, Month.parse(CLOSED, organization.timezone))
    token, _plain = issue_organization_token(
        actor=ACTOR, organization=organization, name="old", scopes=[], grantable=[]
    )
    month = Month.parse(CLOSED, organization.timezone)
    reconciliation = request_reconciliation(
        actor=ACTOR,
        organization=organization,
        month=month,
        source=FigureSource.MANUAL,
        figures=[{"category": "ocr", "amount": Decimal(1)}],
    )
    bob = people.member(
        organization, who=people.person("Bob"), workspaces={workspace: WorkspaceRole.MEMBER}
    )
    colleague = people.member(organization, who=people.person("Carlo"))
    dora = people.person("Dora")
    with scope.tenant(organization.pk):
        invitation = invitations.make(
            organization,
            f"invited-{secrets.token_hex(4)}@people.example",
            role=Role.MEMBER,
            workspaces={workspace.pk: WorkspaceRole.MEMBER},
            invited_by="Alice",
        )
        invitation.save(force_insert=True)
        domain = OrganizationDomain.objects.create(
            organization=organization, domain=f"{organization.pk.hex}.example"
        )
        sync = SyncRun.objects.create(
            organization=organization, is_dry=True, status=SyncStatus.DONE, due_at=None
        )
        request = JoinRequest.objects.create(
            organization=organization, person=dora, email=dora.email
        )
    webhook, _secret = create_webhook(
        actor=ACTOR, organization=organization, url="https://example.com/webhooks"
    )
    delivery = send_test(actor=ACTOR, endpoint=webhook)
    return WholeWorld(
        organization,
        workspace,
        small.key,
        small.model,
        token,
        reconciliation,
        bob,
        colleague,
        invitation,
        domain,
        request,
        webhook,
        delivery,
        grant_access(actor=ACTOR, organization=organization, hours=2),
        sync,
    )


def everything(organization_id: UUID) -> dict[str, object]:
    """Take a picture of every row of an organization, to see that nothing changed.

    When a token was used last is no change.
    """
    with scope.tenant(organization_id), connection.cursor() as cursor:
        cursor.execute(_picture())
        return {table: facts for table, *facts in cursor.fetchall()}


@cache
def _picture() -> str:
    return " UNION ALL ".join(
        f"""SELECT '{table}', count(*), md5(string_agg(t::text, '|' ORDER BY t::text))
            FROM (SELECT to_jsonb(t) - 'last_used_at' FROM {table} t) t"""
        for table in _tables()
    )


def _tables() -> list[str]:
    return [
        model._meta.db_table
        for model in apps.get_models()
        if any(field.column == "organization_id" for field in model._meta.fields)
        or model is Organization
    ]
