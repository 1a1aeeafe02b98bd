"""Meters batch jobs: posts what their lines used, once, when Mistral is done with them.

Until then the hold of the call that made the job stands, whatever becomes of the process that made
it. Claim, work, commit: a worker may run twice, at once, or die half-way, and the ledger takes each
event once, because its id follows from the call's. A worker that is to stop leaves a job between
two of its lines, and another begins it anew. A job that Mistral never finishes becomes an estimate
of what was held; so does each line that Mistral counts as answered and never shows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from tenants.common import scope, turns
from tenants.common.models import new_id
from tenants.common.secrets import Secret
from tenants.keys import custody
from tenants.keys.models import MistralKey
from tenants.mistral.batches import JobFacts, LineFacts, read_line
from tenants.mistral.client import ClientTimeouts, MistralClient
from tenants.mistral.errors import MistralError
from tenants.registry import leading, resources
from tenants.registry.leading import Moved
from tenants.registry.models import ResourceKind
from tenants.registry.resources import Owner
from tenants.spend import pricebook
from tenants.spend.calls import (
    CONNECTORS,
    CallIntent,
    Estimate,
    Outcome,
    Settlement,
    derived,
    instant_of,
)
from tenants.spend.meter import Meter
from tenants.spend.models import BatchJob, Hold
from tenants.spend.pricing import (
    Cost,
    Modifier,
    PriceState,
    Quantities,
    WorstCase,
    cost,
)
from tenants.spend.tallying import Sum, Tally

log = structlog.get_logger(__name__)

_BATCH, _QUEUE, _CLAIM = 50, 120.0, timedelta(minutes=20)
_FIRST_PAUSE, _LONGEST_PAUSE = 5, 300
_GRACE = timedelta(days=2)
_PRIORITY = "priority"
_TIMEOUTS = ClientTimeouts(connect=5, read=60, total=600)
#: The member of a file's facts that names the job which wrote it.
JOB = "job"


class _ToldToStopError(Exception):
    """The worker is to stop, and nothing of the job was posted yet."""


def register(
    *, owner: Owner, intent: CallIntent, mistral_id: str, endpoint: str, hours: int, regional: bool
) -> None:
    """Write down a job that was just made, with its hold to stand until it is metered."""
    now = timezone.now()
    with scope.tenant(owner.organization_id):
        BatchJob.objects.bulk_create(
            [
                BatchJob(
                    organization_id=owner.organization_id,
                    workspace_id=owner.workspace_id,
                    model_id=owner.model_id,
                    key_id=intent.key_id,
                    token_id=owner.token_id,
                    call_id=intent.call_id,
                    mistral_id=mistral_id,
                    endpoint=endpoint,
                    requested_model=intent.requested_model,
                    period=intent.period,
                    currency=intent.worst_case.cost.currency,
                    message_id=intent.message_id,
                    is_regional=regional,
                    next_check_at=now + timedelta(seconds=_FIRST_PAUSE),
                    gives_up_at=now + timedelta(hours=hours) + _GRACE,
                )
            ],
            ignore_conflicts=True,
        )
    resources.keep(owner, ResourceKind.BATCH_JOB, {mistral_id: {"endpoint": endpoint}})


def file_facts(mistral_id: str) -> dict[str, str]:
    """Tell what is known of a file that a job has written: nobody uploaded it."""
    return {"purpose": "batch", JOB: mistral_id}


def hurry(owner: Owner, mistral_id: str | None) -> bool:
    """Have a job metered soon if it is not yet; without an id, every job of the workspace.

    Returns:
        Whether there is one. It may still be under way at Mistral.
    """
    with scope.tenant(owner.organization_id):
        jobs = BatchJob.objects.filter(workspace_id=owner.workspace_id, metered_at=None)
        if mistral_id is not None:
            jobs = jobs.filter(mistral_id=mistral_id)
        jobs.filter(next_check_at__gt=Now(), claim=None).update(next_check_at=Now())
        return jobs.exists()


def take_due() -> list[tuple[UUID, UUID]]:
    """Take a batch of due jobs for the queue, whosesoever they are; it tells ids only."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT organization_id, job_id FROM spend_take_due_batches(%s, %s)", [_BATCH, _QUEUE]
        )
        return [(organization_id, job_id) for organization_id, job_id in cursor.fetchall()]


def meter_job(organization_id: UUID, job_id: UUID) -> bool:
    """Ask about one job, and meter it when it is over; True when it is metered.

    A job that another worker has is left to it.
    """
    claim = new_id()
    with scope.tenant(organization_id):
        mine = BatchJob.objects.filter(
            Q(claim=None) | Q(held_until__lte=Now()), pk=job_id, metered_at=None
        ).update(claim=claim, held_until=timezone.now() + _CLAIM, attempts=F("attempts") + 1)
        if not mine:
            return False
        job = BatchJob.objects.get(pk=job_id)
        plain = _borrowed(job)
        hold = Hold.objects.filter(pk=job.call_id).first()
    facts, settlements = None, None
    if plain is not None:
        try:
            facts, settlements = _asked(job, plain, hold)
        except _ToldToStopError:
            _again(job, claim, None, pause=0)
            return False
    if settlements is None and timezone.now() >= job.gives_up_at:
        settlements = [_given_up(job, hold)]
    if settlements is None:
        _again(job, claim, facts)
        return False
    meter = Meter()
    try:
        meter.settle_calls(settlements)
    finally:
        meter.close()
    if facts is not None:
        made = [one for one in (facts.output_file, facts.error_file) if one]
        kept = dict.fromkeys(made, file_facts(job.mistral_id))
        resources.keep(_owner(job), ResourceKind.FILE, kept)
    with scope.tenant(organization_id):
        BatchJob.objects.filter(pk=job_id, claim=claim).update(
            metered_at=Now(),
            next_check_at=None,
            claim=None,
            held_until=None,
            status=facts.status if facts else job.status,
        )
    return True


def _owner(job: BatchJob) -> Owner:
    return Owner(job.organization_id, job.workspace_id, job.model_id, job.token_id)


def _borrowed(job: BatchJob) -> Secret[str] | None:
    try:
        return custody.borrow(MistralKey.objects.get(pk=job.key_id))
    except custody.UndecryptableError:
        return None


def _asked(
    job: BatchJob, plain: Secret[str], hold: Hold | None
) -> tuple[JobFacts | None, list[Settlement] | None]:
    """Ask Mistral; settlements only when the job is over and its lines were read to the last.

    An output may come later than the status, or with the job instead of in a file. Until the job is
    given up it is asked for again; then what is missing of it is an estimate.
    """
    is_late = timezone.now() >= job.gives_up_at
    with MistralClient(settings.MISTRAL_API_URL, plain, timeouts=_TIMEOUTS) as client:
        try:
            facts = client.batch_job(job.mistral_id)
            if not facts.is_over:
                return facts, None
            lines = client.file_lines(facts.output_file) if facts.output_file else iter(())
            tally = _tallied(job, facts, map(read_line, _until_told(lines)), hold)
            if tally.lines < facts.succeeded_requests:
                tally = _fuller(job, facts, client, hold, tally)
        except MistralError as error:
            log.warning("batch_not_metered", job=str(job.pk), failure=str(error.failure))
            return None, None
    missing = facts.succeeded_requests - tally.lines
    if missing > 0:
        log.warning("batch_lines_missing", job=str(job.pk), missing=missing, given_up=is_late)
        if not is_late:
            return facts, None
        tally.add_missing(missing)
    return facts, list(_sharing(hold, _settlements(job, tally)))


def _until_told(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Give what is written of lines, as long as the worker is not to stop.

    Raises:
        _ToldToStopError: it is.
    """
    for line in filter(bytes.strip, lines):
        if turns.step():
            raise _ToldToStopError
        yield line


def _fuller(
    job: BatchJob, facts: JobFacts, client: MistralClient, hold: Hold | None, tally: Tally
) -> Tally:
    """Take the lines that come with the job, if they are more than those of its file."""
    try:
        told = client.batch_job(job.mistral_id, inline=True)
    except MistralError as error:
        log.warning("batch_not_inline", job=str(job.pk), failure=str(error.failure))
        return tally
    return max(tally, _tallied(job, facts, told.outputs, hold), key=lambda one: one.lines)


def _tallied(
    job: BatchJob, facts: JobFacts, lines: Iterable[LineFacts | None], hold: Hold | None
) -> Tally:
    many = max(facts.total_requests, facts.succeeded_requests)
    if not many:  # Mistral does not tell: as many as there are
        lines = list(lines)
        many = len(lines)
    held = _of_a_line(hold, max(many, 1))
    is_annotated = hold is not None and hold.annotated_pages > 0 and hold.pages == 0
    tally = Tally(job.endpoint, job.requested_model, held, is_annotated)
    for line in lines:
        if line is not None:
            tally.add(line)
    return tally


def _settlements(job: BatchJob, tally: Tally) -> list[Settlement]:
    """Make one event for each model, tier and thousand lines; the first replaces the hold."""
    intent = _intent(job)
    with scope.tenant(job.organization_id):
        moved = leading.moved(job.key_id)
    made = [_settled(job, intent, who, total, moved) for who, total in tally.sums.items()]
    made += [
        _connectors(job, intent, who, total, moved)
        for who, total in tally.sums.items()
        if total.connectors
    ]
    if not made:
        return [Settlement.nothing(intent, Outcome.COMPLETED)]
    return [replace(made[0], intent=replace(made[0].intent, call_id=job.call_id)), *made[1:]]


def _sharing(hold: Hold | None, events: Iterable[Settlement]) -> Iterator[Settlement]:
    """Tell what each event cost beyond the hold that they share: the first take of it first."""
    left = Decimal(hold.amount or 0) if hold is not None else Decimal(0)
    for event in events:
        spent = event.cost.amount or Decimal(0)
        yield replace(event, excess=max(spent - left, Decimal(0)))
        left = max(left - spent, Decimal(0))


def _of_a_line(hold: Hold | None, lines: int) -> Quantities:
    """Divide what was held for what only estimates need."""
    if hold is None:
        return Quantities()
    return Quantities(
        prompt_tokens=hold.prompt_tokens // lines,
        completion_tokens=hold.completion_tokens // lines,
        pages=hold.pages // lines,
        annotated_pages=hold.annotated_pages // lines,
        audio_seconds=hold.audio_seconds // lines,
    )


def _settled(
    job: BatchJob, intent: CallIntent, who: tuple[str, str, int], total: Sum, moved: Moved
) -> Settlement:
    model, tier, number = who
    answered = leading.follow(model, moved)
    quantities = total.quantities()
    modifiers = (Modifier.BATCH, Modifier.PRIORITY) if tier == _PRIORITY else (Modifier.BATCH,)
    return Settlement(
        intent=replace(intent, call_id=derived(job.call_id, f"batch {model} {tier} {number}")),
        outcome=Outcome.COMPLETED,
        quantities=quantities,
        cost=_cost(job, answered, moved, quantities, *modifiers),
        answered_model=answered,
        estimate=Estimate.USAGE_MISSING if total.untold else Estimate.EXACT,
    )


def _cost(
    job: BatchJob, model: str, moved: Moved, quantities: Quantities, *modifiers: Modifier
) -> Cost:
    book, at = pricebook.of_organization(job.organization_id), instant_of(job.call_id)
    prices = book.prices_for(model, job.currency, at)
    if not prices.meters:
        asked = leading.follow(job.requested_model, moved)
        prices = book.prices_for(asked, job.currency, at)
    extra = (Modifier.REGIONAL,) if job.is_regional else ()
    return cost(quantities, prices, (*modifiers, *extra))


def _connectors(
    job: BatchJob, intent: CallIntent, who: tuple[str, str, int], total: Sum, moved: Moved
) -> Settlement:
    """Post what connectors did in an event of its own; nobody says that batches halve it."""
    model, tier, number = who
    answered = leading.follow(model, moved)
    counted = Quantities(requests=0, connector_calls=total.connectors)
    return Settlement(
        intent=replace(
            intent,
            call_id=derived(job.call_id, f"batch connectors {model} {tier} {number}"),
            endpoint=CONNECTORS,
        ),
        outcome=Outcome.COMPLETED,
        quantities=counted,
        cost=_cost(job, answered, moved, counted),
        answered_model=answered,
    )


def _given_up(job: BatchJob, hold: Hold | None) -> Settlement:
    """Take what was held for what it cost: Mistral has not finished, or does not know the job."""
    intent = _intent(job)
    if hold is None:
        return Settlement.nothing(intent, Outcome.UNKNOWN)
    quantities = Quantities(
        prompt_tokens=hold.prompt_tokens,
        completion_tokens=hold.completion_tokens,
        pages=hold.pages,
        annotated_pages=hold.annotated_pages,
        audio_seconds=hold.audio_seconds,
    )
    amount = None if hold.amount is None else Decimal(hold.amount)
    state = PriceState.UNPRICED if amount is None else PriceState.PRICED
    return Settlement(
        intent=intent,
        outcome=Outcome.UNKNOWN,
        quantities=quantities,
        cost=Cost(state, amount, job.currency, tuple(hold.price_ids), hold.factor),
        estimate=Estimate.NEVER_SETTLED,
    )


def _intent(job: BatchJob) -> CallIntent:
    nothing = WorstCase(Quantities(), Cost(PriceState.PRICED, Decimal(0), job.currency))
    return CallIntent(
        call_id=job.call_id,
        organization_id=job.organization_id,
        workspace_id=job.workspace_id,
        key_id=job.key_id,
        model_id=job.model_id,
        endpoint=job.endpoint,
        requested_model=job.requested_model,
        period=job.period,
        worst_case=nothing,
        message_id=job.message_id,
    )


def _again(job: BatchJob, claim: UUID, facts: JobFacts | None, *, pause: int | None = None) -> None:
    """Let the job be asked about later, in so many seconds; else the wait doubles, to a bound."""
    if pause is None:
        pause = min(_FIRST_PAUSE * 2 ** min(job.attempts, 10), _LONGEST_PAUSE)
    with scope.tenant(job.organization_id):
        BatchJob.objects.filter(pk=job.pk, claim=claim).update(
            claim=None,
            held_until=None,
            next_check_at=timezone.now() + timedelta(seconds=pause),
            status=facts.status if facts else job.status,
        )
