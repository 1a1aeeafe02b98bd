"""Tells the rate limits of an organization by Mistral's buckets: configured, learned and used.

A bucket is a workspace of Mistral's and one of its models, as far as keys tell. What was learned is
what gateways have saved, seconds ago; the month's tokens are the ledger's.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from django.db.models import F, Sum
from django.utils import timezone

from tenants.common import scope
from tenants.common.lookups import Among
from tenants.common.months import Month
from tenants.keys.quota import quota_code
from tenants.mistral.windows import REQUESTS, window_of
from tenants.organizations.models import Organization
from tenants.registry import quotas
from tenants.registry.models import QuotaRecord, RegisteredModel
from tenants.spend.calls import LimitMode, SubjectKind
from tenants.spend.models import Limit, SpendLine
from tenants.spend.rates import RATES_SET, Rates, of

_MINUTE = 60


class _Drawing(NamedTuple):
    """A model that draws on a bucket, with its workspace and key: there may be many, so no more."""

    model_id: UUID
    organization_id: UUID
    name: str
    mistral_model: str
    snapshot: str
    workspace_id: UUID
    workspace_name: str
    key_id: UUID
    key_name: str
    key_identity: Mapping[str, str | None] | None
    mistral_workspace_id: str


@dataclass(frozen=True, slots=True)
class LearnedWindow:
    """What Mistral told of one window; ``meter`` and ``seconds`` are null if its name is odd."""

    window: str
    by_size: bool
    meter: str | None
    seconds: int | None
    limit: int | None
    remaining: int | None


@dataclass(frozen=True, slots=True)
class ConfiguredRate:
    """Rates that are set on a subject whose calls use the bucket."""

    subject_kind: SubjectKind
    subject_id: UUID
    subject_name: str
    rates: Rates
    mode: LimitMode


@dataclass(frozen=True, slots=True)
class BucketReport:
    """One bucket.

    Attributes:
        mistral_workspace: its name at Mistral; None if keys do not tell.
        key_ids, model_ids: which of the organization's draw on it.
        requests_last_minute, tokens_last_minute: what one gateway process counted when it last
            saved, at ``observed_at``.
        tokens_this_month: of its keys and models, in the organization's budget month.
        is_in_plan: False if Mistral told a limit of 0.
        closed_until: after a refusal; None when it is open.
        calls_of_message: how many calls a chat message makes here; None if not known yet.
        messages_per_minute: how many messages Mistral's limits carry, as far as they are known.
    """

    mistral_model: str
    quota_code: str
    mistral_workspace: str | None
    key_ids: tuple[UUID, ...]
    model_ids: tuple[UUID, ...]
    configured: tuple[ConfiguredRate, ...]
    learned: tuple[LearnedWindow, ...]
    requests_last_minute: int
    tokens_last_minute: int
    tokens_this_month: int
    is_in_plan: bool
    closed_until: datetime | None
    calls_of_message: Decimal | None
    messages_per_minute: Decimal | None
    observed_at: datetime | None


type Place = tuple[str, str]


def report(*, organization: Organization, after: Place | None, most: int) -> list[BucketReport]:
    """List an organization's buckets in the order of their models, from after a place on."""
    with scope.tenant(organization.pk, snapshot=True):
        buckets = _buckets()
        places = sorted(place for place in buckets if after is None or place > after)[:most]
        chosen = {place: buckets[place] for place in places}
        records = {
            (record.mistral_model, record.quota_code): record
            for record in QuotaRecord.objects.filter(
                mistral_model__in={model for model, _ in chosen}
            )
        }
        limits = _configured(organization, chosen.values())
        used = _used(organization)
    now = timezone.now()
    return [
        _report(place, models, records.get(place), limits, used, now)
        for place, models in chosen.items()
    ]


def _buckets() -> dict[Place, list[_Drawing]]:
    found: defaultdict[Place, list[_Drawing]] = defaultdict(list)
    rows = RegisteredModel.objects.filter(retired_at=None).order_by("id")
    for row in rows.values_list(
        *("id", "organization_id", "name", "mistral_model", "snapshot"),
        *("workspace_id", "workspace__name"),
        *("key_id", "key__name", "key__identity", "key__mistral_workspace_id"),
    ):
        model = _Drawing(*row)
        code = quota_code(model.key_id, model.mistral_workspace_id, model.key_identity)
        name = quotas.name_of(model.snapshot, model.mistral_model)
        found[name, code].append(model)
    return dict(found)


def _configured(
    organization: Organization, buckets: Iterable[Sequence[_Drawing]]
) -> Mapping[UUID, ConfiguredRate]:
    names: dict[UUID, str] = {organization.pk: organization.name}
    for models in buckets:
        for model in models:
            names[model.model_id] = model.name
            names[model.workspace_id] = model.workspace_name
            names[model.key_id] = model.key_name
    return {
        limit.subject_id: ConfiguredRate(
            SubjectKind(limit.subject_kind),
            limit.subject_id,
            names[limit.subject_id],
            of(limit),
            LimitMode(limit.mode),
        )
        for limit in Limit.objects.filter(RATES_SET, Among(F("subject_id"), names))
    }


def _used(organization: Organization) -> Mapping[UUID | None, int]:
    """Count the tokens of each model in the present month; to send the ids of some takes longer."""
    month = Month.of(timezone.now(), organization.timezone)
    rows = (
        SpendLine.objects.filter(organization_id=organization.pk, period=month.first_day)
        .order_by()
        .values_list("model_id")
        .annotate(prompt=Sum("prompt_tokens"), completion=Sum("completion_tokens"))
    )
    return {model_id: int(prompt + completion) for model_id, prompt, completion in rows}


def _report(  # noqa: PLR0917 - one bucket's facts
    place: Place,
    models: Sequence[_Drawing],
    record: QuotaRecord | None,
    limits: Mapping[UUID, ConfiguredRate],
    used: Mapping[UUID | None, int],
    now: datetime,
) -> BucketReport:
    learned = _windows(record)
    calls = round(Decimal(record.calls_of_message), 1) if record else None
    subjects = {model.organization_id: 0 for model in models}
    subjects |= {model.workspace_id: 1 for model in models}
    subjects |= {model.key_id: 2 for model in models}
    subjects |= {model.model_id: 3 for model in models}
    is_told = record is not None and record.reset_at == record.saved_after
    closed_until = record.closed_until if record and is_told else None
    outside_until = record.outside_plan_until if record and is_told else None
    counted = record.used if record else {}
    return BucketReport(
        mistral_model=place[0],
        quota_code=place[1],
        mistral_workspace=_workspace_name(models),
        key_ids=tuple(sorted({model.key_id for model in models})),
        model_ids=tuple(model.model_id for model in models),
        configured=tuple(limits[subject] for subject in subjects if subject in limits),
        learned=learned,
        requests_last_minute=counted.get("requests", 0),
        tokens_last_minute=counted.get("tokens", 0),
        tokens_this_month=sum(used.get(model.model_id, 0) for model in models),
        is_in_plan=outside_until is None or outside_until <= now,
        closed_until=closed_until if closed_until and closed_until > now else None,
        calls_of_message=calls or None,
        messages_per_minute=_messages(learned, calls),
        observed_at=record.observed_at if record else None,
    )


def _windows(record: QuotaRecord | None) -> tuple[LearnedWindow, ...]:
    found = []
    for row in record.windows if record else ():
        meaning = window_of(row["window"], by_size=row["by_size"])
        meter, seconds = meaning or (None, None)
        found.append(
            LearnedWindow(
                row["window"], row["by_size"], meter, seconds, row["limit"], row["remaining"]
            )
        )
    return tuple(found)


def _messages(learned: Iterable[LearnedWindow], calls: Decimal | None) -> Decimal | None:
    """Divide the calls that the tightest window carries in a minute by those of a message."""
    per_minute = [
        Decimal(window.limit) * _MINUTE / window.seconds
        for window in learned
        if window.meter == REQUESTS and window.limit is not None and window.seconds
    ]
    return round(min(per_minute) / calls, 1) if per_minute and calls else None


def _workspace_name(models: Sequence[_Drawing]) -> str | None:
    for model in models:
        name = (model.key_identity or {}).get("workspace")
        if name:
            return str(name)
    return None
