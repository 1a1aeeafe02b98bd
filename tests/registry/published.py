"""Fixtures and steps of the tests of models in AIsuru."""

import pytest
from django.utils import timezone

from aisuru_mistral.simulator.aisuru import WELL_KNOWN_LOGINS, AisuruBackend
from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.organizations.models import Announcement
from tenants.registry import connections, publications, publishing
from tenants.registry.models import (
    AisuruConnection,
    ModelToken,
    Publication,
    PublicationStatus,
)
from tests.api.world import valid_key
from tests.factories import ACTOR
from tests.registry.steps import create

ADMIN, USER, _BOREA, LATE = (login.token for login in WELL_KNOWN_LOGINS)
PUBLISHED = PublicationStatus.PUBLISHED
TIMES = {"retry": 0, "retries": 3, "check": 0, "answer": 2}


@pytest.fixture
def aisuru(mistral, settings):
    """AIsuru's backend, a new one for each test."""
    mistral.state.aisuru = backend = AisuruBackend()
    settings.AISURU_API_URL = f"{mistral.url}/api/v2"
    settings.PUBLISHING_TIMING = TIMES
    return backend


@pytest.fixture
def key(workspace):
    """A valid key; nobody asks Mistral here."""
    return valid_key(workspace)


@pytest.fixture
def model(workspace, key, aisuru):
    """A model of an organization that has a login at AIsuru."""
    connect(workspace.organization)
    return create(workspace, key=key, description="Per il sito")[0]


def connect(organization, token=ADMIN):
    return connections.set_connection(
        actor=ACTOR, organization=organization, plain=Secret(token), tenant="www.aurora.example"
    )


def publish(model, **how):
    publications.publish_model(actor=ACTOR, model=model, **how)
    return carried(model)


def carried(model):
    """Do what a worker would, once, and see how the model stands."""
    row = standing(model)
    publishing.carry(row.organization_id, row.pk)
    return standing(model)


def standing(model):
    with scope.tenant(model.organization_id):
        return Publication.objects.get(model=model)


def live(model, *, is_published=True):
    with scope.tenant(model.organization_id):
        rows = ModelToken.objects.filter(
            model=model, is_published=is_published, revoked_at=None, expires_at=None
        )
        return {bytes(row.digest) for row in rows}


def told(model, kind):
    with scope.tenant(model.organization_id):
        return [one.data for one in Announcement.objects.filter(kind=kind).order_by("id")]


def login_of(organization):
    with scope.tenant(organization.pk):
        return AisuruConnection.objects.get()


def due(model):
    with scope.tenant(model.organization_id):
        Publication.objects.update(due_at=timezone.now())
