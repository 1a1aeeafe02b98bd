"""Writes down what the Admin API told, step by step; it compares nothing and deletes nothing.

Steps come in one order, since later ones need what earlier ones saw: usage is asked for by
workspace. A step is named ``kind`` or, of usage, ``usage:2026-10:<id of the workspace at Mistral>``
(empty for the whole organization).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from tenants.accounting.models import Observed, ObservedKind, SyncRun
from tenants.mistral.admin import AdminClient
from tenants.mistral.admin_usage import MonthUsage
from tenants.mistral.lenient import Listed

_USAGE = "usage"
#: How the id of a usage ends that is of the whole organization.
WHOLE_ORGANIZATION = ":"
_ONLY = "organization"
_SIMPLE = (
    ObservedKind.ROLE,
    ObservedKind.WORKSPACE,
    ObservedKind.MEMBER,
    ObservedKind.SPEND_LIMIT,
    ObservedKind.RATE_LIMIT,
    ObservedKind.KEY,
)


@dataclass(frozen=True, slots=True)
class Told:
    """One answer: facts by the id that they have at Mistral, and whether the step is over.

    Attributes:
        sent: how many rows came, readable or not.
        total: how many there are, where that is told.
    """

    facts: tuple[tuple[str, dict[str, Any]], ...]
    skipped: int = 0
    sent: int = 0
    total: int | None = None
    is_paged: bool = False


def steps(months: Iterable[date]) -> list[str]:
    """List the steps that are known before anything was asked."""
    return [*(kind.value for kind in _SIMPLE), *(f"{_USAGE}:{day:%Y-%m}:" for day in months)]


def usage_steps(months: Iterable[date]) -> Iterator[str]:
    """List the steps that the observed workspaces add, inside the scope."""
    seen = Observed.objects.filter(kind=ObservedKind.WORKSPACE, missing_since=None)
    workspaces = list(seen.order_by("external_id").values_list("external_id", flat=True))
    for day in months:
        for workspace in workspaces:
            yield f"{_USAGE}:{day:%Y-%m}:{workspace}"


def ask(client: AdminClient, step: str, page: int) -> Told:
    """Put the question of a step.

    Raises:
        MistralError: whatever went wrong.
    """
    kind, _separator, rest = step.partition(":")
    if kind == _USAGE:
        month, _separator, workspace = rest.partition(":")
        return _of_usage(client.usage(date.fromisoformat(f"{month}-01"), workspace), rest)
    return _QUESTIONS[ObservedKind(kind)](client, page)


def write(run: SyncRun, step: str, told: Told) -> None:
    """Write an answer down, inside the scope."""
    kind = step.partition(":")[0]
    for external_id, fact in told.facts:
        Observed.objects.update_or_create(
            organization_id=run.organization_id,
            kind=kind,
            external_id=external_id,
            defaults={"data": fact, "last_run": run, "seen_at": Now(), "missing_since": None},
        )


def mark_missing(run: SyncRun, step: str) -> int:
    """Mark what a finished step did not tell any more, and count it; usage never goes missing."""
    kind = step.partition(":")[0]
    if kind == _USAGE:
        return 0
    gone = Observed.objects.filter(kind=kind, missing_since=None).exclude(last_run=run)
    return gone.update(missing_since=Now())


def _of_rows(listed: Listed[Any], *, is_paged: bool) -> Told:
    facts = {row.id: _plain(asdict(row)) for row in listed.rows}
    return Told(tuple(facts.items()), listed.skipped, listed.sent, listed.total, is_paged)


def _of_spend_limit(client: AdminClient) -> Told:
    return Told(((_ONLY, _plain(asdict(client.spend_limit()))),), sent=1)


def _of_rate_limit(client: AdminClient) -> Told:
    limits = client.rate_limit()
    models = {row.model: _plain(asdict(row)) for row in limits.models.rows}
    fact = {"requests_per_second": limits.requests_per_second, "models": models}
    return Told(((_ONLY, fact),), limits.models.skipped, limits.models.sent)


def _of_usage(usage: MonthUsage, name: str) -> Told:
    fact = _plain(asdict(usage))
    return Told(((name, fact),), usage.skipped, len(usage.rows))


def _plain(value: Any) -> Any:
    """Write facts as JSON takes them: numbers as decimal text, instants as RFC 3339."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


_QUESTIONS: Mapping[ObservedKind, Callable[[AdminClient, int], Told]] = {
    ObservedKind.ROLE: lambda client, _page: _of_rows(client.roles(), is_paged=False),
    ObservedKind.WORKSPACE: lambda client, page: _of_rows(client.workspaces(page), is_paged=True),
    ObservedKind.MEMBER: lambda client, page: _of_rows(client.members(page), is_paged=True),
    ObservedKind.KEY: lambda client, page: _of_rows(client.api_keys(page), is_paged=True),
    ObservedKind.SPEND_LIMIT: lambda client, _page: _of_spend_limit(client),
    ObservedKind.RATE_LIMIT: lambda client, _page: _of_rate_limit(client),
}
