"""From what a check found to what a key is now, and when to look again; pure rules, no I/O.

=====================================  ============================================================
found                                  the key becomes
=====================================  ============================================================
200                                    ``valid``
401, unknown key                       ``invalid``; a fresh one stays as it is until one re-check
401/403 inactive billing, 402          ``suspended``
either, about a key that works         what it was, once; believed when said twice in a row
429, 5xx, time-out, broken body,       what it was; ``pending`` becomes ``unreachable`` once the
any other refusal                      retries are used up
200, of another workspace than the     ``suspended``
one that is declared here
its own date is over                   ``expired``, without a call
its box does not open                  ``undecryptable``, without a call
=====================================  ============================================================

A refusal nobody has described (a 403 about the list itself, a 404) never takes a working key down:
a wrong address or a firewall in front of Mistral answers so for every key at once.

A key of another Mistral workspace is accepted there, and spends another cost centre's money: it is
stopped like one whose money is not in order, and comes back when the declaration or the secret
changes. docs/validation.md has the whole table.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tenants.keys.models import KeyStatus, VerdictCode
from tenants.keys.timing import Timing, spread
from tenants.mistral.errors import Confidence, ErrorClass, Reach, UpstreamFailure
from tenants.mistral.wire import Identity, ModelRow

_CODES = {
    ErrorClass.KEY_INVALID: VerdictCode.KEY_UNKNOWN,
    ErrorClass.ADMIN_KEY_REQUIRED: VerdictCode.KEY_UNKNOWN,
    ErrorClass.BILLING_INACTIVE: VerdictCode.BILLING_INACTIVE,
    ErrorClass.SUBSCRIPTION_REQUIRED: VerdictCode.SUBSCRIPTION_REQUIRED,
    ErrorClass.BATCH_TOO_BIG_FOR_FREE: VerdictCode.SUBSCRIPTION_REQUIRED,
    ErrorClass.INCLUDED_USAGE_EXHAUSTED: VerdictCode.SPENDING_LIMIT_REACHED,
    ErrorClass.SPENDING_LIMIT_REACHED: VerdictCode.SPENDING_LIMIT_REACHED,
    ErrorClass.RATE_LIMITED: VerdictCode.RATE_LIMITED,
    ErrorClass.CONNECTOR_RATE_LIMITED: VerdictCode.RATE_LIMITED,
    ErrorClass.FORBIDDEN_OTHER: VerdictCode.WRONG_WORKSPACE,
}
#: Causes of our own; all others are the class of Mistral's answer.
ACCEPTED = "accepted"
ANOTHER_WORKSPACE = "another_workspace"
NOT_REACHED = "not_reached"
ANSWER_LOST = "answer_lost"
OWN_DATE = "own_date"
WORKSPACE_LIMIT = "workspace_spending_limit_reached"
BOX_CLOSED = "box_closed"

#: Mistral's code of a 402 about the spending limit of a workspace, not of its organization.
_WORKSPACE_LIMIT_CODE = "2301"

_STATUSES = {
    VerdictCode.OK: KeyStatus.VALID,
    VerdictCode.KEY_UNKNOWN: KeyStatus.INVALID,
    VerdictCode.BILLING_INACTIVE: KeyStatus.SUSPENDED,
    VerdictCode.SUBSCRIPTION_REQUIRED: KeyStatus.SUSPENDED,
    VerdictCode.SPENDING_LIMIT_REACHED: KeyStatus.SUSPENDED,
    VerdictCode.EXPIRED_LOCALLY: KeyStatus.EXPIRED,
    VerdictCode.UNDECRYPTABLE: KeyStatus.UNDECRYPTABLE,
}
_NEVER_JUDGED = (KeyStatus.PENDING, KeyStatus.UNREACHABLE)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        http_status: of Mistral's answer, if there was one; like the next two, it is evidence.
        retry_after: seconds that Mistral asked to wait.
        models: what the key sees; None unless it was accepted.
        identity: whom the key belongs to; None when Mistral did not tell.
        cause: what exactly was found, finer than the code.
        confidence: how well it is established that the answer means this.
    """

    code: VerdictCode
    cause: str = ACCEPTED
    confidence: Confidence = Confidence.HIGH
    http_status: int | None = None
    mistral_code: str | None = None
    correlation_id: str | None = None
    retry_after: int | None = None
    models: tuple[ModelRow, ...] | None = None
    identity: Identity | None = None

    @property
    def evidence(self) -> dict[str, int | str | None]:
        """What Mistral answered and what we made of it, as it is kept."""
        return {
            "cause": self.cause,
            "confidence": self.confidence,
            "http_status": self.http_status,
            "mistral_code": self.mistral_code,
            "correlation_id": self.correlation_id,
        }


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What else a judgement depends on.

    Attributes:
        status: of the key, until now.
        secret_at: when its present secret came in.
        attempts: checks since the last one that told anything, this one included.
        good_until: when the key's own date is over.
        doubts: refusals in a row that were not believed yet.
        last_used_at: when it last served a call, as far as that is known.
    """

    status: str
    secret_at: datetime
    attempts: int
    good_until: datetime | None
    doubts: int = 0
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the key is now, and when to look again; None: never by itself."""

    status: str
    attempts: int
    next_check_at: datetime | None
    doubts: int = 0


def found(failure: UpstreamFailure) -> Finding:
    """Translate a failure of Mistral's into a finding."""
    return Finding(
        code=_CODES.get(failure.error_class, VerdictCode.MISTRAL_UNAVAILABLE),
        cause=_cause(failure),
        confidence=failure.confidence,
        http_status=failure.http_status,
        mistral_code=failure.mistral_code,
        correlation_id=failure.correlation_id,
        retry_after=failure.retry_after_seconds,
    )


def _cause(failure: UpstreamFailure) -> str:
    """Name what happened; where no answer came, how far the question got."""
    is_limit = failure.error_class is ErrorClass.SPENDING_LIMIT_REACHED
    if is_limit and failure.mistral_code == _WORKSPACE_LIMIT_CODE:
        return WORKSPACE_LIMIT
    if failure.error_class is not ErrorClass.SERVER_ERROR:
        return failure.error_class.value
    lost = {Reach.NEVER: NOT_REACHED, Reach.POSSIBLE: ANSWER_LOST}
    return lost.get(failure.reach, failure.error_class.value)


def judge(finding: Finding, given: Circumstances, *, now: datetime, timing: Timing) -> Judgement:
    """Apply the rules of this module."""
    status = _STATUSES.get(finding.code)
    if finding.cause == ANOTHER_WORKSPACE:
        status = KeyStatus.SUSPENDED
    if status is None:
        return _undecided(finding, given, now=now, timing=timing)
    if status is KeyStatus.EXPIRED:
        return Judgement(status, 0, None)
    believed_at = given.secret_at + timedelta(seconds=timing.recheck)
    if status is KeyStatus.INVALID and given.status in _NEVER_JUDGED and now < believed_at:
        return Judgement(KeyStatus.PENDING, 0, believed_at)
    if finding.cause != ANOTHER_WORKSPACE and _is_doubtful(status, given, timing):
        asked_again = _after(timing.doubt, given, now)
        return Judgement(given.status, 0, asked_again, given.doubts + 1)
    waits = {
        KeyStatus.VALID: _until_next(given, now, timing),
        KeyStatus.SUSPENDED: timing.suspended,
        KeyStatus.INVALID: timing.invalid,
        KeyStatus.UNDECRYPTABLE: timing.inconclusive,
    }
    return Judgement(status, 0, _after(waits[status], given, now))


def _is_doubtful(status: KeyStatus, given: Circumstances, timing: Timing) -> bool:
    refused = status in {KeyStatus.INVALID, KeyStatus.SUSPENDED}
    return refused and given.status == KeyStatus.VALID and given.doubts + 1 < timing.refusals


def _until_next(given: Circumstances, now: datetime, timing: Timing) -> float:
    """Choose how long a working key is left alone: new and expiring ones are looked at more."""
    used = max(given.secret_at, given.last_used_at or given.secret_at)
    wait = timing.idle if now - used > timedelta(seconds=timing.unused) else timing.valid
    if now - given.secret_at < timedelta(seconds=timing.youth):
        wait = min(wait, timing.young)
    if given.good_until and given.good_until - now < timedelta(seconds=timing.expiry):
        wait = min(wait, timing.expiring)
    return wait


def _undecided(
    finding: Finding, given: Circumstances, *, now: datetime, timing: Timing
) -> Judgement:
    asked = finding.retry_after or 0
    if given.attempts < timing.retries:
        wait = max(timing.retry * 2 ** (given.attempts - 1), asked)
        return Judgement(given.status, given.attempts, _after(wait, given, now), given.doubts)
    status = KeyStatus.UNREACHABLE if given.status == KeyStatus.PENDING else given.status
    wait = max(timing.inconclusive, asked)
    return Judgement(status, timing.retries, _after(wait, given, now), given.doubts)


def _after(seconds: float, given: Circumstances, now: datetime) -> datetime:
    """Wait, but look again when the key's own date is over."""
    at = now + timedelta(seconds=spread(seconds))
    return at if given.good_until is None else min(at, max(given.good_until, now))
