"""Groups of lines: what shares a category, a day, a model, and what it adds up to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.expressions import Combinable

from tenants.common.months import Month
from tenants.organizations.models import Organization, Workspace
from tenants.registry.models import RegisteredModel
from tenants.spend import cuts as cutting

_ZERO = Decimal(0)
#: What a group counts; annotated pages are pages too.
QUANTITIES = (
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "pages",
    "audio_seconds",
    "characters",
    "requests",
    "connector_calls",
    "training_tokens",
    "storage_months",
)
#: What spend can be grouped by, and the members that each adds to a group.
GROUPINGS: Mapping[str, tuple[str, ...]] = {
    "category": ("category",),
    "day": ("day",),
    "model": ("model_id", "mistral_model"),
    "workspace": ("workspace_id",),
    "key": ("key_id",),
    "source": ("source",),
}


#: The model of ours, where there is one, and Mistral's name.
type ModelName = tuple[Any, Any]


@dataclass(frozen=True, slots=True)
class SpendGroup:
    """The calls that share ``names``: their amount, quantities and how many have no price.

    ``quantities`` are those that were asked for.
    """

    names: Mapping[str, str | date | UUID | None]
    amount: Decimal
    quantities: Mapping[str, int]
    estimated: Decimal
    unpriced: int
    events: int


def grouped(
    lines: QuerySet[Any], names: Sequence[str], quantities: Sequence[str] = QUANTITIES
) -> tuple[SpendGroup, ...]:
    """Sum lines by their members, in that order; without any, into one group at most."""
    rows: Iterable[Mapping[str, Any]]
    if names:
        rows = lines.order_by().values(*names).annotate(**_sums(quantities)).order_by(*names)
    else:
        rows = [lines.aggregate(**_sums(quantities))]
    return tuple(_group(row, names) for row in rows)


def by_day(groups: Iterable[SpendGroup]) -> dict[date, Decimal]:
    """Sum groups that have days by these."""
    found: dict[date, Decimal] = {}
    for group in groups:
        day = group.names["day"]
        if isinstance(day, date):
            found[day] = found.get(day, _ZERO) + group.amount
    return found


def names_of(group_by: Sequence[str]) -> list[str]:
    """Name the members that groups have, in order."""
    return [name for key in dict.fromkeys(group_by) for name in GROUPINGS[key]]


def in_cuts(
    organization: Organization,
    month: Month,
    subjects: Mapping[str, Workspace | RegisteredModel | None],
    cuts: Sequence[Sequence[str]],
    quantities: Sequence[str] = QUANTITIES,
) -> tuple[list[tuple[SpendGroup, ...]], bool]:
    """Group a month's lines in several ways; the first in the order of its members.

    PostgreSQL is asked for the finest only: what is coarser than another is added up from that.

    Returns:
        The groups of each cut, and whether all of them come from the roll-ups.
    """
    wanted = [tuple(names_of(one)) for one in cuts]
    every = dict.fromkeys(wanted)
    finest = [one for one in every if not any(set(one) < set(other) for other in every)]
    found = cutting.cut(
        organization_id=organization.pk,
        month=month,
        conditions={name: one.pk for name, one in subjects.items() if one is not None},
        sums={f"sum_{name}": _SQL_QUANTITIES[name] for name in quantities} | _SQL_SUMS,
        cuts=finest,
    )
    read = {
        names: tuple(_group(row, names) for row in rows)
        for names, rows in zip(finest, found, strict=True)
    }
    given = [
        read.get(names)
        or _added_up(next(read[one] for one in finest if set(names) <= set(one)), names)
        for names in wanted
    ]
    given[0] = tuple(sorted(given[0], key=lambda one: [str(name) for name in one.names.values()]))
    return given, not any(row["fresh"] for row in found[0])


def days_of_dearest(
    lines: QuerySet[Any], models: Sequence[SpendGroup], most: int
) -> Mapping[ModelName, dict[date, Decimal]]:
    """Of groups by model the dearest, so many: give what each of their days cost."""
    ranked = sorted(models, key=lambda group: group.amount, reverse=True)[:most]
    days: dict[ModelName, dict[date, Decimal]] = {model_of(one): {} for one in ranked}
    if not days:
        return days
    chosen = Q(model_id__in=[model_id for model_id, _ in days if model_id is not None])
    if any(model_id is None for model_id, _ in days):
        chosen |= Q(model_id=None)
    dearest = lines.filter(chosen, mistral_model__in=[name for _, name in days])
    sums = dearest.order_by().values_list("model_id", "mistral_model", "day").annotate(Sum("cost"))
    for model_id, name, day, cost in sums:
        # the names of one and the id of another were not asked for
        days.get((model_id, name), {})[day] = cost
    return days


def model_of(group: SpendGroup) -> ModelName:
    """Tell which model a group by model is of."""
    return group.names["model_id"], group.names["mistral_model"]


def _added_up(groups: Sequence[SpendGroup], names: Sequence[str]) -> tuple[SpendGroup, ...]:
    """Group groups by some of their members."""
    parts: dict[tuple[Any, ...], list[SpendGroup]] = {}
    for group in groups:
        parts.setdefault(tuple(group.names[name] for name in names), []).append(group)
    return tuple(
        _sum_of(dict(zip(names, values, strict=True)), ones) for values, ones in parts.items()
    )


def _sum_of(names: Mapping[str, Any], groups: Sequence[SpendGroup]) -> SpendGroup:
    first, *others = groups
    if not others:
        whole = (first.amount, first.quantities, first.estimated, first.unpriced, first.events)
        return SpendGroup(names, *whole)
    return SpendGroup(
        names=names,
        amount=sum((one.amount for one in groups), _ZERO),
        quantities={name: sum(one.quantities[name] for one in groups) for name in first.quantities},
        estimated=sum((one.estimated for one in groups), _ZERO),
        unpriced=sum(one.unpriced for one in groups),
        events=sum(one.events for one in groups),
    )


_COLUMNS = {name: f"sum_{name}" for name in QUANTITIES}
_SQL_QUANTITIES = {name: f"sum({name})" for name in QUANTITIES} | {
    "pages": "sum(pages + annotated_pages)"
}
_SQL_SUMS = {
    "amount": "sum(cost)",
    "sum_estimated": "sum(cost) FILTER (WHERE is_estimated)",
    "sum_unpriced": "sum(events) FILTER (WHERE is_unpriced)",
    "sum_events": "sum(events)",
    "fresh": "count(*) FILTER (WHERE id IS NULL)",
}


def _sums(quantities: Sequence[str]) -> dict[str, Combinable]:
    sums: dict[str, Combinable] = {
        f"sum_{name}": Sum(F("pages") + F("annotated_pages")) if name == "pages" else Sum(name)
        for name in quantities
    }
    return sums | {
        "amount": Sum("cost"),
        "sum_estimated": Sum("cost", filter=Q(is_estimated=True)),
        "sum_unpriced": Sum("events", filter=Q(is_unpriced=True)),
        "sum_events": Sum("events"),
    }


def _group(row: Mapping[str, Any], names: Sequence[str]) -> SpendGroup:
    return SpendGroup(
        names={name: row[name] for name in names},
        amount=row["amount"] or _ZERO,
        quantities={name: int(row[key] or 0) for name, key in _COLUMNS.items() if key in row},
        estimated=row["sum_estimated"] or _ZERO,
        unpriced=int(row["sum_unpriced"] or 0),
        events=int(row["sum_events"] or 0),
    )
