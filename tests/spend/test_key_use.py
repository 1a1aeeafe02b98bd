"""When a key was last used is read from the ledger: to the minute, and not written again within."""

from datetime import timedelta

import psycopg
import pytest
from django.utils import timezone

from tenants.common import scope
from tenants.keys import using
from tenants.keys.models import MistralKey
from tenants.spend import key_use
from tenants.spend.calls import instant_of
from tenants.spend.meter import Meter
from tests import factories
from tests.postgres import owner_url
from tests.spend import made


@pytest.fixture
def meter():
    """A meter of this test."""
    made_meter = Meter()
    yield made_meter
    made_meter.close()


@pytest.fixture
def key(organization, workspace):
    """A key of Alice's organization that no call has used."""
    with scope.tenant(organization.id):
        return factories.raw_key(organization, workspace)


def last_used(key):
    with scope.tenant(key.organization_id):
        return MistralKey.objects.get(pk=key.pk).last_used_at


def call(meter, organization, workspace, key, *, settle: bool):
    intent = made.intent(organization, workspace, key_id=key.pk)
    meter.open_calls([intent])
    if settle:
        meter.settle_calls([made.settlement(intent)])
    return instant_of(intent.call_id)


@pytest.mark.parametrize("settle", [True, False], ids=["settled", "going on"])
def test_a_call_that_was_made_or_goes_on_is_a_use_of_its_key(
    organization, workspace, meter, key, settle
):
    key_use.note_key_use()
    assert last_used(key) is None
    at = call(meter, organization, workspace, key, settle=settle)
    key_use.note_key_use()
    assert last_used(key) == at


def test_within_a_minute_it_is_written_once(organization, workspace, meter, key):
    first = call(meter, organization, workspace, key, settle=True)
    key_use.note_key_use()
    call(meter, organization, workspace, key, settle=True)
    key_use.note_key_use()
    assert last_used(key) == first
    now = timezone.now()
    assert using.note({key.pk: first + timedelta(seconds=59)}) == 0
    assert using.note({key.pk: now + timedelta(seconds=61)}) == 1
    assert using.note({key.pk: first}) == 0, "time never runs backwards"


def test_after_an_interruption_what_happened_meanwhile_is_found(
    organization, workspace, meter, key
):
    at = call(meter, organization, workspace, key, settle=True)
    with psycopg.connect(owner_url()) as owner:
        owner.execute(
            "INSERT INTO spend_watermark VALUES ('keys_used', now() - interval '5 hours')"
            " ON CONFLICT (name) DO UPDATE SET at = excluded.at"
        )
    key_use.note_key_use()
    assert last_used(key) == at
