"""Mistral's own limits through a real gateway: learned, kept to, and where another key helps."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tenants.common import scope
from tenants.keys.models import MistralKey
from tenants.keys.quota import quota_code
from tenants.registry import quotas
from tenants.registry import services as registry
from tenants.registry.models import QuotaRecord
from tenants.registry.quotas import Policy
from tests.factories import ACTOR
from tests.gateway import tenancy
from tests.gateway.rated import arrivals, burst
from tests.gateway.server import GatewayServer
from tests.gateway.tenancy import ask, eventually
from tests.keys.keyring import checked, name_of, registered
from tests.mistral.far_side import answering

pytestmark = pytest.mark.slow


def code_of(tenant):
    """The quota that a tenant's key draws on."""
    with scope.tenant(tenant.organization.id):
        key = MistralKey.objects.get(pk=tenant.key.pk)
    return quota_code(key.pk, key.mistral_workspace_id, key.identity)


def test_limits_that_headers_tell_are_kept_to(gateway, mistral, made_up):
    limits = {"requests_per_minute": 4, "window_seconds": 2}
    tenant = tenancy.make(made_up, mistral={"limits": limits})
    assert ask(gateway.url, tenant).is_success  # it learns
    answers = burst(gateway, tenant, 9)
    assert [answer.status_code for answer in answers] == [200] * 9
    assert [status for _, status in arrivals(mistral, tenant)] == [200] * 10


def test_hidden_limits_are_learned_from_refusals_that_callers_do_not_see(gateway, mistral, made_up):
    limits = {"requests_per_minute": 3, "window_seconds": 2, "hidden": True}
    tenant = tenancy.make(made_up, mistral={"limits": limits})
    answers = burst(gateway, tenant, 6)
    assert [answer.status_code for answer in answers] == [200] * 6
    statuses = [status for _, status in arrivals(mistral, tenant)]
    assert statuses.count(200) == 6
    assert 1 <= statuses.count(429) <= 12
    lines = tenant.settled(len(statuses))
    assert len(lines) == len(statuses)  # each attempt is a line, and only answers cost
    assert sum((line.cost or 0) > 0 for line in lines) == 6
    again = [line for line in lines if line.request_id]
    assert {line.request_id for line in again} <= {str(line.id) for line in lines}


def test_a_model_outside_the_plan_is_refused_clearly_and_not_asked_for_again(
    gateway, mistral, made_up
):
    facts = {"organization": {"zero_quota_models": ["mistral-small-2603"]}}
    tenant = tenancy.make(made_up, mistral=facts)
    first = ask(gateway.url, tenant)
    assert (first.status_code, first.json()["source"]) == (429, "provider")
    second = ask(gateway.url, tenant)
    assert (second.status_code, second.json()["code"]) == (403, "model_not_in_plan")
    assert len(arrivals(mistral, tenant)) == 1


def test_a_message_that_cannot_make_it_is_refused_at_its_first_call(gateway, mistral, made_up):
    limits = {"requests_per_minute": 9}
    tenant = tenancy.make(made_up, mistral={"limits": limits})
    assert ask(gateway.url, tenant).is_success

    def message(name):
        statuses = []
        for _ in range(3):
            answer = burst(gateway, tenant, 1, headers={"x-message-id": name})[0]
            statuses.append(answer.status_code)
            if answer.status_code != 200:
                break
        return statuses

    with ThreadPoolExecutor(5) as pool:
        told = sorted(pool.map(message, [f"m{n}" for n in range(5)]))
    # Eight calls are left: two messages of three get through, the others know at once.
    assert told == [[200] * 3] * 2 + [[429]] * 3
    assert [status for _, status in arrivals(mistral, tenant)] == [200] * 7


def test_a_full_mistral_is_asked_again_politely_and_both_attempts_are_lines(
    gateway, mistral, tenant
):
    mistral.state.change(name_of(tenant.plain), behaviour={"sequence": ["capacity"]})
    answer = ask(gateway.url, tenant)
    assert answer.is_success
    first, second = tenant.settled(2)
    assert (first.outcome, first.http_status, first.cost) == ("refused", 429, 0)
    assert (second.outcome, second.request_id) == ("completed", str(first.id))
    assert answer.headers["x-request-id"] == str(first.id)
    assert second.cost > 0


@pytest.fixture
def two_keys(made_up):
    """A tenant whose key may call once in a while, and a second key of another workspace."""
    tight = {"requests_per_minute": 1, "window_seconds": 60}
    tenant = tenancy.make(made_up, mistral={"limits": tight})
    second = checked(registered(tenant.workspace, made_up(), name="second"))
    return tenant, second


def follow(tenant, **policy):
    registry.set_traffic_policy(
        actor=ACTOR,
        organization=tenant.organization,
        workspace=tenant.workspace,
        policy=Policy(**policy),
    )


def test_where_the_policy_wants_it_a_key_of_another_workspace_takes_over_and_is_billed(
    gateway, mistral, two_keys
):
    tenant, second = two_keys
    follow(tenant, failover=True)
    answers = [ask(gateway.url, tenant) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    lines = tenant.settled(3)
    assert [line.key_id for line in lines] == [tenant.key.id, second.id, second.id]
    assert all(line.model_id == tenant.model.id for line in lines)


def test_without_such_a_policy_the_other_key_stays_where_it_is(gateway, mistral, two_keys):
    tenant, _second = two_keys
    tenant.is_impatient()
    assert [ask(gateway.url, tenant).status_code for _ in range(2)] == [200, 429]
    assert {line.key_id for line in tenant.settled(1)} == {tenant.key.id}


def test_a_second_key_of_the_same_workspace_adds_nothing_and_is_not_used(gateway, mistral, made_up):
    facts = {"organization": "borea", "workspace": "main"}
    tenant = tenancy.make(made_up, mistral=facts)
    checked(registered(tenant.workspace, made_up(**facts), name="second"))
    follow(tenant, failover=True)
    tenant.is_impatient()
    mistral.state.change(name_of(tenant.plain), behaviour={"error": "rate_limited"})
    refused = ask(gateway.url, tenant)
    assert (refused.status_code, refused.json()["source"]) == (429, "provider")
    assert {line.key_id for line in tenant.settled(1)} == {tenant.key.id}


def test_a_refusal_for_quota_moves_to_the_other_key_and_both_are_lines(gateway, mistral, made_up):
    facts = {"organization": {"zero_quota_models": ["mistral-small-2603"]}}
    tenant = tenancy.make(made_up, mistral=facts)
    second = checked(registered(tenant.workspace, made_up(), name="second"))
    follow(tenant, failover=True)
    assert ask(gateway.url, tenant).is_success
    first, answered = tenant.settled(2)
    assert (first.key_id, first.http_status) == (tenant.key.id, 429)
    assert first.cost == 0
    assert (answered.key_id, answered.request_id) == (second.id, str(first.id))
    assert (answered.cost or 0) > 0


def test_what_was_used_of_mistrals_month_outlives_the_process(gateway, mistral, tenant):
    assert ask(gateway.url, tenant).is_success
    (event,) = tenant.settled(1)
    used = event.prompt_tokens + event.completion_tokens

    def saved():
        with scope.tenant(tenant.organization.id):
            return QuotaRecord.objects.exists()

    eventually(saved)  # by the process that served the call; what it says is replaced here
    quotas.save(
        tenant.organization.id,
        [
            quotas.Observation(
                quota_code=code_of(tenant),
                mistral_model="mistral-small-2603",
                windows=[{"window": "tokens-month", "by_size": False, "limit": used + 1}],
                used={},
                calls_of_message=3,
                closed_until=None,
                outside_plan_until=None,
            )
        ],
    )
    before = len(arrivals(mistral, tenant))
    with GatewayServer(mistral.url) as fresh:
        refused = ask(fresh.url, tenant)
    assert refused.status_code == 429
    error = refused.json()
    assert (error["limited"], error["rate"]) == ("mistral", "tokens-month")
    assert (error["limit"], error["used"]) == (used + 1, used)
    assert len(arrivals(mistral, tenant)) == before


def test_what_was_learned_outlives_the_process(gateway, mistral, made_up):
    limits = {"requests_per_minute": 2, "window_seconds": 50}
    tenant = tenancy.make(made_up, mistral={"limits": limits})
    for _ in range(2):
        assert ask(gateway.url, tenant).is_success

    def saved():
        with scope.tenant(tenant.organization.id):
            found = QuotaRecord.objects.filter(windows__contains=[{"window": "req-50-second"}])
            return found.first()

    eventually(saved)
    assert saved().calls_of_message == 0
    tenant.is_impatient()
    with GatewayServer(mistral.url) as other:
        statuses = [ask(other.url, tenant).status_code for _ in range(3)]
    assert statuses.count(429) >= 1
    assert [status for _, status in arrivals(mistral, tenant)][:2] == [200, 200]


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_pause_that_somebody_wishes_away_ends_in_every_process(
    scripted, tenant, request, is_shared
):
    port = request.getfixturevalue("redis_server") if is_shared else None
    redis_url = None if port is None else f"redis://127.0.0.1:{port}/0"
    tenant.is_impatient()
    body = {"object": "error", "type": "rate_limited", "code": "1300", "raw_status_code": 429}
    far_side = scripted.far_side.url
    with (
        GatewayServer(far_side, redis_url=redis_url) as one,
        GatewayServer(far_side, redis_url=redis_url) as other,
    ):
        scripted.script = answering(429, body, {"retry-after": "3000"})
        assert ask(one.url, tenant).status_code == 429

        def is_closed(url):
            refused = ask(url, tenant).json()
            return refused["source"] == "gateway" and refused["rate"] == "pause"

        def is_served(url):
            return ask(url, tenant).is_success

        def is_saved():
            with scope.tenant(tenant.organization.id):
                return QuotaRecord.objects.filter(closed_until__isnull=False).exists()

        for url in (one.url, other.url):
            eventually(partial(is_closed, url))
        eventually(is_saved)
        scripted.script = answering(200, {"usage": {"prompt_tokens": 1, "total_tokens": 1}})
        assert is_closed(one.url)
        registry.reset_rate_limits(actor=ACTOR, organization=tenant.organization)
        for url in (one.url, other.url):
            eventually(partial(is_served, url))
