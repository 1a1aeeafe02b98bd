"""Rates of the management API: told with every answer, kept by token, person and organization."""

import math

import fakeredis
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from tenants.access import throttling
from tenants.access.throttling import Own, Policy, Together
from tenants.common.models import new_id
from tenants.organizations.roles import Role
from tests import people
from tests.api.callers import organization_caller, platform_caller
from tests.api.world import made_up_key


@pytest.fixture
def rates(settings):
    """Set some rates."""

    def put(**some: tuple[int, int]) -> None:
        settings.API_RATES = settings.API_RATES | some

    return put


def test_every_answer_tells_what_is_left_and_a_refusal_when_to_come_back(organization, rates):
    rates(token=(3, 60), organization=(1_000, 60))
    caller = organization_caller(organization)
    path = f"organizations/{organization.pk}"
    answers = [caller.get(path), caller.get("nothing/here"), caller.patch(path, {"name": 7})]
    assert [one.status for one in answers] == [200, 404, 422]
    first = answers[0].headers
    assert first["RateLimit-Policy"] == '"token";q=3;w=60, "organization";q=1000;w=60'
    assert first["RateLimit"] == '"token";r=2;t=20, "organization";r=999;t=1'
    assert answers[2].headers["RateLimit"].startswith('"token";r=1;t=')  # a 404 of no endpoint
    caller.get(path)
    refusal = caller.get(path)
    assert (refusal.status, refusal.code) == (429, "too_many_requests")
    assert refusal.body["policy"] == "token"
    assert 1 <= int(refusal.headers["Retry-After"]) <= 20
    assert refusal.headers["RateLimit"].startswith('"token";r=0;t=')
    assert organization_caller(organization).get(path).status == 200, "another token's own rate"


def test_an_organizations_tokens_share_its_rate_and_others_have_theirs(
    organization, stranger, rates
):
    rates(organization=(2, 60))
    path = f"organizations/{organization.pk}"
    answers = [organization_caller(organization).get(path) for _ in range(3)]
    assert [one.status for one in answers] == [200, 200, 429]
    assert answers[2].body["policy"] == "organization"
    assert platform_caller().get(path).status == 200, "AIsuru's backend is not the organization"
    assert organization_caller(stranger).get(f"organizations/{stranger.pk}").status == 200


def test_a_person_has_a_rate_and_nothing_is_done_beyond_it(organization, rates):
    rates(person=(1, 60))
    admin = people.member(organization, Role.ADMIN).person
    caller = people.session_caller(admin)
    path = f"organizations/{organization.pk}"
    assert caller.get(path).headers["RateLimit-Policy"] == '"person";q=1;w=60'
    assert caller.patch(path, {"name": "Nein"}).status == 429
    assert platform_caller().get(path).body["name"] != "Nein"


def test_what_brings_in_secrets_is_stricter_but_not_for_the_platform(
    organization, workspace, rates
):
    rates(intake=(1, 60))
    caller = organization_caller(organization)
    path = f"workspaces/{workspace.pk}/keys"
    assert caller.post(path, {"key": made_up_key()}).status == 202
    refusal = caller.post(path, {"key": made_up_key()})
    assert (refusal.status, refusal.body["policy"]) == (429, "intake")
    assert caller.get(path).status == 200
    platform = platform_caller()
    assert [platform.post(path, {"key": made_up_key()}).status for _ in range(2)] == [202, 202]


def test_a_refused_post_can_be_repeated_under_its_key(organization, rates, monkeypatch):
    caller = organization_caller(organization)
    path = f"organizations/{organization.pk}/workspaces"
    key = {"Idempotency-Key": str(new_id())}
    rates(token=(1, 3_600))
    caller.get(path)
    assert caller.post(path, {"name": "Vendite"}, key).status == 429
    rates(token=(1_000, 60))
    monkeypatch.setattr(throttling, "_counter", lambda _url: Own())
    assert caller.post(path, {"name": "Vendite"}, key).status == 201


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


STEPS = st.lists(st.tuples(st.floats(0, 30), st.integers(1, 4)), min_size=1, max_size=30)


@given(quota=st.integers(1, 20), seconds=st.integers(1, 60), steps=STEPS)
def test_no_more_than_the_quota_and_what_drained_since_is_ever_let_in(quota, seconds, steps):
    clock = Clock()
    counter = Own(clock)
    policy = Policy("token", new_id(), quota, seconds)
    began, admitted = clock.now, 0
    for pause, requests in steps:
        clock.now += pause
        for _ in range(requests):
            before = admitted
            admission = counter.take([policy])
            (standing,) = admission.standings
            assert 0 <= standing.remaining <= quota
            admitted += admission.lacking is None
            if admission.lacking is not None:
                # Whoever waits as long as was said is let in, and not a second earlier than needed.
                probe = Own(lambda: clock.now + standing.retry_after)  # noqa: B023 - used at once
                probe._drained_at = dict(counter._drained_at)
                assert probe.take([policy]).lacking is None
                assert admitted == before
    elapsed = clock.now - began
    assert admitted <= quota + math.floor(elapsed * quota / seconds) + 1


def test_without_room_in_one_policy_nothing_is_counted_in_any():
    for counter in (Own(Clock()), Together(fakeredis.FakeRedis())):
        narrow, wide = Policy("a", new_id(), 1, 3_600), Policy("b", new_id(), 5, 3_600)
        assert counter.take([narrow, wide]).lacking is None
        refused = counter.take([narrow, wide])
        assert refused.lacking is not None
        assert refused.lacking.policy == narrow
        assert [one.remaining for one in refused.standings] == [0, 4]
        assert counter.take([wide]).standings[0].remaining == 3


def test_processes_count_together_in_redis_and_alone_while_it_is_away():
    server = fakeredis.FakeServer()
    clock = Clock()
    one, other = (Together(fakeredis.FakeRedis(server=server), clock) for _ in range(2))
    policy = Policy("token", new_id(), 2, 3_600)
    admissions = [counter.take([policy]) for counter in (one, other, one)]
    assert [admission.lacking is None for admission in admissions] == [True, True, False]
    assert admissions[2].standings[0].retry_after > 1_700
    server.connected = False
    assert one.take([policy]).lacking is None, "each for itself"
    assert one.take([policy]).lacking is None
    assert one.take([policy]).lacking is not None
    server.connected = True
    assert one.take([policy]).lacking is not None, "left alone for a moment"
    clock.now += 5
    assert one.take([policy]).lacking is not None, "counted together again"


def test_a_broken_redis_is_noticed_as_one():
    class Broken:
        def register_script(self, script: str):
            def fail(**_facts: object):
                raise redis.TimeoutError

            return fail

    assert Together(Broken()).take([Policy("token", new_id(), 1, 60)]).lacking is None  # type: ignore[arg-type]  # a stand-in
