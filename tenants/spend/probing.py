"""The paid trial of a key, metered: held before it goes out, settled after, never sent twice.

Claim (``keys.trying``) → hold (the meter, under every limit) → send → settle → finish. A worker
that dies leaves a hold, which the ledger turns into an estimate, and a trial that the sweep finds:
if it was sent, nobody knows its answer, and it is not sent again.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from tenants.common import scope
from tenants.common.money import plain
from tenants.keys import trying
from tenants.keys.models import KeyProbe, ProbeStatus
from tenants.keys.trying import Trial
from tenants.mistral.client import TRIAL_PATH, trial_of
from tenants.mistral.errors import Reach
from tenants.organizations.models import OrganizationStatus
from tenants.registry import leading
from tenants.registry.leading import Moved
from tenants.spend import pricebook, pricing
from tenants.spend.calls import (
    CallIntent,
    Category,
    Estimate,
    Outcome,
    Refusal,
    Settlement,
    instant_of,
    period_of,
)
from tenants.spend.meter import Meter
from tenants.spend.pricing import Bound, Quantities, WorstCase

log = structlog.get_logger(__name__)

_SERVER_FAULT = 500


def worst_case(
    organization_id: UUID, mistral_model: str, moved: Moved, currency: str, at: datetime
) -> WorstCase:
    """Price the most that one trial of a model can cost an organization.

    ``moved`` has the names of the key's that lead elsewhere than the catalogue says.
    """
    snapshot = leading.follow(mistral_model, moved)
    prices = pricebook.of_organization(organization_id).prices_for(snapshot, currency, at)
    bound = Bound(request_bytes=len(trial_of(mistral_model)), max_tokens=1)
    return pricing.worst_case(bound, prices)


def probe(organization_id: UUID, probe_id: UUID) -> None:
    """Make a trial that is pending and nobody else's; otherwise do nothing.

    Raises:
        MeterUnavailable: the ledger does not answer; nothing was sent.
        django.db.OperationalError: the database went away; the claim lapses by itself.
    """
    claimed = trying.claim(organization_id, probe_id)
    if claimed is None:
        return
    if claimed.sent_at is not None:
        # Its worker died after it went out: the ledger has it as an estimate.
        trying.finish(claimed, ProbeStatus.UNKNOWN, None, claimed.quote)
        return
    if not _may_be_used(claimed):
        trying.finish(claimed, ProbeStatus.NOT_SENT, None, None, {"reason": "not_active"})
        return
    meter = Meter()
    try:
        with scope.tenant(organization_id):
            moved = leading.moved(claimed.key_id)
        _make(meter, claimed, _intent(claimed, moved), moved)
    finally:
        meter.close()


def _may_be_used(claimed: KeyProbe) -> bool:
    active = claimed.organization.status == OrganizationStatus.ACTIVE
    return active and claimed.key.workspace.archived_at is None


def _make(meter: Meter, claimed: KeyProbe, intent: CallIntent, moved: Moved) -> None:
    (verdict,) = meter.open_calls([intent])
    if verdict.refusal is not None:
        trying.finish(claimed, ProbeStatus.NOT_SENT, None, None, _told(verdict.refusal))
        return
    try:
        trial = trying.send(claimed)
    except trying.UndecryptableError:
        meter.settle_calls([Settlement.nothing(intent)])
        trying.finish(claimed, ProbeStatus.NOT_SENT, None, None, {"reason": "undecryptable"})
        return
    if trial is None:
        return
    settlement = _settlement(intent, trial, claimed.currency, moved)
    meter.settle_calls([settlement])
    sent = trial.reach is not Reach.NEVER
    status = ProbeStatus.REFUSED if sent else ProbeStatus.NOT_SENT
    if trial.answer is not None:
        status = ProbeStatus.ANSWERED
    trying.finish(claimed, status, trial, settlement.cost.amount)
    log.info("key_probed", key_id=str(claimed.key_id), status=status, verdict=trial.finding.code)


def _intent(claimed: KeyProbe, moved: Moved) -> CallIntent:
    return CallIntent(
        call_id=claimed.pk,
        organization_id=claimed.organization_id,
        workspace_id=claimed.key.workspace_id,
        key_id=claimed.key_id,
        model_id=None,
        endpoint=TRIAL_PATH,
        requested_model=claimed.mistral_model,
        period=period_of(claimed.pk, claimed.organization.timezone),
        worst_case=worst_case(
            claimed.organization_id,
            claimed.mistral_model,
            moved,
            claimed.currency,
            instant_of(claimed.pk),
        ),
        category=Category.PROBE,
    )


def _settlement(intent: CallIntent, trial: Trial, currency: str, moved: Moved) -> Settlement:
    found = trial.finding
    correlation_id = found.correlation_id or ""
    if trial.answer is None:
        if trial.reach is Reach.POSSIBLE:  # it may have been billed
            return Settlement(
                intent,
                Outcome.FAILED,
                intent.worst_case.quantities,
                intent.worst_case.cost,
                found.http_status,
                estimate=Estimate.BROKEN_ANSWER,
                correlation_id=correlation_id,
            )
        outcome = Outcome.NOT_SENT
        if found.http_status is not None:
            failed = found.http_status >= _SERVER_FAULT
            outcome = Outcome.FAILED if failed else Outcome.REFUSED
        return Settlement.nothing(intent, outcome, found.http_status, correlation_id=correlation_id)
    usage, told, asked = trial.answer.usage, trial.answer.model, intent.requested_model
    answered = leading.follow(told or asked, moved)
    if usage.prompt_tokens is None:
        quantities, estimate = intent.worst_case.quantities, Estimate.USAGE_MISSING
    else:
        estimate = Estimate.EXACT
        quantities = Quantities(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens or 0,
            cached_tokens=usage.cached_tokens or 0,
        )
    prices = pricebook.of_organization(intent.organization_id).prices_for(
        answered, currency, instant_of(intent.call_id)
    )
    return Settlement(
        intent,
        Outcome.COMPLETED,
        quantities,
        pricing.cost(quantities, prices),
        found.http_status,
        answered_model=answered if told else moved.get(asked, ""),
        estimate=estimate,
        correlation_id=correlation_id,
    )


def _told(refusal: Refusal) -> dict[str, Any]:
    """Keep which limit stood in the way, as JSON."""
    amounts = {"limit": refusal.limit, "spent": refusal.spent, "held": refusal.held}
    return {
        "reason": refusal.reason.value,
        "subject": refusal.subject_kind.value if refusal.subject_kind else None,
        **{name: None if amount is None else plain(amount) for name, amount in amounts.items()},
    }
