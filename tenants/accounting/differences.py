"""Compares what the Admin API told with what is here: a pure reading, inside the scope.

It proposes which workspace and which key of ours is which of Mistral's, and says where the two
sides differ. It decides nothing: what may be applied without a person is in ``applying``.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from tenants.accounting import people
from tenants.accounting.difference import Difference, DifferenceCode
from tenants.accounting.models import Observed, ObservedKind
from tenants.keys.models import KeyStatus, MistralKey
from tenants.organizations.models import Organization, Workspace
from tenants.spend.calls import SubjectKind
from tenants.spend.models import Limit

#: More are not kept; whoever has that many has another problem than seeing all of them.
MOST = 500


@dataclass(frozen=True, slots=True)
class Matches:
    """Which row of ours is which of Mistral's, by id at Mistral."""

    workspaces: Mapping[str, Workspace] = field(default_factory=dict)
    keys: Mapping[str, MistralKey] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What a comparison found."""

    rows: tuple[Difference, ...]
    matches: Matches


@dataclass(frozen=True, slots=True)
class _Sides:
    """Both sides, read once."""

    workspaces: list[Workspace]
    keys: list[MistralKey]
    their_workspaces: dict[str, Observed]
    their_keys: dict[str, Observed]


def find(organization_id: UUID) -> Found:
    """Compare, inside the organization's scope."""
    organization = Organization.objects.get(pk=organization_id)
    sides = _Sides(
        workspaces=list(Workspace.objects.filter(archived_at=None).order_by("id")),
        keys=list(MistralKey.objects.filter(revoked_at=None).order_by("id")),
        their_workspaces=_observed(ObservedKind.WORKSPACE),
        their_keys=_observed(ObservedKind.KEY),
    )
    keys, ambiguous = _match_keys(sides)
    workspaces = _match_workspaces(sides, keys)
    rows = [
        *_of_workspaces(sides, workspaces),
        *_of_keys(sides, keys, ambiguous, workspaces),
        *_of_limits(organization, workspaces, sides),
        *people.compare(),
    ]
    return Found(tuple(rows[:MOST]), Matches(workspaces, keys))


def _observed(kind: ObservedKind) -> dict[str, Observed]:
    rows = Observed.objects.filter(kind=kind, missing_since=None).order_by("external_id")
    return {row.external_id: row for row in rows}


def _match_keys(sides: _Sides) -> tuple[dict[str, MistralKey], list[MistralKey]]:
    """Match by the last four characters: one of ours with one of theirs, and no other.

    Several keys of theirs with the same four are told apart by the name of the key, which a key's
    own check has learned (``identity``).
    """
    by_tail: dict[str, list[Observed]] = defaultdict(list)
    for theirs in sides.their_keys.values():
        if tail := _last4(theirs.data):
            by_tail[tail].append(theirs)
    of_ours: dict[str, list[MistralKey]] = defaultdict(list)
    for key in sides.keys:
        of_ours[key.last4].append(key)
    matched: dict[str, MistralKey] = {}
    ambiguous: list[MistralKey] = []
    for tail, ours in of_ours.items():
        candidates = by_tail.get(tail, [])
        for key in ours:
            fitting = candidates
            if len(fitting) > 1 or len(ours) > 1:
                called = (key.identity or {}).get("key_name")
                fitting = [one for one in candidates if called and one.data.get("name") == called]
            if len(fitting) == 1 and fitting[0].external_id not in matched:
                matched[fitting[0].external_id] = key
            elif candidates:
                ambiguous.append(key)
    return matched, ambiguous


def _match_workspaces(sides: _Sides, keys: Mapping[str, MistralKey]) -> dict[str, Workspace]:
    """Match by what was declared, then tied before, then by whose keys are in it, then by name."""
    ours = {workspace.pk: workspace for workspace in sides.workspaces}
    matched: dict[str, Workspace] = {}
    for workspace in sides.workspaces:
        _tie(matched, workspace.mistral_workspace_id, workspace, sides)
    for theirs in sides.their_workspaces.values():
        if theirs.ours in ours:
            _tie(matched, theirs.external_id, ours[theirs.ours], sides)
    votes: dict[UUID, set[str]] = defaultdict(set)
    for external_id, key in keys.items():
        votes[key.workspace_id].add(str(sides.their_keys[external_id].data.get("workspace_id")))
    for workspace_id, homes in votes.items():
        if len(homes) == 1 and workspace_id in ours:
            _tie(matched, next(iter(homes)), ours[workspace_id], sides)
    for workspace in sides.workspaces:
        named = [
            theirs.external_id
            for theirs in sides.their_workspaces.values()
            if str(theirs.data.get("name", "")).casefold() == workspace.name.casefold()
        ]
        if len(named) == 1:
            _tie(matched, named[0], workspace, sides)
    return matched


def _tie(
    matched: dict[str, Workspace], external_id: str, workspace: Workspace, sides: _Sides
) -> None:
    taken = workspace.pk in {one.pk for one in matched.values()}
    if external_id in sides.their_workspaces and external_id not in matched and not taken:
        matched[external_id] = workspace


def _of_workspaces(sides: _Sides, matched: Mapping[str, Workspace]) -> Iterator[Difference]:
    kind = ObservedKind.WORKSPACE.value
    for external_id, theirs in sides.their_workspaces.items():
        name = str(theirs.data.get("name", ""))
        ours = matched.get(external_id)
        if ours is None:
            code = DifferenceCode.WORKSPACE_ONLY_AT_MISTRAL
            yield Difference(code, kind, name, mistral_id=external_id)
        elif ours.name != name:
            code = DifferenceCode.WORKSPACE_NAME_DIFFERS
            yield Difference(code, kind, ours.name, ours.pk, external_id, ours.name, name)
    known = {workspace.pk for workspace in matched.values()}
    for workspace in sides.workspaces:
        if workspace.pk not in known:
            yield Difference(DifferenceCode.WORKSPACE_ONLY_HERE, kind, workspace.name, workspace.pk)


def _of_keys(
    sides: _Sides,
    matched: Mapping[str, MistralKey],
    ambiguous: list[MistralKey],
    workspaces: Mapping[str, Workspace],
) -> Iterator[Difference]:
    kind = ObservedKind.KEY.value
    for external_id, theirs in sides.their_keys.items():
        ours = matched.get(external_id)
        shown = f"{theirs.data.get('name') or ''} …{_last4(theirs.data)}".strip()
        if ours is None:
            yield Difference(
                DifferenceCode.KEY_ONLY_AT_MISTRAL, kind, shown, mistral_id=external_id
            )
            continue
        home = workspaces.get(str(theirs.data.get("workspace_id")))
        if home is not None and home.pk != ours.workspace_id:
            code = DifferenceCode.KEY_WORKSPACE_DIFFERS
            there = theirs.data.get("workspace_name") or None
            yield Difference(code, kind, shown, ours.pk, external_id, None, there)
        expires_on = expiry_of(theirs.data)
        if expires_on != ours.expires_on:
            yield Difference(
                DifferenceCode.KEY_EXPIRY_DIFFERS,
                kind,
                shown,
                ours.pk,
                external_id,
                _text(ours.expires_on),
                _text(expires_on),
            )
    known = {key.pk for key in matched.values()}
    for key in sides.keys:
        if key.pk in known or key.status != KeyStatus.VALID or not sides.their_keys:
            continue
        code = DifferenceCode.KEY_AMBIGUOUS if key in ambiguous else DifferenceCode.KEY_ONLY_HERE
        yield Difference(code, kind, f"{key.name} …{key.last4}".strip(), key.pk)


def _of_limits(
    organization: Organization, workspaces: Mapping[str, Workspace], sides: _Sides
) -> Iterator[Difference]:
    kind = ObservedKind.SPEND_LIMIT.value
    ours = dict(
        Limit.objects.filter(
            subject_kind__in=[SubjectKind.ORGANIZATION.value, SubjectKind.WORKSPACE.value]
        ).values_list("subject_id", "monthly_spend")
    )
    whole = Observed.objects.filter(kind=ObservedKind.SPEND_LIMIT, missing_since=None).first()
    if whole is not None:
        if whole.data.get("payment_failed"):
            yield Difference(DifferenceCode.PAYMENT_FAILED, kind, organization.name)
        told = None if whole.data.get("is_unlimited") else _amount(whole.data.get("limit"))
        yield from _limit(
            organization, ours.get(organization.pk), told, whole.data.get("currency"), organization
        )
    for external_id, workspace in workspaces.items():
        data = sides.their_workspaces[external_id].data
        told = _amount(data.get("limit"))
        yield from _limit(
            workspace, ours.get(workspace.pk), told, data.get("currency"), organization
        )


def _limit(
    subject: Organization | Workspace,
    ours: Decimal | None,
    theirs: Decimal | None,
    currency: Any,
    organization: Organization,
) -> Iterator[Difference]:
    """Compare a limit; one in another currency is told with it, never converted."""
    is_same_currency = not currency or currency == organization.currency
    if ours == theirs and (theirs is None or is_same_currency):
        return
    told = _text(theirs) if is_same_currency or theirs is None else f"{theirs} {currency}"
    yield Difference(
        DifferenceCode.LIMIT_DIFFERS,
        ObservedKind.SPEND_LIMIT.value,
        subject.name,
        subject.pk,
        ours=_text(ours),
        theirs=told,
    )


def expiry_of(data: Mapping[str, Any]) -> date | None:
    """Read the expiry date of an observed key."""
    text = data.get("expires_on")
    return date.fromisoformat(text) if isinstance(text, str) and text else None


def _last4(data: Mapping[str, Any]) -> str:
    hidden = str(data.get("hidden") or "")
    return hidden[-4:] if "." in hidden or "…" in hidden or "*" in hidden else ""


def _amount(value: Any) -> Decimal | None:
    return Decimal(value) if isinstance(value, str) else None


def _text(value: Decimal | date | None) -> str | None:
    if value is None:
        return None
    return format(value.normalize(), "f") if isinstance(value, Decimal) else value.isoformat()
