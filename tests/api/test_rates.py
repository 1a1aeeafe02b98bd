"""Rate limits over HTTP: by Mistral model, and how a workspace's calls are to be treated."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tenants.common import scope
from tenants.keys.models import MistralKey
from tenants.keys.quota import quota_code
from tenants.organizations.models import AuditEvent
from tenants.registry import quotas
from tenants.registry.quotas import Observation
from tenants.spend.meter import Meter
from tests.api import world
from tests.api.world import everything
from tests.spend import made


@pytest.fixture
def learned(hers):
    """What a gateway has learned of the model's bucket."""
    windows: list[dict[str, Any]] = [
        {"window": "req-minute", "by_size": False, "limit": 60, "remaining": 12},
        {"window": "tokens-month", "by_size": False, "limit": 10**9, "remaining": 5},
        {"window": "moons-fortnight", "by_size": False, "limit": 3, "remaining": None},
    ]

    def learn(**facts):
        key = hers.key
        seen = Observation(
            quota_code=quota_code(key.pk, key.mistral_workspace_id, key.identity),
            mistral_model="mistral-small-2603",
            windows=windows,
            used={"requests": 48, "tokens": 9000},
            calls_of_message=5.0,
            closed_until=None,
            outside_plan_until=None,
        )
        quotas.save(hers.organization.id, [replace(seen, **facts)])

    return learn


def buckets(caller, hers, query=""):
    answer = caller.get(f"organizations/{hers.organization.pk}/rate-limits{query}")
    assert answer.status == 200, answer.body
    return answer.body


def test_a_bucket_tells_what_is_configured_learned_and_used(hers, alice, learned):
    rates = {"requests_per_second": 2.5, "tokens_per_minute": None, "tokens_per_month": 10**6}
    alice.put(f"workspaces/{hers.workspace.pk}/limits", {"monthly_spend": None, **rates})
    meter = Meter()
    call = made.intent(hers.organization, hers.workspace, model_id=hers.model.id)
    meter.open_calls([call])
    meter.settle_calls([made.settlement(call, "0.10")])
    meter.close()
    learned()
    (bucket,) = buckets(alice, hers)["results"]
    assert bucket["mistral_model"] == "mistral-small-2603"
    assert bucket["mistral_workspace"] == "Default"
    assert bucket["key_ids"] == [str(hers.key.id)]
    assert bucket["model_ids"] == [str(hers.model.id)]
    (configured,) = bucket["configured"]
    assert configured == {
        "subject_kind": "workspace",
        "subject_id": str(hers.workspace.id),
        "subject_name": hers.workspace.name,
        "mode": "enforce",
        **rates,
    }
    assert [window["meter"] for window in bucket["learned"]] == ["requests", "tokens", None]
    assert [window["seconds"] for window in bucket["learned"]] == [60, 31 * 86_400, None]
    assert bucket["learned"][0]["remaining"] == 12
    used = bucket["used"]
    assert (used["requests_last_minute"], used["tokens_last_minute"]) == (48, 9000)
    assert used["tokens_this_month"] > 0
    assert (bucket["calls_of_message"], bucket["messages_per_minute"]) == (5.0, 12.0)
    assert (bucket["is_in_plan"], bucket["closed_until"]) == (True, None)


def test_what_mistral_refused_is_told_until_it_is_over(hers, alice, learned):
    soon = timezone.now() + timedelta(minutes=5)
    learned(closed_until=soon, outside_plan_until=soon)
    (bucket,) = buckets(alice, hers)["results"]
    assert bucket["is_in_plan"] is False
    assert bucket["closed_until"].endswith("Z")
    past = timezone.now() - timedelta(seconds=1)
    learned(closed_until=past, outside_plan_until=past)
    (bucket,) = buckets(alice, hers)["results"]
    assert (bucket["is_in_plan"], bucket["closed_until"]) == (True, None)


def test_a_bucket_of_which_nothing_is_known_is_listed_too_and_lists_have_pages(hers, alice):
    key = world.valid_key(hers.workspace, "Altra")
    with scope.tenant(hers.organization.pk):
        MistralKey.objects.filter(pk=key.pk).update(mistral_workspace_id="another")
    world.registered_model(hers.workspace, key, "Altro")
    first = buckets(alice, hers, "?limit=1")
    second = buckets(alice, hers, f"?limit=1&cursor={first['next']}")
    assert second["next"] is None
    keys = {page["results"][0]["key_ids"][0] for page in (first, second)}
    assert keys == {str(hers.key.pk), str(key.pk)}
    assert second["results"][0]["learned"] == []
    bad = alice.get(f"organizations/{hers.organization.pk}/rate-limits?cursor=x")
    assert (bad.status, bad.code) == (422, "cursor_invalid")


def test_a_traffic_policy_is_set_and_read_and_audited(hers, alice):
    path = f"workspaces/{hers.workspace.pk}/traffic-policy"
    default = {
        "failover": False,
        "capacity_retries": 1,
        "longest_wait": 30,
        "on_disconnect": "drain",
        "parameters": "adapt",
        "new_endpoints": "refuse",
    }
    workspace = {"workspace_id": str(hers.workspace.pk)}
    assert alice.get(path).body == workspace | default
    wanted = {
        "failover": True,
        "capacity_retries": 0,
        "longest_wait": 60,
        "on_disconnect": "abort",
        "parameters": "refuse",
        "new_endpoints": "pass",
    }
    assert alice.put(path, wanted).body == workspace | wanted
    assert alice.get(path).body == workspace | wanted
    assert alice.put(path, {}).body == workspace | default


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("failover", "yes"),
        ("capacity_retries", 4),
        ("longest_wait", -1),
        ("on_disconnect", "wait"),
        ("parameters", "Adapt"),
        ("new_endpoints", "allow"),
    ],
)
def test_a_policy_out_of_bounds_is_refused_and_changes_nothing(member, value, hers, alice):
    before = everything(hers.organization.pk)
    answer = alice.put(f"workspaces/{hers.workspace.pk}/traffic-policy", {member: value})
    assert (answer.status, list(answer.pointers)) == (422, [f"/{member}"])
    assert everything(hers.organization.pk) == before


def test_an_archived_workspace_keeps_its_policy(hers, alice):
    alice.post(f"workspaces/{hers.workspace.pk}/archive")
    answer = alice.put(f"workspaces/{hers.workspace.pk}/traffic-policy", {"failover": True})
    assert (answer.status, answer.code) == (409, "workspace_archived")


def test_what_mistral_refused_is_forgotten_on_wish_and_the_wish_is_audited(hers, alice, learned):
    def known():
        key = hers.key
        code = quota_code(key.pk, key.mistral_workspace_id, key.identity)
        with scope.tenant(hers.organization.pk):
            return quotas.learned(hers.organization.pk, code, "mistral-small-2603")

    path = f"organizations/{hers.organization.pk}/rate-limits/reset"
    soon = timezone.now() + timedelta(minutes=50)
    learned(closed_until=soon, outside_plan_until=soon)
    assert alice.post(path, {"mistral_model": "mistral-small-2603"}).status == 204
    (bucket,) = buckets(alice, hers)["results"]
    assert (bucket["is_in_plan"], bucket["closed_until"]) == (True, None)
    wish = known().reset_at
    assert (wish is None, known().closed_until) == (False, None)
    # A process that has not heard of it yet saves what it remembers: that counts no more.
    learned(closed_until=soon, outside_plan_until=soon)
    assert (known().closed_until, known().outside_plan_until) == (None, None)
    # One that has heard of it was refused again.
    learned(closed_until=soon, saved_after=wish)
    assert known().closed_until == soon
    with scope.tenant(hers.organization.pk):
        assert AuditEvent.objects.filter(verb="rate_limits.reset").count() == 1


@pytest.mark.parametrize("name", ["mistral-small-latest", "mistral-small-2602", "Mistral", "x"])
def test_a_wish_for_a_model_that_is_not_listed_is_refused_and_changes_nothing(
    name, hers, alice, learned
):
    learned(closed_until=timezone.now() + timedelta(minutes=50))
    before = everything(hers.organization.pk)
    path = f"organizations/{hers.organization.pk}/rate-limits/reset"
    answer = alice.post(path, {"mistral_model": name})
    assert (answer.status, answer.code) == (422, "model_unknown")
    assert answer.pointers == {"/mistral_model": "model_unknown"}
    near = [] if name == "x" else ["mistral-small-2603"]
    assert answer.body["near_matches"] == near
    assert everything(hers.organization.pk) == before


def test_a_model_is_tried_again_before_anything_was_learned_and_after_it_is_gone(
    hers, alice, learned
):
    path = f"organizations/{hers.organization.pk}/rate-limits/reset"
    assert alice.post(path, {"mistral_model": "mistral-small-2603"}).status == 204
    learned(mistral_model="mistral-tiny-2407")
    assert alice.post(path, {"mistral_model": "mistral-tiny-2407"}).status == 204
