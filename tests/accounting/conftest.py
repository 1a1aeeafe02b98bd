"""Alice's organization with an Admin API key, and a simulated Mistral behind it."""

import pytest

from aisuru_mistral.simulator.keys import WELL_KNOWN
from aisuru_mistral.simulator.server import SimulatorServer
from tenants.accounting import services, synchronizing
from tenants.accounting.models import SyncRun
from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.keys.models import KeyStatus, MistralKey
from tenants.keys.services import register_key
from tests.api.conftest import alice  # noqa: F401 - the same cast
from tests.api.world import WholeWorld, whole_world
from tests.factories import ACTOR


@pytest.fixture
def hers(organization) -> WholeWorld:
    """What Alice's organization has, a closed month included."""
    return whole_world(organization)


@pytest.fixture
def simulator(settings):
    """A Mistral of this test's own; the sync asks it without waiting in between."""
    with SimulatorServer() as server:
        settings.MISTRAL_API_URL = server.url
        settings.ACCOUNTING_TIMING = {"pause": 0, "retry": 0}
        yield server


@pytest.fixture
def admin_key(simulator, organization):
    """The Admin API key of the organization that the simulator calls Aurora."""
    return services.set_admin_key(
        actor=ACTOR, organization=organization, plain=Secret(WELL_KNOWN["admin"])
    )


@pytest.fixture
def sync(organization):
    """Ask for a sync and carry it to its end, as workers would."""

    def carry(*, is_dry=True):
        run = services.request_sync(actor=ACTOR, organization=organization, is_dry=is_dry)
        return carried(run)

    return carry


def carried(run):
    """Carry a run until nobody has to any more."""
    while synchronizing.carry(run.organization_id, run.pk):
        pass
    with scope.tenant(run.organization_id):
        return SyncRun.objects.get(pk=run.pk)


def registered(workspace, name):
    """Register a well-known key and give it the verdict that its check would."""
    key = register_key(actor=ACTOR, workspace=workspace, plain=Secret(WELL_KNOWN[name])).key
    with scope.tenant(workspace.organization_id):
        MistralKey.objects.filter(pk=key.pk).update(status=KeyStatus.VALID)
    return key
