"""Who is kept away from a Mistral that fails: nobody because of what others ask for."""

import pytest

from tenants.common.models import new_id
from tenants.common.problems import Unavailable
from tenants.gateway.breaker import Breaker
from tenants.mistral.classification import classify
from tenants.mistral.errors import answer_lost, cut_short, never_reached
from tests.gateway import tenancy
from tests.gateway.paced import Clock, go, pacer, picture_of
from tests.gateway.server import GatewayServer
from tests.gateway.tenancy import ask, eventually
from tests.mistral.far_side import answering, free_address

BROKEN = classify(500, {}, b"{}")
USAGE = {"usage": {"prompt_tokens": 1, "total_tokens": 1}}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def process(clock):
    """A process's pacer in virtual time."""
    return pacer(clock=clock)


def somebody():
    """The picture of a model of a tenant of its own."""
    return picture_of(new_id(), new_id())


def call(process, shown):
    """Let a call out, as attempts do; None where it is kept away."""
    permit = _at_once(go(process, shown))
    try:
        permit.keep_away()
    except Unavailable:
        permit.withdraw()
        return None
    return permit


def _at_once(coroutine):
    """Run what waits for nothing, without the price of a loop."""
    try:
        coroutine.send(None)
    except StopIteration as over:
        return over.value
    raise AssertionError("it waited")


def broken(permit):
    if permit is not None:
        permit.refused(BROKEN, {})
        permit.finish(0, 0)


def unreached(permit):
    lost(permit, never_reached())


def lost(permit, error):
    if permit is not None:
        permit.lost(error)
        permit.finish(0, 0)


def test_it_opens_after_outages_in_a_row_and_lets_one_probe_through():
    breaker = Breaker(failures=3, pause=2.0)
    for _ in range(2):
        breaker.fail(0.0)
    breaker.succeed()
    for _ in range(3):
        assert breaker.wait("a", 1.0) == 0
        breaker.fail(1.0)
    assert 2 <= breaker.wait("a", 1.0) <= 2.2
    assert breaker.wait("a", 4.0) == 0  # the probe
    assert breaker.wait("b", 4.0) > 0  # and nobody else
    breaker.fail(4.5)
    assert breaker.wait("b", 4.5) >= 4  # longer than before
    assert breaker.wait("b", 20.0) == 0
    breaker.succeed()
    assert (breaker.wait("a", 20.0), breaker.wait("b", 20.0), breaker.is_open) == (0, 0, False)


def test_a_probe_that_told_nothing_leaves_its_place_to_another_and_only_the_probe_does():
    breaker = Breaker(failures=1, pause=1.0)
    breaker.fail(0.0)
    assert breaker.wait("a", 2.0) == 0
    breaker.forgo("b")
    assert breaker.wait("b", 2.0) > 0
    breaker.forgo("a")
    assert breaker.wait("b", 2.0) == 0


def test_who_has_mistral_fail_stops_nobody_else_however_often_and_with_however_many_tenants(
    process, clock
):
    hostile, healthy = [somebody() for _ in range(3)], somebody()
    sent = kept_away = 0
    for tick in range(20 * 600):  # each of them twenty times a second, for ten minutes
        clock.now += 0.05
        for one in hostile:
            permit = call(process, one)
            broken(permit)
            sent += permit is not None
        if tick % 1200 == 1199:  # once a minute
            permit = call(process, healthy)
            kept_away += permit is None
            if permit is not None:
                permit.heard({})
                permit.finish(1, 1)
    assert kept_away == 0
    assert sent < 3 * (10 + 100)  # and Mistral is left alone by them


def test_another_model_of_the_same_tenant_goes_on(process):
    failing = somebody()
    other = picture_of(failing.snapshot.organization.id, new_id())
    for _ in range(10):
        broken(call(process, failing))
    assert call(process, failing) is None
    assert call(process, other) is not None


def test_lost_answers_count_as_errors_do(process):
    failing = somebody()
    for _ in range(10):
        lost(call(process, failing), answer_lost())
    assert call(process, failing) is None
    assert call(process, somebody()) is not None


def test_requests_that_did_not_go_out_whole_tell_nothing_of_mistral(process):
    slow = somebody()
    for _ in range(20):
        lost(call(process, slow), cut_short())
    assert call(process, slow) is not None


def test_a_host_that_cannot_be_connected_is_left_alone_by_all_and_one_probe_tells_all(
    process, clock
):
    for _ in range(10):
        unreached(call(process, somebody()))
    assert call(process, somebody()) is None
    clock.now += 3
    probe = call(process, somebody())
    assert probe is not None
    assert call(process, somebody()) is None
    broken(probe)  # an error is an answer: the host is there
    assert all(call(process, somebody()) for _ in range(20))


def test_any_answer_between_keeps_the_hosts_breaker_closed(process):
    lucky = somebody()
    for _ in range(5):
        for _ in range(9):
            unreached(call(process, somebody()))
        permit = call(process, lucky)
        permit.heard({})
        permit.finish(1, 1)
    assert not process.breaker.is_open


@pytest.mark.parametrize("is_sent", [True, False])
def test_a_probe_that_ends_without_a_verdict_lets_the_next_one_try(process, clock, is_sent):
    for _ in range(10):
        unreached(call(process, somebody()))
    clock.now += 3
    probe = call(process, somebody())
    if is_sent:
        probe.finish(0, 0)  # its model's own time was over
    else:
        probe.withdraw()
    assert call(process, somebody()) is not None


def by_key(broken_plain):
    """A Mistral that fails at the calls of one key."""
    fails, answers = answering(500, {"type": "internal_server_error"}), answering(200, USAGE)

    def script(request, connection) -> None:
        is_broken = broken_plain in request.headers["authorization"]
        (fails if is_broken else answers)(request, connection)

    return script


@pytest.mark.slow
def test_a_tenant_at_whose_calls_mistral_fails_is_left_alone_and_others_are_served(
    scripted, made_up
):
    failing, healthy = tenancy.make(made_up), tenancy.make(made_up)
    with GatewayServer(scripted.far_side.url, idle=2, outages=3) as server:
        scripted.script = by_key(failing.plain)
        assert [ask(server.url, failing).status_code for _ in range(3)] == [500] * 3
        received = len(scripted.far_side.requests)
        refused = ask(server.url, failing)
        assert (refused.status_code, refused.json()["code"]) == (503, "mistral_unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        assert len(scripted.far_side.requests) == received
        assert ask(server.url, healthy).status_code == 200
        assert len(failing.settled(3)) == 3
        scripted.script = answering(200, USAGE)
        eventually(lambda: ask(server.url, failing).is_success)


@pytest.mark.slow
def test_a_mistral_that_is_not_there_is_left_alone_by_all_tenants(scripted, made_up):
    first, second = tenancy.make(made_up), tenancy.make(made_up)
    with GatewayServer(free_address(), idle=2, connect=1, outages=3) as server:
        told = [ask(server.url, first).json()["code"] for _ in range(3)]
        assert told == ["mistral_unreachable"] * 3
        assert ask(server.url, second).json()["code"] == "mistral_unavailable"
