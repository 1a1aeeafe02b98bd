"""One run of the sync: claim it, ask the Admin API with no transaction open, write each answer.

A run may be carried by several workers, one after another, or die half-way: every answer is written
together with what comes next, under the claim; whoever lost the claim writes nothing. Questions are
spaced, and a run that takes long gives way to others. It only ever reads at Mistral. What it
changes here, and only when it is not dry, is in ``applying``; nothing here is ever deleted by it.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from tenants.accounting import applying, differences, observing, proposing
from tenants.accounting.models import AdminKey, AdminKeyStatus, SyncRun, SyncStatus
from tenants.accounting.timing import Timing, timing
from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.mistral.admin import MOST_PAGES, PAGE, AdminClient, AdminHeader
from tenants.mistral.asking import ClientTimeouts
from tenants.mistral.errors import Family, KeyRefusedError, MistralError
from tenants.organizations import custody
from tenants.organizations.models import Organization

log = structlog.get_logger(__name__)

#: Refusals of one question, not of the key or the run: the step is left out, and said to be.
_OF_THE_QUESTION = frozenset({Family.REQUEST, Family.MODEL, Family.ADDRESS})


@dataclass(slots=True)
class _Claimed:
    """A run that this worker may carry for a while."""

    claim: UUID
    run: SyncRun
    key: AdminKey
    plain: Secret[str]


def carry(organization_id: UUID, run_id: UUID) -> bool:
    """Carry a run on, if it is due and nobody else has it; True when it has to be enqueued again.

    Raises:
        django.db.OperationalError: the database went away; the claim lapses by itself.
    """
    times = timing()
    claimed = _claim(organization_id, run_id, times)
    if claimed is None:
        return False
    until = time.monotonic() + times.stretch
    timeouts = ClientTimeouts(connect=times.connect, read=times.read, total=times.answer)
    header = AdminHeader(claimed.key.header) if claimed.key.header else None
    with AdminClient(
        settings.MISTRAL_API_URL, claimed.plain, header=header, timeouts=timeouts
    ) as client:
        while claimed.run.step:
            try:
                told = observing.ask(client, claimed.run.step, claimed.run.page)
            except MistralError as error:
                if not _fail(claimed, error, times):
                    return False
            else:
                if not _record(claimed, told, client):
                    return False
            if time.monotonic() > until:
                return _give_way(claimed)
            time.sleep(times.pause)
    _finish(claimed)
    return False


def months_to_ask(today: date) -> tuple[date, ...]:
    """Choose this month and the last: bills of the last are still being settled."""
    this = today.replace(day=1)
    return (this - timedelta(days=1)).replace(day=1), this


def first_steps() -> list[str]:
    """List the steps of a new run that are known from the start; Mistral's month is in UTC."""
    return observing.steps(months_to_ask(timezone.now().astimezone(UTC).date()))


def _claim(organization_id: UUID, run_id: UUID, times: Timing) -> _Claimed | None:
    claim = uuid4()
    with scope.tenant(organization_id):
        free = Q(claim=None) | Q(held_until__lte=Now())
        won = SyncRun.objects.filter(free, pk=run_id, due_at__lte=Now()).update(
            claim=claim,
            held_until=Now() + timedelta(seconds=times.claim),
            status=SyncStatus.RUNNING,
        )
        if not won:
            return None
        run = SyncRun.objects.get(pk=run_id)
        if run.started_at is None:
            run.started_at = timezone.now()
            run.step = first_steps()[0]
            run.save(update_fields=["started_at", "step"])
        key = AdminKey.objects.first()
        if key is None:
            _over(run, claim, SyncStatus.FAILED, "admin_key_missing")
            return None
        try:
            return _Claimed(claim, run, key, custody.borrow(key, custody.Slot.ADMIN_KEY))
        except custody.UndecryptableError:
            AdminKey.objects.filter(pk=key.pk).update(status=AdminKeyStatus.UNDECRYPTABLE)
            _over(run, claim, SyncStatus.FAILED, "admin_key_undecryptable")
            return None


def _record(claimed: _Claimed, told: observing.Told, client: AdminClient) -> bool:
    """Write an answer and what comes next; False if somebody else has the run now."""
    run = claimed.run
    step, page = run.step, run.page
    with scope.tenant(run.organization_id):
        counts = dict(run.counts.get(step, {"seen": 0, "sent": 0, "skipped": 0}))
        counts["seen"] += len(told.facts)
        counts["sent"] += told.sent
        counts["skipped"] += told.skipped
        is_over = not told.is_paged or _is_last(told, counts["sent"], page)
        if is_over:
            following = _following(run, step)
        run.counts = {**run.counts, step: counts}
        run.step, run.page = (following, 1) if is_over else (step, page + 1)
        if not _advance(claimed):
            return False
        observing.write(run, step, told)
        if is_over:
            counts["missing"] = observing.mark_missing(run, step)
            SyncRun.objects.filter(pk=run.pk).update(counts=run.counts)
        _accepted(claimed, client)
    return True


def _is_last(told: observing.Told, sent: int, page: int) -> bool:
    if not told.sent or page >= MOST_PAGES:
        return True
    return sent >= told.total if told.total is not None else told.sent < PAGE


def _following(run: SyncRun, step: str) -> str:
    """Find the step after one; empty after the last."""
    started = (run.started_at or timezone.now()).astimezone(UTC).date()
    months = months_to_ask(started)
    order: Iterable[str] = [*observing.steps(months), *observing.usage_steps(months)]
    remaining = iter(order)
    for one in remaining:
        if one == step:
            return next(remaining, "")
    return ""


def _advance(claimed: _Claimed) -> bool:
    run = claimed.run
    won = SyncRun.objects.filter(pk=run.pk, claim=claimed.claim).update(
        step=run.step,
        page=run.page,
        counts=run.counts,
        omitted=run.omitted,
        attempts=0,
        held_until=Now() + timedelta(seconds=timing().claim),
    )
    if not won:
        log.info("claim_lost", run_id=str(run.pk))
    return bool(won)


def _accepted(claimed: _Claimed, client: AdminClient) -> None:
    key = claimed.key
    if key.status == AdminKeyStatus.VALID and key.header == (client.header or ""):
        return
    key.status, key.header = AdminKeyStatus.VALID, client.header or ""
    AdminKey.objects.filter(pk=key.pk, secret_version=key.secret_version).update(
        status=key.status, header=key.header, checked_at=Now()
    )


def _fail(claimed: _Claimed, error: MistralError, times: Timing) -> bool:
    """Decide what an error means for the run; True when it goes on with the next step."""
    run, failure = claimed.run, error.failure
    log.info("sync_answer", run_id=str(run.pk), step=run.step, failure=str(failure))
    with scope.tenant(run.organization_id):
        if isinstance(error, KeyRefusedError):
            AdminKey.objects.filter(
                pk=claimed.key.pk, secret_version=claimed.key.secret_version
            ).update(status=AdminKeyStatus.REFUSED, checked_at=Now())
            _over(run, claimed.claim, SyncStatus.FAILED, "admin_key_refused")
            return False
        if failure.family in _OF_THE_QUESTION:
            run.omitted = {**run.omitted, run.step: failure.error_class.value}
            run.step, run.page = _following(run, run.step), 1
            return _advance(claimed)
        if run.attempts + 1 >= times.retries or not failure.retryable:
            _over(run, claimed.claim, SyncStatus.FAILED, failure.error_class.value)
            return False
        wait = max(times.retry * 2**run.attempts, failure.retry_after_seconds or 0)
        SyncRun.objects.filter(pk=run.pk, claim=claimed.claim).update(
            status=SyncStatus.WAITING,
            failure=failure.error_class.value,
            attempts=F("attempts") + 1,
            due_at=Now() + timedelta(seconds=min(wait, times.longest)),
            claim=None,
            held_until=None,
        )
    return False


def _give_way(claimed: _Claimed) -> bool:
    with scope.tenant(claimed.run.organization_id):
        released = SyncRun.objects.filter(pk=claimed.run.pk, claim=claimed.claim).update(
            claim=None, held_until=None
        )
    return bool(released)


def _finish(claimed: _Claimed) -> None:
    """Compare what was seen with what is here, and propose; apply what may be, unless it is dry."""
    run = claimed.run
    with scope.tenant(run.organization_id):
        if not SyncRun.objects.filter(pk=run.pk, claim=claimed.claim).exists():
            return
        found = differences.find(run.organization_id)
        applied = {} if run.is_dry else applying.apply(run, found)
        run.applied = applied
        run.differences = [difference.as_json() for difference in found.rows]
        proposed = proposing.find(Organization.objects.get(pk=run.organization_id), found)
        run.proposals = [proposal.as_json() for proposal in proposed]
        _over(run, claimed.claim, SyncStatus.DONE, "")
    log.info(
        "synced", run_id=str(run.pk), is_dry=run.is_dry, differences=len(run.differences), **applied
    )


def _over(run: SyncRun, claim: UUID, status: SyncStatus, failure: str) -> None:
    SyncRun.objects.filter(pk=run.pk, claim=claim).update(
        status=status,
        failure=failure,
        due_at=None,
        claim=None,
        held_until=None,
        finished_at=Now(),
        differences=run.differences,
        applied=run.applied,
        proposals=run.proposals,
    )
