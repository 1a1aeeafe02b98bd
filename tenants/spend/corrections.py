"""Corrects the ledger: a new event with the difference and its reason; nothing is ever changed.

Reconciliation and support post through here. A correction moves the balances of its month as well,
so that limits count what was really billed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.common import scope
from tenants.common.money import rounded
from tenants.common.months import Month
from tenants.common.problems import Invalid
from tenants.organizations import audit
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization, Workspace
from tenants.spend import posting
from tenants.spend.calls import Category, Outcome, Source
from tenants.spend.models import Correction, UsageEvent
from tenants.spend.rows import Row, storable

_QUANTITIES = (
    *("prompt_tokens", "completion_tokens", "cached_tokens", "pages", "annotated_pages"),
    *("audio_seconds", "characters", "connector_calls", "training_tokens", "storage_months"),
)
_RARE = _QUANTITIES[-3:]
_NOON = time(12)


@dataclass(frozen=True, slots=True)
class Difference:
    """What the ledger lacks, or has too much of, on one line of a bill.

    Attributes:
        workspace_id: whose; an organization's default workspace where nothing finer is known.
        category, mistral_model: the line.
        amount: in the organization's currency; negative for what was counted too much.
        quantities: differences by the names of the event's columns; may be negative.
        key_id, model_id: if known.
        day: the local day it belongs to; else the last of the month that is not in the future.
        at: its instant, where the day is not enough.
        message_id: under which `/calls` finds it.
        corrects: the event that it mends, if it mends one: day, workspace, key, model and line are
            then that event's.
    """

    workspace_id: UUID
    category: Category
    mistral_model: str
    amount: Decimal
    quantities: dict[str, int]
    key_id: UUID | None = None
    model_id: UUID | None = None
    day: date | None = None
    at: datetime | None = None
    message_id: str = ""
    corrects: UsageEvent | None = None


def post_correction(
    *,
    actor: Actor,
    organization: Organization,
    month: Month,
    difference: Difference,
    reason: str,
    reference: str,
    source: Source = Source.CORRECTION,
) -> Correction:
    """Post one difference into a month; the same ``reference`` again changes nothing.

    Raises:
        Invalid: as ``post_corrections`` does.
    """
    with scope.tenant(organization.pk):
        # Whoever posts the same at once waits here and then finds it.
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        (correction,) = post_corrections(
            actor=actor,
            organization=organization,
            month=month,
            differences={reference: difference},
            reason=reason,
            source=source,
        )
    return correction


def post_corrections(
    *,
    actor: Actor,
    organization: Organization,
    month: Month,
    differences: Mapping[str, Difference],
    reason: str,
    source: Source = Source.CORRECTION,
) -> list[Correction]:
    """Post differences into a month, inside a scope that has locked the organization; all or none.

    ``differences`` are given by the references under which they are known for ever; what is known
    already is left as it is.

    Raises:
        Invalid: ``below_zero``: one takes away more than was spent there; ``not_in_month``;
            ``workspace_unknown``.
    """
    known = Correction.objects.filter(organization=organization, reference__in=list(differences))
    found = {correction.reference: correction for correction in known}
    entries = {
        reference: _entry(organization, month, difference, reference, source)
        for reference, difference in differences.items()
        if reference not in found
    }
    try:
        posting.post(list(entries.values()))
    except IntegrityError as error:
        if "balance_signs" not in str(error):
            raise
        detail = _("This takes away more than was spent there in that month.")
        raise Invalid.field("/amount", "below_zero", detail) from None
    for reference, entry in entries.items():
        found[reference] = Correction.objects.create(
            organization=organization,
            event_id=entry["id"],
            occurred_at=entry["occurred_at"],
            reason=reason,
            reference=reference,
            posted_by=actor.name,
        )
        audit.record(
            actor=actor,
            organization_id=organization.pk,
            verb="spend.corrected",
            target=found[reference],
        )
    return [found[reference] for reference in differences]


def _entry(
    organization: Organization, month: Month, difference: Difference, reference: str, source: Source
) -> Row:
    mended = difference.corrects
    digest = posting.digest_of(str(organization.pk), "correction", reference)
    occurred_at = difference.at or _instant(month, difference.day)
    if mended is not None:
        occurred_at = mended.occurred_at
    if mended is not None and mended.period != month.first_day:
        raise _not_in_month()
    workspace_id = mended.workspace_id if mended else difference.workspace_id
    if not Workspace.objects.filter(pk=workspace_id).exists():
        detail = _("There is nothing here.")
        raise Invalid.field("/workspace_id", "workspace_unknown", detail)
    counted = {name: difference.quantities.get(name, 0) for name in _QUANTITIES}
    return {
        **counted,
        **{name: counted[name] or None for name in _RARE},
        "digest": digest,
        "id": posting.event_id(digest, occurred_at),
        "organization_id": organization.pk,
        "workspace_id": workspace_id,
        "key_id": mended.key_id if mended else difference.key_id,
        "model_id": mended.model_id if mended else difference.model_id,
        "occurred_at": occurred_at,
        "period": month.first_day,
        "source": source,
        "category": mended.category if mended else difference.category,
        "endpoint": mended.endpoint if mended else "",
        "requested_model": mended.requested_model
        if mended
        else storable(difference.mistral_model, 200),
        "answered_model": mended.answered_model if mended else "",
        "requests": difference.quantities.get("requests", 0),
        "currency": organization.currency,
        "cost": posting.text_of(rounded(difference.amount)),
        "factor": "1",
        "price_ids": mended.price_ids if mended else [],
        "estimate": "",
        "outcome": Outcome.COMPLETED,
        "message_id": mended.message_id if mended else difference.message_id,
        "request_id": "",
        "correlation_id": "",
        "corrects": mended.id if mended else None,
    }


def _instant(month: Month, day: date | None) -> datetime:
    """Choose the instant of a difference: noon of its day, or the last of the month so far."""
    now = timezone.now()
    if day is None:
        return min(month.ends_at - timedelta(minutes=1), now)
    instant = datetime.combine(day, _NOON, tzinfo=ZoneInfo(month.zone))
    if day.replace(day=1) != month.first_day or month.starts_at > now:
        raise _not_in_month()
    return min(instant, now)


def _not_in_month() -> Invalid:
    detail = _("This day does not belong to the month.")
    return Invalid.field("/day", "not_in_month", detail)
