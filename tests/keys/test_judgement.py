"""The rules by which a finding becomes a status, for every finding and every status."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tenants.keys.judgement import Circumstances, Finding, found, judge
from tenants.keys.models import KeyStatus, VerdictCode
from tenants.keys.timing import Timing
from tenants.mistral.errors import ErrorClass, Family, Retry, Scope, UpstreamFailure

unhurried = settings(deadline=None)  # the machine may be busy
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TIMING = Timing()
UNDECIDED = {
    VerdictCode.RATE_LIMITED,
    VerdictCode.MISTRAL_UNAVAILABLE,
    VerdictCode.WRONG_WORKSPACE,
}

findings = st.builds(
    Finding,
    code=st.sampled_from(sorted(set(VerdictCode) - {VerdictCode.KEY_MALFORMED})),
    retry_after=st.none() | st.integers(0, 86_400),
)
circumstances = st.builds(
    Circumstances,
    status=st.sampled_from(sorted(set(KeyStatus) - {KeyStatus.REVOKED})),
    secret_at=st.integers(0, 1_000).map(lambda seconds: NOW - timedelta(seconds=seconds)),
    attempts=st.integers(1, 10_000),
    doubts=st.integers(0, 3),
    good_until=st.none() | st.integers(1, 500).map(lambda hours: NOW + timedelta(hours=hours)),
)


def judged(finding, given):
    return judge(finding, given, now=NOW, timing=TIMING)


@unhurried
@given(finding=findings, given=circumstances)
def test_what_says_nothing_about_the_key_changes_at_most_pending_to_unreachable(finding, given):
    result = judged(finding, given)
    if finding.code not in UNDECIDED:
        return
    used_up = given.attempts >= TIMING.retries
    if given.status == KeyStatus.PENDING and used_up:
        assert result.status == KeyStatus.UNREACHABLE
    else:
        assert result.status == given.status


@unhurried
@given(finding=findings, given=circumstances)
def test_mistral_is_never_asked_earlier_than_it_wished(finding, given):
    result = judged(finding, given)
    if finding.code in UNDECIDED and finding.retry_after and given.good_until is None:
        assert result.next_check_at >= NOW + timedelta(seconds=finding.retry_after)


@unhurried
@given(finding=findings, given=circumstances)
def test_every_key_but_an_expired_one_is_looked_at_again(finding, given):
    result = judged(finding, given)
    if finding.code == VerdictCode.EXPIRED_LOCALLY:
        assert result.next_check_at is None
    else:
        assert NOW <= result.next_check_at <= NOW + timedelta(seconds=1.25 * 86_400)


@unhurried
@given(finding=findings, given=circumstances)
def test_a_key_is_pending_only_while_nobody_knows(finding, given):
    result = judged(finding, given)
    if result.status == KeyStatus.PENDING:
        assert finding.code in UNDECIDED | {VerdictCode.KEY_UNKNOWN}
        assert given.status in {KeyStatus.PENDING, KeyStatus.UNREACHABLE}


@unhurried
@given(given=circumstances)
def test_a_refused_key_is_invalid_once_it_is_older_than_the_recheck(given):
    result = judged(Finding(VerdictCode.KEY_UNKNOWN), given)
    fresh = (NOW - given.secret_at).total_seconds() < TIMING.recheck
    if fresh and given.status in {KeyStatus.PENDING, KeyStatus.UNREACHABLE}:
        assert result.status == KeyStatus.PENDING
        assert result.next_check_at == given.secret_at + timedelta(seconds=TIMING.recheck)
    elif given.status == KeyStatus.VALID and given.doubts + 1 < TIMING.refusals:
        assert (result.status, result.doubts) == (KeyStatus.VALID, given.doubts + 1)
    else:
        assert result.status == KeyStatus.INVALID


@unhurried
@given(given=circumstances)
def test_an_accepted_key_is_valid_whatever_it_was(given):
    result = judged(Finding(VerdictCode.OK), given)
    assert (result.status, result.attempts) == (KeyStatus.VALID, 0)
    if given.good_until:
        assert result.next_check_at <= given.good_until


@unhurried
@given(error_class=st.sampled_from(sorted(ErrorClass)))
def test_every_failure_has_a_verdict_and_only_key_and_money_can_take_a_key_down(error_class):
    failure = UpstreamFailure(error_class, Scope.KEY, Retry.NO)
    given = Circumstances(KeyStatus.VALID, NOW - timedelta(days=9), 1, None, doubts=1)
    result = judged(found(failure), given)
    paid = error_class is ErrorClass.BATCH_TOO_BIG_FOR_FREE
    if failure.family in {Family.KEY, Family.BILLING} or paid:
        assert result.status in {KeyStatus.INVALID, KeyStatus.SUSPENDED}
    else:
        assert result.status == KeyStatus.VALID


def test_a_working_key_that_nobody_uses_is_looked_at_less_often():
    def wait(**days: int) -> timedelta:
        used = {name: NOW - timedelta(days=number) for name, number in days.items()}
        given = Circumstances(
            KeyStatus.VALID,
            used["secret_at"],
            1,
            None,
            last_used_at=used.get("last_used_at"),
        )
        result = judged(Finding(VerdictCode.OK), given)
        assert result.next_check_at is not None
        waited: timedelta = result.next_check_at - NOW
        return waited

    assert wait(secret_at=40) >= timedelta(days=3)
    assert wait(secret_at=40, last_used_at=31) >= timedelta(days=3)
    assert wait(secret_at=40, last_used_at=29) < timedelta(days=2)
    assert wait(secret_at=3) < timedelta(days=2), "it may not have had the time to be used"
