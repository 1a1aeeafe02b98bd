"""What a closed month's statement says: built from one snapshot of the roll-ups, then never again.

A statement has the month's lines and, for every earlier month, what has changed since it was last
stated: each correction and late event is in exactly one statement, and the statements together are
the ledger. Money is decimal text; names of workspaces are those of the day of closing.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tenants.accounting.models import Statement
from tenants.common import tables
from tenants.common.money import plain
from tenants.common.months import Month
from tenants.organizations.models import Organization, Workspace
from tenants.spend import reports
from tenants.spend.groups import QUANTITIES, SpendGroup, grouped

VERSION = 1
_ZERO = Decimal(0)
_LINE = ("category", "mistral_model", "workspace_id")

type _Key = tuple[str, str, str]
type Document = Mapping[str, Any]


@dataclass(slots=True)
class _Sum:
    """What a line states, or has stated before."""

    amount: Decimal
    quantities: dict[str, int]
    estimated: Decimal = _ZERO
    unpriced: int = 0

    def minus(self, other: "_Sum") -> "_Sum":
        """What is left to state when the other was stated."""
        return _Sum(
            self.amount - other.amount,
            {name: self.quantities[name] - other.quantities.get(name, 0) for name in QUANTITIES},
            self.estimated,
            self.unpriced,
        )

    @property
    def is_nothing(self) -> bool:
        """Tell whether there is nothing to state."""
        return not self.amount and not any(self.quantities.values())


def build(
    organization: Organization, month: Month, earlier: Sequence[Statement], closed_at: datetime
) -> Document:
    """Build a month's document inside a snapshot scope; ``earlier`` are the ones before, in order.

    Raises:
        ValueError: a statement of this or a later month is among the earlier ones.
    """
    if any(one.period >= month.first_day for one in earlier):
        raise ValueError("statements are built in the order of their months")
    names = dict(Workspace.objects.values_list("pk", "name"))
    lines = reports.lines_of(organization)
    own = lines.filter(period=month.first_day)
    groups = grouped(own, _LINE)
    adjustments = _adjustments(organization, month, earlier)
    total = sum((group.amount for group in groups), _ZERO)
    adjusted = sum((Decimal(line["amount"]) for line in adjustments), _ZERO)
    last = earlier[-1] if earlier else None
    return {
        "version": VERSION,
        "organization": {"id": str(organization.pk), "name": organization.name},
        "month": str(month),
        "timezone": month.zone,
        "currency": organization.currency,
        "closed_at": closed_at.isoformat().replace("+00:00", "Z"),
        "total": plain(total),
        "adjustments_total": plain(adjusted),
        "stated_total": plain(total + adjusted),
        "estimated": plain(sum((group.estimated for group in groups), _ZERO)),
        "unpriced": sum(group.unpriced for group in groups),
        "lines": [
            _line(_key(group.names), _of(group), names)
            for group in groups
            if group.events or group.amount
        ],
        "days": [
            {"day": str(group.names["day"]), "amount": plain(group.amount)}
            for group in grouped(own, ("day",))
        ],
        "adjustments": [_named(line, names) for line in adjustments],
        "previous": {"month": f"{last.period:%Y-%m}", "sha256": last.json_sha256} if last else None,
    }


def of_month(month: str) -> Statement | None:
    """Find the statement of a month ``YYYY-MM``, inside the organization's scope."""
    try:
        period = date.fromisoformat(f"{month}-01")
    except ValueError:
        return None
    return Statement.objects.filter(period=period).first()


def as_json(document: Document) -> bytes:
    """Write a document as canonical JSON: sorted names, no white space, UTF-8."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def as_csv(document: Document) -> bytes:
    """Write a document as CSV (RFC 4180): its lines, then its adjustments; ``amount`` adds up."""
    head = ("row", "month", "timezone", "currency", "category", "mistral_model", "workspace_id")
    rows: list[list[object]] = [
        [*head, "workspace", "amount", *QUANTITIES, "estimated", "unpriced"]
    ]
    for kind, lines in (("line", document["lines"]), ("adjustment", document["adjustments"])):
        rows += [
            [
                kind,
                line.get("month", document["month"]),
                document["timezone"],
                document["currency"],
                line["category"],
                line["mistral_model"],
                line["workspace_id"],
                line["workspace"],
                line["amount"],
                *(line["quantities"][name] for name in QUANTITIES),
                line.get("estimated", ""),
                line.get("unpriced", ""),
            ]
            for line in lines
        ]
    return tables.write(rows)


def _adjustments(
    organization: Organization, month: Month, earlier: Sequence[Statement]
) -> list[dict[str, Any]]:
    """Find, for every month before, what it sums up to now and did not when it was stated."""
    stated = _stated(earlier)
    found: list[dict[str, Any]] = []
    past = reports.lines_of(organization).filter(period__lt=month.first_day)
    current: dict[str, dict[_Key, _Sum]] = defaultdict(dict)
    for group in grouped(past, ("period", *_LINE)):
        period = group.names["period"]
        assert isinstance(period, date)  # noqa: S101 - what the column is
        current[f"{period:%Y-%m}"][_key(group.names)] = _of(group)
    nothing = _Sum(_ZERO, dict.fromkeys(QUANTITIES, 0))
    for name in sorted({*current, *stated}):
        for key in sorted({*current[name], *stated[name]}):
            change = current[name].get(key, nothing).minus(stated[name].get(key, nothing))
            if not change.is_nothing:
                line = _line(key, change, {})
                del line["estimated"], line["unpriced"]
                found.append({"month": name, **line})
    return found


def _stated(earlier: Iterable[Statement]) -> dict[str, dict[_Key, _Sum]]:
    """Add up what the statements before have said of each month."""
    stated: dict[str, dict[_Key, _Sum]] = defaultdict(dict)
    for statement in earlier:
        document = json.loads(bytes(statement.json))
        for line in (*document["lines"], *document["adjustments"]):
            of_month = stated[line.get("month", document["month"])]
            key = (line["category"], line["mistral_model"], line["workspace_id"])
            known = of_month.setdefault(key, _Sum(_ZERO, dict.fromkeys(QUANTITIES, 0)))
            known.amount += Decimal(line["amount"])
            for name, quantity in line["quantities"].items():
                known.quantities[name] = known.quantities.get(name, 0) + quantity
    return stated


def _key(names: Mapping[str, Any]) -> _Key:
    return (str(names["category"]), str(names["mistral_model"]), str(names["workspace_id"]))


def _of(group: SpendGroup) -> _Sum:
    return _Sum(group.amount, dict(group.quantities), group.estimated, group.unpriced)


def _line(key: _Key, found: _Sum, names: Mapping[UUID, str]) -> dict[str, Any]:
    category, mistral_model, workspace_id = key
    line = {
        "category": category,
        "mistral_model": mistral_model,
        "workspace_id": workspace_id,
        "amount": plain(found.amount),
        "quantities": found.quantities,
        "estimated": plain(found.estimated),
        "unpriced": found.unpriced,
    }
    return _named(line, names)


def _named(line: dict[str, Any], names: Mapping[UUID, str]) -> dict[str, Any]:
    return line | {"workspace": names.get(UUID(line["workspace_id"]), "")}
