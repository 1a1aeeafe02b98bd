"""What the gateway tells the meter about a call, before and after it, and what the meter answers.

Plain facts that nobody changes (not frozen: see `pricing`): no database, no clock, no prompt and no
answer. A call goes

    CallIntent ── Meter.open_calls ──▶ OpenVerdict ── the call itself ──▶ Settlement
                                                                             │
                                 SettledCall ◀── Meter.settle_calls ─────────┘

Every accepted intent must be settled exactly once in the caller's eyes, whatever happened, also
when nothing was sent (``Outcome.NOT_SENT``); to the meter, repeating either step is harmless.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from tenants.common.months import Month
from tenants.spend.pricing import Cost, PriceState, Quantities, WorstCase

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Category(StrEnum):
    """What a bill groups calls by."""

    COMPLETION = "completion"
    EMBEDDINGS = "embeddings"
    MODERATION = "moderation"
    OCR = "ocr"
    AUDIO = "audio"
    CONNECTORS = "connectors"
    FINE_TUNING = "fine_tuning"
    PROBE = "probe"  # one token, asked for to see whether a key's calls are paid
    FREE = "free"  # lists, files, the state of jobs: what Mistral does for nothing


class Source(StrEnum):
    """Who says that a call happened."""

    GATEWAY = "gateway"
    REPORTED = "reported"
    MISTRAL_ADMIN_API = "mistral_admin_api"
    CORRECTION = "correction"


class Outcome(StrEnum):
    """How a call ended."""

    COMPLETED = "completed"
    REFUSED = "refused"  # Mistral answered 4xx
    FAILED = "failed"  # Mistral answered 5xx, broke off, or timed out
    DISCONNECTED = "disconnected"  # the caller went away during the answer
    NOT_SENT = "not_sent"  # nothing reached Mistral
    UNKNOWN = "unknown"  # the process died before it could tell


class Estimate(StrEnum):
    """Why quantities are an estimate; the empty string stands for exact ones."""

    EXACT = ""
    USAGE_MISSING = "usage_missing"
    DISCONNECTED = "disconnected"
    BROKEN_ANSWER = "broken_answer"
    PROCESS_DIED = "process_died"
    NEVER_SETTLED = "never_settled"


#: Estimates that workers post in the place of whoever opened the call.
ABANDONED = frozenset({Estimate.PROCESS_DIED, Estimate.NEVER_SETTLED})


class SubjectKind(StrEnum):
    """What a limit may be set on, and a balance is kept for."""

    ORGANIZATION = "organization"
    WORKSPACE = "workspace"
    MODEL = "model"
    KEY = "key"


class LimitMode(StrEnum):
    """Whether a limit refuses calls, or only counts those that it would refuse."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


class UnpricedPolicy(StrEnum):
    """What happens under a limit to a call whose price is not known."""

    REFUSE = "refuse"
    ALLOW = "allow"  # it is made, flagged as unpriced, and counts as nothing


class RefusalReason(StrEnum):
    """Why a call may not be made."""

    LIMIT = "spending_limit_reached"
    PRICE_UNKNOWN = "price_unknown"
    CURRENCY = "currency_mismatch"
    MALFORMED = "malformed"  # the database cannot store it: the caller's bug


class SettledState(StrEnum):
    """What a settlement did."""

    SETTLED = "settled"
    CORRECTED = "corrected"  # an estimate was there already: the difference was posted
    DUPLICATE = "duplicate"  # the call was settled already: nothing happened
    MALFORMED = "malformed"  # the database cannot store it: the hold becomes an estimate in time


#: What the connectors of a call are posted under, in an event of their own.
CONNECTORS = "/v1/conversations/connectors"
#: Costs the seconds that were heard; its tokens are told, and free.
TRANSCRIPTIONS = "/v1/audio/transcriptions"
#: No one call is believed to have called its connectors more often.
MOST_CONNECTOR_CALLS = 10_000

_CATEGORIES = {
    CONNECTORS: Category.CONNECTORS,
    "/v1/chat/completions": Category.COMPLETION,
    "/v1/fim/completions": Category.COMPLETION,
    "/v1/agents/completions": Category.COMPLETION,
    "/v1/conversations": Category.COMPLETION,
    "/v1/conversations/{id}": Category.COMPLETION,
    "/v1/conversations/{id}/restart": Category.COMPLETION,
    "/v1/responses": Category.COMPLETION,
    "/v1/responses/input_tokens": Category.FREE,
    "/v1/embeddings": Category.EMBEDDINGS,
    "/v1/moderations": Category.MODERATION,
    "/v1/chat/moderations": Category.MODERATION,
    "/v1/classifications": Category.MODERATION,
    "/v1/chat/classifications": Category.MODERATION,
    "/v1/ocr": Category.OCR,
    TRANSCRIPTIONS: Category.AUDIO,
    "/v1/audio/speech": Category.AUDIO,
    "/v1/fine_tuning/jobs": Category.FINE_TUNING,  # reported only: the gateway makes none
}


def category_of(endpoint: str) -> Category:
    """Name the bill's category of an endpoint; what is unknown is a completion."""
    return _CATEGORIES.get(endpoint, Category.COMPLETION)


def is_metered(endpoint: str) -> bool:
    """Tell whether an endpoint has a category of its own."""
    return endpoint in _CATEGORIES


def instant_of(call_id: UUID) -> datetime:
    """Read the instant inside a UUIDv7 (RFC 9562): a call's ``occurred_at`` is in its id."""
    return _EPOCH + timedelta(milliseconds=call_id.int >> 80)


def derived(call_id: UUID, what: str) -> UUID:
    """Make the id of a further event of a call: always the same one, at the same instant."""
    digest = hashlib.sha256(f"{what} of {call_id}".encode()).digest()
    tail = int.from_bytes(digest[:10], "big") & ((1 << 62) - 1 | (0xFFF << 64))
    return UUID(int=(call_id.int >> 80 << 80) | (0x8 << 76) | (0b10 << 62) | tail)


def period_of(call_id: UUID, zone: str) -> date:
    """First day of the budget month that a call started in, in its organization's zone."""
    return Month.of(instant_of(call_id), zone).first_day


@dataclass(slots=True)
class CallIntent:
    """A call about to be made: the durable record that it was going to happen.

    Attributes:
        call_id: UUIDv7 (``common.models.new_id``) made when the call starts; its instant is the
            call's ``occurred_at`` for ever.
        organization_id, workspace_id, key_id, model_id: whose call it is (the registered model;
            None for a call that no model makes).
        endpoint: path, as in ``/v1/chat/completions``.
        requested_model: the Mistral id that is sent upstream.
        period: ``period_of(call_id, organization.timezone)``.
        worst_case: from ``pricing.worst_case``; its currency is the organization's.
        message_id: ``X-Message-Id``, which groups the calls of one AIsuru message; may be empty.
        request_id: ``x-request-id`` where it is not the call id; may be empty.
        allows_unpriced: the workspace lets calls without a known price through, also under a limit.
        category: what a bill groups it by; None: what its endpoint says.
    """

    call_id: UUID
    organization_id: UUID
    workspace_id: UUID
    key_id: UUID
    model_id: UUID | None
    endpoint: str
    requested_model: str
    period: date
    worst_case: WorstCase
    message_id: str = ""
    request_id: str = ""
    allows_unpriced: bool = False
    category: Category | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The limit that stands in the way of a call; amounts are in ``currency``.

    ``limit``, ``spent`` and ``held`` are None when no figure is involved. A limit opens again at
    ``Month.of(now, organization.timezone).ends_at``.
    """

    reason: RefusalReason
    subject_kind: SubjectKind | None = None
    subject_id: UUID | None = None
    limit: Decimal | None = None
    spent: Decimal | None = None
    held: Decimal | None = None
    currency: str = ""


@dataclass(slots=True)
class OpenVerdict:
    """Whether a call may go out; if it may, its hold is in the database."""

    call_id: UUID
    refusal: Refusal | None = None

    @property
    def is_accepted(self) -> bool:
        """Tell whether the call may go out."""
        return self.refusal is None


@dataclass(slots=True)
class Settlement:
    """How a call ended and what it used.

    Attributes:
        intent: the very intent that was opened.
        outcome: how it ended.
        quantities: exact, or an estimate with its reason in ``estimate``; ``requests=0`` when
            nothing reached Mistral.
        cost: from ``pricing.cost``, priced by the snapshot that answered.
        http_status: Mistral's; None when it never answered.
        answered_model: the snapshot that answered; empty when not told.
        duration: from the call's start to its end.
        correlation_id: Mistral's ``mistral-correlation-id``; may be empty.
        excess: what it cost beyond what was held, where several events share a hold; None: beyond
            its own.
    """

    intent: CallIntent
    outcome: Outcome
    quantities: Quantities
    cost: Cost
    http_status: int | None = None
    answered_model: str = ""
    estimate: Estimate = Estimate.EXACT
    duration: timedelta = timedelta()
    correlation_id: str = ""
    excess: Decimal | None = None

    @classmethod
    def nothing(
        cls,
        intent: CallIntent,
        outcome: Outcome = Outcome.NOT_SENT,
        http_status: int | None = None,
        duration: timedelta = timedelta(),
        correlation_id: str = "",
    ) -> "Settlement":
        """Settle a call that used nothing: not sent at all, or refused by Mistral.

        It leaves an event of cost zero, so that the call can be listed and cannot be settled twice.
        """
        sent = 0 if outcome is Outcome.NOT_SENT else 1
        return cls(
            intent,
            outcome,
            Quantities(requests=sent),
            Cost(PriceState.PRICED, Decimal(0), intent.worst_case.cost.currency),
            http_status,
            duration=duration,
            correlation_id=correlation_id,
        )


@dataclass(frozen=True, slots=True)
class SettledCall:
    """What a settlement did; once per call id, however often it is sent."""

    call_id: UUID
    state: SettledState
