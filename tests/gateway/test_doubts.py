"""A call that Mistral refuses because of its key has the key checked, and its models blocked."""

import pytest

from tenants.keys import doubting
from tests.gateway.tenancy import ask, eventually
from tests.keys.keyring import checked, fresh, name_of, seconds_until, set_back


def is_due(key) -> bool:
    return bool(seconds_until(fresh(key).next_check_at) <= 0)


@pytest.mark.parametrize("error", ["unauthorized", "billing_inactive"])
def test_a_refused_key_is_checked_soon_and_then_blocks_its_models(gateway, mistral, tenant, error):
    set_back(tenant.key, checked_at=doubting.PAUSE + 1)
    mistral.state.change(name_of(tenant.plain), behaviour={"error": error})
    assert ask(gateway.url, tenant).json()["source"] == "provider"
    eventually(lambda: is_due(tenant.key))
    checked(tenant.key)
    assert checked(set_back(tenant.key, next_check_at=1)).status != "valid", "said twice"
    eventually(lambda: ask(gateway.url, tenant).json().get("source") == "gateway")


def test_what_is_not_the_keys_fault_doubts_nothing(gateway, mistral, tenant):
    set_back(tenant.key, checked_at=doubting.PAUSE + 1)
    mistral.state.change(name_of(tenant.plain), behaviour={"error": "model_tier_denied"})
    assert ask(gateway.url, tenant).status_code == 403
    tenant.settled()
    assert not is_due(tenant.key)


def test_a_crowd_of_refusals_doubts_a_key_once(tenant):
    set_back(tenant.key, checked_at=doubting.PAUSE + 1)
    owner = (tenant.key.organization_id, tenant.key.id)
    assert doubting.doubt(*owner)
    assert not doubting.doubt(*owner)
    checked(tenant.key)
    assert not doubting.doubt(*owner), "it was checked a moment ago"
