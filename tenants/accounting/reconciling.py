"""One reconciliation: get their figures, read ours of the same month, compare, keep the result.

Of the Admin API and of AIsuru a worker asks: claim, work with no transaction open, commit under
the claim.
Nothing is posted here; a person confirms.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from tenants.accounting import books, comparing, consuming, figures
from tenants.accounting.comparing import Line, Reason
from tenants.accounting.figures import Figures
from tenants.accounting.models import (
    AdminKey,
    FigureSource,
    Observed,
    ObservedKind,
    Reconciliation,
    ReconciliationStatus,
)
from tenants.accounting.timing import Timing, timing
from tenants.aisuru.errors import AisuruAwayError, AisuruError, AisuruLoginError
from tenants.common import scope
from tenants.common.money import plain
from tenants.common.months import Month
from tenants.common.secrets import Secret
from tenants.keys.models import MistralKey
from tenants.mistral.admin import AdminClient, AdminHeader
from tenants.mistral.admin_usage import MonthUsage
from tenants.mistral.asking import ClientTimeouts
from tenants.mistral.errors import KeyRefusedError, MistralError
from tenants.organizations import custody, outbox
from tenants.organizations.models import Organization

log = structlog.get_logger(__name__)

_ZERO = Decimal(0)
#: Use elsewhere below this share of a bill is not worth anybody's attention.
_SHARE_TOLD = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison: its lines, both totals, and which ledger it is about."""

    lines: list[Line]
    books: books.Books
    digest: str


def month_of(row: Reconciliation) -> Month:
    """Name the month of a reconciliation, in the zone it was asked for in."""
    return Month(row.period.year, row.period.month, row.timezone)


def compare_given(row: Reconciliation, organization: Organization) -> Compared:
    """Compare with the figures that came along, inside a snapshot scope."""
    rows = [_read(figure) for figure in row.figures]
    theirs = (
        figures.of_typed(rows)
        if row.source == FigureSource.MANUAL
        else figures.of_consumption(rows)
    )
    month = month_of(row)
    return compare(organization, month, theirs, *books.utc_month(month), is_partial=True)


def compare(
    organization: Organization,
    month: Month,
    theirs: Figures,
    starts_at: datetime,
    ends_at: datetime,
    *,
    is_partial: bool = False,
) -> Compared:
    """Compare our month with their figures, inside a snapshot scope.

    Partial figures say nothing of what they do not name: a person types what they see.
    """
    ours = books.read(organization, month, starts_at, ends_at)
    lines = comparing.compare(ours.places, theirs)
    if is_partial:
        lines = [line for line in lines if line.place in theirs]
    return Compared(lines, ours, digest_of(ours))


def digest_of(ours: books.Books) -> str:
    """Name a state of our books, to see whether it is still the same."""
    rows = sorted(
        (place.category, place.mistral_model, str(place.workspace_id), plain(one.amount))
        for place, one in ours.places.items()
    )
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def fill(row: Reconciliation, compared: Compared) -> None:
    """Write a comparison into its row; saving it is the caller's."""
    row.lines = [_as_json(number, line) for number, line in enumerate(compared.lines)]
    row.totals = _totals(compared)
    row.books_digest = compared.digest
    row.compared_at = timezone.now()
    row.status, row.failure, row.due_at = ReconciliationStatus.OPEN, "", None


def carry(organization_id: UUID, row_id: UUID) -> None:
    """Ask for a pending reconciliation's figures and compare, unless somebody else does."""
    times = timing()
    claim = uuid4()
    with scope.tenant(organization_id):
        free = Q(claim=None) | Q(held_until__lte=Now())
        won = Reconciliation.objects.filter(free, pk=row_id, due_at__lte=Now()).update(
            claim=claim, held_until=Now() + timedelta(seconds=times.claim)
        )
        if not won:
            return
        row = Reconciliation.objects.select_related("organization").get(pk=row_id)
    if row.source == FigureSource.AISURU:
        _carry_aisuru(row, claim, times)
    else:
        _carry_mistral(row, claim, times)


def _carry_aisuru(row: Reconciliation, claim: UUID, times: Timing) -> None:
    with scope.tenant(row.organization_id):
        try:
            question = consuming.prepare(row.organization)
        except consuming.UnaskableError as refusal:
            _fail(row, claim, refusal.code)
            return
    try:
        found = consuming.ask(question, month_of(row).first_day, times.read)
    except AisuruError as error:
        log.info("reconciliation_answer", row_id=str(row.pk), failure=str(error))
        with scope.tenant(row.organization_id):
            if isinstance(error, AisuruAwayError) and row.attempts + 1 < times.retries:
                _again(row, claim, "aisuru_away", error.retry_after or 0, times)
            elif isinstance(error, AisuruAwayError):
                _fail(row, claim, "aisuru_away")
            else:
                is_login = isinstance(error, AisuruLoginError)
                _fail(row, claim, "aisuru_login_refused" if is_login else "aisuru_refused")
        return
    with scope.tenant(row.organization_id, snapshot=True):
        row.figures, skipped = consuming.figures_of(found)
        compared = compare_given(row, row.organization)
    with scope.tenant(row.organization_id):
        fill(row, compared)
        _write(row, claim, compared, skipped)


def _carry_mistral(row: Reconciliation, claim: UUID, times: Timing) -> None:
    with scope.tenant(row.organization_id):
        key = AdminKey.objects.first()
        if key is None:
            _fail(row, claim, "admin_key_missing")
            return
        try:
            plain_key = custody.borrow(key, custody.Slot.ADMIN_KEY)
        except custody.UndecryptableError:
            _fail(row, claim, "admin_key_undecryptable")
            return
        workspaces = Observed.objects.filter(kind=ObservedKind.WORKSPACE, missing_since=None)
        tied = {one.external_id: one.ours for one in workspaces if one.ours is not None}
    try:
        whole, parts = _ask(key, plain_key, month_of(row), tied, times)
    except MistralError as error:
        _later(row, claim, error, times)
        return
    _commit(row, claim, whole, parts)


def _ask(
    key: AdminKey, plain_key: Secret[str], month: Month, tied: Mapping[str, UUID], times: Timing
) -> tuple[MonthUsage, dict[UUID, MonthUsage]]:
    header = AdminHeader(key.header) if key.header else None
    timeouts = ClientTimeouts(connect=times.connect, read=times.read, total=times.answer)
    parts: dict[UUID, MonthUsage] = {}
    with AdminClient(
        settings.MISTRAL_API_URL, plain_key, header=header, timeouts=timeouts
    ) as client:
        for external_id, ours in tied.items():
            parts[ours] = client.usage(month.first_day, external_id)
            time.sleep(times.pause)
        # Last, so that it has at least what its parts have.
        whole = client.usage(month.first_day)
    return whole, parts


def _commit(
    row: Reconciliation, claim: UUID, whole: MonthUsage, parts: Mapping[UUID, MonthUsage]
) -> None:
    month = month_of(row)
    theirs: Figures = {}
    for workspace_id, usage in parts.items():
        theirs |= figures.of_usage(usage, workspace_id)
    theirs |= figures.without(figures.of_usage(whole, None), theirs)
    starts_at, ends_at = books.utc_month(month)
    with scope.tenant(row.organization_id, snapshot=True):
        organization = Organization.objects.get(pk=row.organization_id)
        compared = compare(organization, month, theirs, starts_at, ends_at)
    with scope.tenant(row.organization_id):
        if whole.currency and whole.currency != row.currency:
            _fail(row, claim, "currency_differs")
            return
        fill(row, compared)
        _write(row, claim, compared, whole.skipped)


def _write(row: Reconciliation, claim: UUID, compared: Compared, skipped: int) -> None:
    """Write a comparison under the claim, and tell what it found, inside the scope."""
    won = Reconciliation.objects.filter(pk=row.pk, claim=claim).update(
        figures=row.figures,
        lines=row.lines,
        totals=row.totals | {"skipped": skipped},
        books_digest=row.books_digest,
        compared_at=row.compared_at,
        status=row.status,
        failure="",
        due_at=None,
        claim=None,
        held_until=None,
    )
    if won:
        tell_use_elsewhere(row, compared)


def tell_use_elsewhere(row: Reconciliation, compared: Compared) -> None:
    """Announce, once a month and workspace, that keys are used outside of the gateway."""
    used: dict[UUID | None, Decimal] = {}
    billed: dict[UUID | None, Decimal] = {}
    for line in compared.lines:
        at = line.place.workspace_id
        used[at] = used.get(at, _ZERO) + line.reasons.get(Reason.UNMETERED_USE, _ZERO)
        billed[at] = billed.get(at, _ZERO) + (line.theirs.amount or _ZERO)
    for workspace_id, amount in used.items():
        if amount <= 0 or amount < billed[workspace_id] * _SHARE_TOLD:
            continue
        keys = MistralKey.objects.filter(revoked_at=None)
        if workspace_id is not None:
            keys = keys.filter(workspace_id=workspace_id)
        outbox.announce(
            organization_id=row.organization_id,
            kind="key.used_elsewhere",
            workspace_id=workspace_id,
            data={
                "month": str(month_of(row)),
                "amount": plain(amount),
                "currency": row.currency,
                "reconciliation_id": str(row.pk),
                "key_ids": [
                    str(pk) for pk in keys.order_by("id").values_list("pk", flat=True)[:20]
                ],
            },
            once=f"key.used_elsewhere:{month_of(row)}:{workspace_id or 'organization'}",
        )


def _later(row: Reconciliation, claim: UUID, error: MistralError, times: Timing) -> None:
    failure = error.failure
    log.info("reconciliation_answer", row_id=str(row.pk), failure=str(failure))
    with scope.tenant(row.organization_id):
        if isinstance(error, KeyRefusedError):
            _fail(row, claim, "admin_key_refused")
        elif not failure.retryable or row.attempts + 1 >= times.retries:
            _fail(row, claim, failure.error_class.value)
        else:
            wait = failure.retry_after_seconds or 0
            _again(row, claim, failure.error_class.value, wait, times)


def _again(row: Reconciliation, claim: UUID, failure: str, wait: float, times: Timing) -> None:
    """Let it be tried again later and later, at least as late as the other side asks."""
    wait = max(times.retry * 2**row.attempts, wait)
    Reconciliation.objects.filter(pk=row.pk, claim=claim).update(
        attempts=row.attempts + 1,
        failure=failure,
        due_at=Now() + timedelta(seconds=min(wait, times.longest)),
        claim=None,
        held_until=None,
    )


def _fail(row: Reconciliation, claim: UUID, failure: str) -> None:
    Reconciliation.objects.filter(pk=row.pk, claim=claim).update(
        status=ReconciliationStatus.FAILED,
        failure=failure,
        due_at=None,
        claim=None,
        held_until=None,
    )


def _read(figure: Mapping[str, Any]) -> dict[str, Any]:
    """Read a figure back as it was checked when it came in."""
    found = dict(figure)
    if found.get("amount") is not None:
        found["amount"] = Decimal(found["amount"])
    if found.get("workspace_id"):
        found["workspace_id"] = UUID(found["workspace_id"])
    return found


def _as_json(number: int, line: Line) -> dict[str, Any]:
    ours, theirs = line.ours, line.theirs
    return {
        "line": number,
        "category": line.place.category,
        "mistral_model": line.place.mistral_model,
        "workspace_id": str(line.place.workspace_id) if line.place.workspace_id else None,
        "ours": plain(ours.amount),
        "theirs": None if theirs.amount is None else plain(theirs.amount),
        "difference": None if line.difference is None else plain(line.difference),
        "estimated": plain(ours.estimated),
        "unpriced": ours.unpriced + theirs.unpriced,
        "quantities": {
            meter.value: {
                "ours": str(ours.meters.get(meter, 0)),
                "theirs": format(theirs.meters[meter].quantity, "f")
                if meter in theirs.meters
                else None,
            }
            for meter in sorted({*ours.meters, *theirs.meters})
        },
        "reasons": [
            {"code": reason.value, "amount": plain(amount)}
            for reason, amount in sorted(line.reasons.items(), key=lambda one: -abs(one[1]))
        ],
    }


def _totals(compared: Compared) -> dict[str, Any]:
    told = [line for line in compared.lines if line.difference is not None]
    reasons: dict[Reason, Decimal] = {}
    for line in told:
        for reason, amount in line.reasons.items():
            reasons[reason] = reasons.get(reason, _ZERO) + amount
    return {
        "our_month": plain(compared.books.total),
        "timezone_edge": plain(compared.books.edge),
        "ours": plain(sum((line.ours.amount for line in told), _ZERO)),
        "theirs": plain(sum((line.theirs.amount or _ZERO for line in told), _ZERO)),
        "difference": plain(sum((line.difference or _ZERO for line in told), _ZERO)),
        "reasons": {reason.value: plain(amount) for reason, amount in sorted(reasons.items())},
    }
