"""Mistral is asked at a bounded pace, by however many workers, and comes back from an outage so."""

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import connection

from aisuru_mistral.simulator.directives import NOTHING, Directives
from tenants.common import scope
from tenants.keys import pacing, sweeping, validation
from tenants.keys.models import KeyStatus, MistralKey
from tenants.keys.timing import timing
from tests import factories
from tests.keys.keyring import checked, fresh, registered, seconds_until, set_back
from tests.postgres import owner_url

LONG_AGO = 10_000_000


@pytest.fixture
def paced(settings, alone):
    """Return a function that sets the pace, with lanes that nobody has used."""

    def pace(**times) -> None:
        settings.KEY_TIMING = {**settings.KEY_TIMING, **times}
        with psycopg.connect(owner_url()) as owner:
            owner.execute("DELETE FROM keys_lane")

    yield pace
    pace()


@pytest.fixture
def keys(organization, workspace, made_up):
    """Return a function that makes valid keys of one Mistral organization, due for long."""

    def make(many: int, at: str, **facts) -> list[MistralKey]:
        made = [
            registered(workspace, made_up(organization={"id": at, "name": at}, **facts))
            for _ in range(many)
        ]
        with scope.tenant(organization.id):
            MistralKey.objects.filter(pk__in=[key.pk for key in made]).update(
                status=KeyStatus.VALID, asked_at=None, mistral_organization_id=at, held_until=None
            )
        return [set_back(key, next_check_at=LONG_AGO) for key in made]

    return make


def work(key) -> None:
    """Check a key in a thread of its own, as a worker process would."""
    try:
        validation.validate(key.organization_id, key.id)
    finally:
        connection.close()


def asked_at(mistral, keys) -> list[float]:
    """When Mistral was asked about keys, in order."""
    names = {name_of_key(mistral, key) for key in keys}
    calls = mistral.state.calls(path="/v1/models")
    return sorted(call.at for call in calls if call.key_name in names)


def name_of_key(mistral, key) -> str:
    found = [known for known in mistral.state.known_keys() if known.secret.endswith(key.last4)]
    return str(found[0].name)


def test_keys_of_one_mistral_organization_are_asked_about_one_after_the_other(mistral, keys, paced):
    paced(pace=10, burst=1, patience=5)
    many = keys(8, "one lane")
    began = time.time()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, many))
    moments = asked_at(mistral, many)
    assert len(moments) == 8
    for turn, at in enumerate(moments):  # a slow machine may be late, nobody may be early
        assert at >= began + turn / 10


def test_a_key_without_a_turn_is_given_back_unchecked_and_brought_again(mistral, keys, paced):
    paced(pace=0.1, burst=1, patience=0)
    first, second = keys(2, "crowded")
    assert checked(first).verdict_code == "ok"
    second = checked(second)
    assert (second.verdict_code, second.claim, second.attempts) == ("", None, 0)
    assert 5 < seconds_until(second.held_until) < 14
    assert second.next_check_at == fresh(second).next_check_at, "it is due all the same"
    assert len(asked_at(mistral, [second])) == 0


def test_the_lanes_of_other_mistral_organizations_are_free(keys, paced):
    paced(pace=0.1, burst=1, patience=0)
    crowded, calm = keys(1, "crowded lane")[0], keys(1, "calm lane")[0]
    checked(crowded)
    assert checked(calm).verdict_code == "ok"


def test_whom_a_person_asked_for_does_not_queue_behind_the_clock(keys, paced):
    paced(pace_all=0.1, burst_all=1, patience=0)
    one, other, asked = (keys(1, name)[0] for name in ("lane a", "lane b", "lane c"))
    checked(one)
    assert checked(other).verdict_code == "", "the lane of all is taken"
    asked = checked(set_back(asked, asked_at=1))
    assert asked.verdict_code == "ok"
    assert asked.asked_at is None


def test_trouble_slows_everybody_down_by_half_and_success_speeds_up_by_a_tenth(
    mistral, keys, paced
):
    paced(slowest=16)
    (key,) = keys(1, "slow lane")
    name = name_of_key(mistral, key)
    mistral.state.change(name, behaviour={"error": "service_unavailable"})
    speeds = []
    for _ in range(6):
        checked(set_back(key, next_check_at=1))
        speeds.append(slowness(pacing.EVERYBODY))
    assert speeds == [2, 4, 8, 16, 16, 16]
    mistral.state.change(name, behaviour={})
    checked(set_back(key, next_check_at=1))
    assert slowness(pacing.EVERYBODY) == pytest.approx(14.4)
    assert slowness("slow lane") == 1, "an outage is not this organization's"


def test_a_rate_limit_slows_down_its_own_organization_only(mistral, keys, paced):
    paced()
    (key,) = keys(1, "limited lane")
    mistral.state.change(name_of_key(mistral, key), behaviour={"error": "rate_limited"})
    checked(key)
    assert (slowness("limited lane"), slowness(pacing.EVERYBODY)) == (2, 1)


def slowness(lane: str) -> float:
    with psycopg.connect(owner_url()) as owner:
        found = owner.execute("SELECT slowness FROM keys_lane WHERE name = %s", [lane]).fetchone()
    assert found is not None
    return float(found[0])


def test_the_sweep_gives_every_mistral_organization_its_share(organization, keys, paced):
    paced(lane_batch=3)
    crowd, few = keys(10, "crowd"), keys(2, "few")
    taken = {key_id for organization_id, key_id in sweeping.take_due()}
    assert len(taken & {key.pk for key in crowd}) == 3
    assert len(taken & {key.pk for key in few}) == 2


def test_after_an_outage_the_checks_come_back_in_a_slope_not_in_a_wall(mistral, keys, paced):
    pace, burst, slowest = 60, 3, 16
    paced(
        pace_all=pace,
        burst_all=burst,
        slowest=slowest,
        patience=0.5,
        queue=0.2,
        lane_batch=100,
        retry=0.05,
        inconclusive=0.1,
    )
    many = keys(30, "outage")
    outage(mistral, on=True)
    try:
        until(lambda: slowness_of_all() >= slowest, many)
        began = time.time()
        spend(many, seconds=1)
        asked = len([at for at in asked_at(mistral, many) if at >= began])
        assert asked <= pace / slowest + 2 * burst, "hardly anybody asks while Mistral is down"
    finally:
        outage(mistral, on=False)
    back = time.time()
    until(lambda: all(fresh(key).verdict_code == "ok" for key in many), many)
    moments = [at for at in asked_at(mistral, many) if at >= back]
    for at in moments:
        within = [other for other in moments if at <= other < at + 0.5]
        assert len(within) <= pace * 0.5 + burst + 1, "never more than the pace, and the burst"
    half = [at for at in moments if at < back + 0.5]
    assert len(half) < pace * 0.5, "and at first less than that"


def outage(mistral, *, on: bool) -> None:
    mistral.state.directives = Directives(error="service_unavailable") if on else NOTHING


def slowness_of_all() -> float:
    try:
        return slowness(pacing.EVERYBODY)
    except AssertionError:
        return 1


def until(done, many, patience: float = 60) -> None:
    deadline = time.monotonic() + patience
    while not done():
        assert time.monotonic() < deadline
        sweep_and_work(many)


def spend(many, *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sweep_and_work(many)


def sweep_and_work(many) -> None:
    """One beat: what is due goes to eight workers."""
    ours = {key.pk: key for key in many}
    due = [ours[key_id] for _organization, key_id in sweeping.take_due() if key_id in ours]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, due))
    if not due:
        time.sleep(0.02)


def test_the_pace_in_force_is_the_documented_one():
    times = timing()
    assert (times.burst, times.burst_all, times.slowest, times.patience) == (10, 40, 64, 2)


def test_two_organizations_of_ours_with_one_mistral_organization_share_its_lane(
    keys, paced, made_up
):
    paced(pace=0.1, burst=1, patience=0)
    (mine,) = keys(1, "shared")
    other = factories.organization(name="Verdi Srl")
    theirs = registered(factories.default_workspace(other), made_up())
    with scope.tenant(other.id):
        MistralKey.objects.filter(pk=theirs.pk).update(mistral_organization_id="shared")
    checked(mine)
    assert checked(theirs).verdict_code == ""
