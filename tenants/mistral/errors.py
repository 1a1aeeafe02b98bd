"""What can go wrong between us and Mistral, told without a word of Mistral's own text.

Every error carries an `UpstreamFailure`: codes, a scope and whether to try again, never a message
or a body, because Mistral's text may quote the key. Quota (the caller's limit), capacity (Mistral's
limit) and outage (nobody's) are kept apart: they ask for different waiting and other words.

    MistralError
    ├── KeyRefusedError        the key is missing, wrong, revoked, expired, or of the wrong kind
    ├── BillingError           the key is known; the organization's plan or money stands in the way
    ├── ModelRefusedError      this model: unknown, retired, or not in the plan
    ├── RequestRefusedError    this request: malformed, too large, forbidden
    ├── WrongAddressError      no such path: our base URL is wrong
    ├── QuotaError             the caller's rate or monthly quota is used up
    ├── CapacityError          Mistral's servers are full; the quota is untouched
    └── OutageError            5xx, or no usable answer at all
        ├── NeverReachedError  not connected, or not sent whole: it cannot have been processed
        ├── AnswerLostError    sent, and then silence: it may have been processed, and billed
        └── WireError          answered, in a shape that nobody promised
"""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any


@unique
class ErrorClass(StrEnum):
    """Every kind of failure that a caller may have to tell apart."""

    KEY_INVALID = "key_invalid"
    ADMIN_KEY_REQUIRED = "admin_key_required"
    BILLING_INACTIVE = "billing_inactive"
    SUBSCRIPTION_REQUIRED = "subscription_required"
    INCLUDED_USAGE_EXHAUSTED = "included_usage_exhausted"
    SPENDING_LIMIT_REACHED = "spending_limit_reached"
    BATCH_TOO_BIG_FOR_FREE = "batch_too_big_for_free"
    MODEL_TIER_DENIED = "model_tier_denied"
    LABS_NOT_ENABLED = "labs_not_enabled"
    MODEL_UNKNOWN = "model_unknown"
    MODEL_RETIRED = "model_retired"
    FORBIDDEN_OTHER = "forbidden_other"
    BAD_REQUEST = "bad_request"
    VALIDATION = "validation"
    NOT_FOUND = "not_found"
    NO_ROUTE = "no_route"
    RATE_LIMITED = "rate_limited"
    CONNECTOR_RATE_LIMITED = "connector_rate_limited"
    CAPACITY = "capacity"
    SERVER_ERROR = "server_error"
    UNREADABLE_ANSWER = "unreadable_answer"


@unique
class Family(StrEnum):
    """What the failure is about, and so who can do something."""

    KEY = "key"
    BILLING = "billing"
    MODEL = "model"
    REQUEST = "request"
    ADDRESS = "address"
    QUOTA = "quota"
    CAPACITY = "capacity"
    OUTAGE = "outage"


_FAMILIES = {
    ErrorClass.KEY_INVALID: Family.KEY,
    ErrorClass.ADMIN_KEY_REQUIRED: Family.KEY,
    ErrorClass.BILLING_INACTIVE: Family.BILLING,
    ErrorClass.SUBSCRIPTION_REQUIRED: Family.BILLING,
    ErrorClass.INCLUDED_USAGE_EXHAUSTED: Family.BILLING,
    ErrorClass.SPENDING_LIMIT_REACHED: Family.BILLING,
    ErrorClass.BATCH_TOO_BIG_FOR_FREE: Family.REQUEST,
    ErrorClass.MODEL_TIER_DENIED: Family.MODEL,
    ErrorClass.LABS_NOT_ENABLED: Family.MODEL,
    ErrorClass.MODEL_UNKNOWN: Family.MODEL,
    ErrorClass.MODEL_RETIRED: Family.MODEL,
    ErrorClass.FORBIDDEN_OTHER: Family.REQUEST,
    ErrorClass.BAD_REQUEST: Family.REQUEST,
    ErrorClass.VALIDATION: Family.REQUEST,
    ErrorClass.NOT_FOUND: Family.REQUEST,
    ErrorClass.NO_ROUTE: Family.ADDRESS,
    ErrorClass.RATE_LIMITED: Family.QUOTA,
    ErrorClass.CONNECTOR_RATE_LIMITED: Family.QUOTA,
    ErrorClass.CAPACITY: Family.CAPACITY,
    ErrorClass.SERVER_ERROR: Family.OUTAGE,
    ErrorClass.UNREADABLE_ANSWER: Family.OUTAGE,
}


@unique
class Scope(StrEnum):
    """How far the failure reaches: what else would fail in the same way."""

    KEY = "key"
    WORKSPACE = "workspace"
    ORGANIZATION = "organization"
    MODEL = "model"
    REQUEST = "request"
    SERVER = "server"
    CLIENT = "client"


@unique
class Retry(StrEnum):
    """When the same request may succeed."""

    NO = "no"
    AFTER_RESET = "after_reset"
    BACKOFF = "backoff"


@unique
class Quota(StrEnum):
    """Which quota a 429 of the quota family ran into, by its rate-limit headers."""

    WINDOW = "window"
    MONTH = "month"
    NOT_IN_PLAN = "not_in_plan"


@unique
class Reach(StrEnum):
    """Whether Mistral can have processed, and billed, the request."""

    NEVER = "never"
    POSSIBLE = "possible"
    ANSWERED = "answered"


@unique
class Confidence(StrEnum):
    """How well it is established that an answer means what we say it means."""

    HIGH = "high"  # recorded traffic, or Mistral's own words
    MEDIUM = "medium"  # others have published it
    LOW = "low"  # documented without a body, or concluded


@dataclass(frozen=True, slots=True)
class UpstreamFailure:
    """What an upstream failure means; safe to store, log and show.

    `http_status` is None when no answer came. `mistral_code` and `mistral_type` are kept only when
    they look like identifiers. `retry_after_seconds` is what Mistral asked for, at most a day.
    """

    error_class: ErrorClass
    scope: Scope
    retry: Retry
    reach: Reach = Reach.ANSWERED
    http_status: int | None = None
    mistral_code: str | None = None
    mistral_type: str | None = None
    correlation_id: str | None = None
    retry_after_seconds: int | None = None
    quota: Quota | None = None
    confidence: Confidence = Confidence.HIGH

    @property
    def family(self) -> Family:
        """Quota, capacity, outage, or whose matter it is."""
        return _FAMILIES[self.error_class]

    @property
    def retryable(self) -> bool:
        """Whether trying again after a back-off makes sense without anybody's help."""
        return self.retry is Retry.BACKOFF

    def __str__(self) -> str:
        known = {
            "HTTP": self.http_status,
            "code": self.mistral_code,
            "type": self.mistral_type,
            "correlation id": self.correlation_id,
        }
        facts = ", ".join(f"{name} {value}" for name, value in known.items() if value is not None)
        return f"{self.error_class} ({facts or f'reached: {self.reach}'})"


class MistralError(Exception):
    """Something went wrong between us and Mistral; `failure` says what."""

    def __init__(self, failure: UpstreamFailure) -> None:
        super().__init__(failure)
        self.failure = failure

    def __str__(self) -> str:
        return str(self.failure)


class KeyRefusedError(MistralError):
    """Mistral does not accept the key, or not for this."""


class BillingError(MistralError):
    """The key is known; plan, payment or spending limit stands in the way."""


class ModelRefusedError(MistralError):
    """The model is unknown, retired or not in the plan; the key is fine."""


class RequestRefusedError(MistralError):
    """This request cannot be served as it is; the key is fine."""


class WrongAddressError(MistralError):
    """The path does not exist there: the base URL is wrong."""


class QuotaError(MistralError):
    """The caller's rate limit or monthly quota is used up."""


class CapacityError(MistralError):
    """Mistral's servers are full; the caller's quota is not the reason."""


class OutageError(MistralError):
    """Mistral failed, or gave no usable answer."""


class NeverReachedError(OutageError):
    """No connection, or one that ended before all was sent: it cannot have been processed."""


class AnswerLostError(OutageError):
    """The request was sent, its answer did not come whole: it may have been processed."""


#: Why an answer of success is no answer.
UNREADABLE = UpstreamFailure(ErrorClass.UNREADABLE_ANSWER, Scope.SERVER, Retry.BACKOFF)


class WireError(OutageError):
    """JSON of an unexpected shape; `where` and `expected` locate it, the body is never quoted."""

    def __init__(self, where: str, expected: str, failure: UpstreamFailure = UNREADABLE) -> None:
        super().__init__(failure)
        self.where = where
        self.expected = expected

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.expected, self.failure)

    def __str__(self) -> str:
        return f"{self.failure}: {self.where} should be {self.expected}"


#: Why a request with a key that no header can carry is not even sent.
UNSENDABLE_KEY = UpstreamFailure(ErrorClass.KEY_INVALID, Scope.KEY, Retry.NO, Reach.NEVER)

_ERRORS: dict[Family, type[MistralError]] = {
    Family.KEY: KeyRefusedError,
    Family.BILLING: BillingError,
    Family.MODEL: ModelRefusedError,
    Family.REQUEST: RequestRefusedError,
    Family.ADDRESS: WrongAddressError,
    Family.QUOTA: QuotaError,
    Family.CAPACITY: CapacityError,
    Family.OUTAGE: OutageError,
}


def error_of(failure: UpstreamFailure) -> MistralError:
    """Build the exception that a failure is raised as."""
    return _ERRORS[failure.family](failure)


def never_reached() -> NeverReachedError:
    """Build the error of a request that found no connection."""
    return NeverReachedError(
        UpstreamFailure(ErrorClass.SERVER_ERROR, Scope.SERVER, Retry.BACKOFF, Reach.NEVER)
    )


def cut_short() -> NeverReachedError:
    """Build the error of a request that did not go out whole; it tells nothing of Mistral's state.

    Whoever gave its pieces may have been the reason, and without its end nobody can answer it.
    """
    return NeverReachedError(
        UpstreamFailure(ErrorClass.SERVER_ERROR, Scope.REQUEST, Retry.BACKOFF, Reach.NEVER)
    )


def answer_lost(
    http_status: int | None = None, correlation_id: str | None = None
) -> AnswerLostError:
    """Build the error of a request that was sent and whose answer did not come whole.

    Args:
        http_status: the status, if the head of the answer did come.
        correlation_id: Mistral's id of the answer, if known.
    """
    return AnswerLostError(
        UpstreamFailure(
            ErrorClass.SERVER_ERROR,
            Scope.SERVER,
            Retry.BACKOFF,
            Reach.POSSIBLE,
            http_status=http_status,
            correlation_id=correlation_id,
        )
    )
