"""An organization that has a row in every tenant table, made through the doors and the meter."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from tenants.access.models import TenantRequest
from tenants.common import scope
from tenants.common.models import new_id
from tenants.spend.meter import Meter
from tenants.spend.services import set_limit
from tests.api import world
from tests.factories import ACTOR
from tests.spend import made


@pytest.fixture
def populated(organization):
    """Alice's organization with a row of everything."""
    hers = world.world(organization)
    set_limit(
        actor=ACTOR, organization=organization, subject=organization, monthly_spend=Decimal(500)
    )
    meter = Meter()
    calls = [
        made.intent(organization, hers.workspace, model_id=hers.model.id, key_id=hers.key.id)
        for _ in range(2)
    ]
    meter.open_calls(calls)
    meter.settle_calls([made.settlement(calls[0])])
    with scope.tenant(organization.id):
        TenantRequest.objects.create(
            organization=organization,
            token_id=hers.token.id,
            key="once",
            fingerprint=b"f" * 32,
            request_id="r",
            claim=new_id(),
            claimed_until=timezone.now() + timedelta(minutes=1),
        )
    yield organization
    meter.close()
