"""Takes calls that AIsuru made without the gateway: priced, posted and counted like any other.

A report cannot be refused by a limit, because the money is spent. What cannot be counted safely is
rejected by itself, with its reasons; the rest of the batch is taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.common import scope
from tenants.common.problems import FieldError
from tenants.keys.models import MistralKey
from tenants.mistral.errors import WireError
from tenants.mistral.wire import Quantity, Usage, read_usage
from tenants.organizations import audit
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization, Workspace
from tenants.registry import leading
from tenants.registry.leading import NONE, Moved
from tenants.registry.models import RegisteredModel
from tenants.spend import posting, pricebook
from tenants.spend.calls import TRANSCRIPTIONS, Category, Outcome, Source, category_of
from tenants.spend.models import PostedEvent
from tenants.spend.pricing import Modifier, Quantities, cost
from tenants.spend.rows import Row, quantities_row, rare_quantities, storable

#: Clocks differ a little.
_AHEAD = timedelta(minutes=5)
#: What is older belongs to no bill that anybody still checks.
OLDEST = timedelta(days=400)
_LARGEST = 2**31 - 1
_PRIORITY = "priority"
_COUNTS = (
    *("pages_processed", "annotated_pages", "characters"),
    *("training_tokens", "storage_months"),
)
_OWN = (*_COUNTS, "connectors")
#: The events that a report may become.
_CALL, _TOOLS = "", "connectors"


@dataclass(frozen=True, slots=True)
class ReportedCall:
    """A call as its caller tells it.

    Attributes:
        event_id: the caller's own name for it, once for ever.
        workspace_id, key_id, model_id: whose call it was; the last two if they are known here.
        model: the Mistral model that answered, or was asked.
        endpoint: as in ``/v1/chat/completions``.
        occurred_at: when.
        usage: Mistral's usage object; ``pages_processed``, ``annotated_pages``, ``characters``,
            ``training_tokens`` and ``storage_months`` beside its own members.
        message_id: the AIsuru message that it was made for; may be empty.
    """

    event_id: str
    workspace_id: UUID
    model: str
    endpoint: str
    occurred_at: datetime
    usage: Mapping[str, Any]
    key_id: UUID | None = None
    model_id: UUID | None = None
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of a batch: how many were taken, were known before, and why others were not."""

    accepted: int
    duplicate: int
    rejected: tuple[tuple[str, tuple[FieldError, ...]], ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """What an organization has: workspaces, and of keys and models the workspace of each.

    ``keys_of`` has the key of each model, ``moved`` what keys know of names that lead elsewhere.
    """

    workspaces: frozenset[UUID]
    keys: Mapping[UUID, UUID]
    models: Mapping[UUID, UUID]
    keys_of: Mapping[UUID, UUID]
    moved: Mapping[UUID, Moved]

    def moved_for(self, call: ReportedCall) -> Moved:
        """Tell what the key of a call knows, where one was named, itself or by its model."""
        key_id = call.key_id or (self.keys_of.get(call.model_id) if call.model_id else None)
        return self.moved.get(key_id, NONE) if key_id else NONE


class _UnusableError(ValueError):
    """A usage object that cannot be counted."""


def report_usage(
    *, actor: Actor, organization: Organization, calls: Sequence[ReportedCall]
) -> Reported:
    """Post what was reported, each ``event_id`` once for ever, also within one batch.

    Unknown prices are taken and flagged as unpriced: the call was made.
    """
    book = pricebook.of_organization(organization.pk)
    rejected: list[tuple[str, tuple[FieldError, ...]]] = []
    entries: list[Row] = []
    taken: dict[str, UUID] = {}
    duplicate = 0
    with scope.tenant(organization.pk):
        # One report at a time: two that name an event in other parts would both count it.
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        before = _counted(organization, calls)
        known, calendar = _known(calls), posting.Calendar(organization)
        for call in calls:
            if call.event_id in taken or call.event_id in before:
                duplicate += 1
                continue
            problems = _problems(call, known)
            try:
                moved = known.moved_for(call)
                made = [] if problems else _entries(organization, call, book, calendar, moved)
            except _UnusableError as error:
                problems = [FieldError("/usage", "usage_unusable", str(error))]
            if problems:
                rejected.append((call.event_id, tuple(problems)))
                continue
            taken[call.event_id] = made[0]["digest"]
            entries += made
        news = posting.post(entries)
        accepted = sum(digest in news for digest in taken.values())
        if accepted:
            audit.record(
                actor=actor,
                organization_id=organization.pk,
                verb="usage.reported",
                target=organization,
            )
    return Reported(accepted, duplicate + len(taken) - accepted, tuple(rejected))


def _counted(organization: Organization, calls: Sequence[ReportedCall]) -> set[str]:
    """Tell which were counted before, in whatever parts: what comes later adds none to them."""
    names = {
        _digest(organization, call.event_id, part): call.event_id
        for call in calls
        for part in (_CALL, _TOOLS)
    }
    found = PostedEvent.objects.filter(organization=organization, digest__in=names)
    return {names[digest] for digest in found.values_list("digest", flat=True)}


def _digest(organization: Organization, event_id: str, part: str) -> UUID:
    return posting.digest_of(str(organization.pk), "reported", event_id, part)


def _known(calls: Sequence[ReportedCall]) -> _Known:
    """Look up all that a batch names, in four queries, inside the tenant's scope."""
    keys = MistralKey.objects.filter(pk__in={call.key_id for call in calls if call.key_id})
    models = RegisteredModel.objects.filter(
        pk__in={call.model_id for call in calls if call.model_id}
    )
    workspace_of = dict(keys.values_list("pk", "workspace_id"))
    rows = list(models.values_list("pk", "workspace_id", "key_id"))
    return _Known(
        frozenset(
            Workspace.objects.filter(pk__in={call.workspace_id for call in calls}).values_list(
                "pk", flat=True
            )
        ),
        workspace_of,
        {model_id: workspace_id for model_id, workspace_id, _key_id in rows},
        {model_id: key_id for model_id, _workspace_id, key_id in rows},
        leading.moved_of({*workspace_of, *(key_id for *_, key_id in rows)}),
    )


def _problems(call: ReportedCall, known: _Known) -> list[FieldError]:
    found = []
    if call.workspace_id not in known.workspaces:
        found.append(_absent("/workspace_id"))
    if call.key_id is not None and known.keys.get(call.key_id) != call.workspace_id:
        found.append(_absent("/key_id"))
    if call.model_id is not None and known.models.get(call.model_id) != call.workspace_id:
        found.append(_absent("/model_id"))
    now = timezone.now()
    if call.occurred_at > now + _AHEAD:
        detail = _("This lies in the future.")
        found.append(FieldError("/occurred_at", "in_the_future", detail))
    elif call.occurred_at < now - OLDEST:
        detail = _("This is more than %(days)s days ago.") % {"days": OLDEST.days}
        found.append(FieldError("/occurred_at", "too_old", detail))
    return found


def _absent(pointer: str) -> FieldError:
    return FieldError(pointer, "not_found", _("There is nothing here."))


def _entries(
    organization: Organization,
    call: ReportedCall,
    book: pricebook.PriceBook,
    calendar: posting.Calendar,
    moved: Moved,
) -> list[Row]:
    """Describe a call's event; what built-in tools it used is an event of its own on the bill.

    Raises:
        _UnusableError: the usage object.
    """
    usage, used = _used(call.endpoint, call.usage)
    connectors = _connectors(call.usage)
    is_call = used != _NOTHING or not connectors
    parts = [(_CALL, category_of(call.endpoint), used)] if is_call else []
    if connectors:
        tools = Quantities(requests=0 if parts else 1, connector_calls=connectors)
        parts.append((_TOOLS, Category.CONNECTORS, tools))
    period = calendar.month_of(call.occurred_at).first_day
    snapshot = leading.follow(call.model, moved)
    prices = book.prices_for(snapshot, organization.currency, call.occurred_at)
    modifiers = (Modifier.PRIORITY,) if usage.service_tier == _PRIORITY else ()
    entries = []
    for part, category, quantities in parts:
        digest = _digest(organization, call.event_id, part)
        spent = cost(quantities, prices, modifiers)
        entries.append(
            quantities_row(quantities)
            | rare_quantities(quantities)
            | {
                "digest": digest,
                "id": posting.event_id(digest, call.occurred_at),
                "organization_id": organization.pk,
                "workspace_id": call.workspace_id,
                "key_id": call.key_id,
                "model_id": call.model_id,
                "occurred_at": call.occurred_at,
                "period": period,
                "source": Source.REPORTED,
                "category": category,
                "endpoint": storable(call.endpoint, 64),
                "requested_model": storable(call.model, 200),
                "answered_model": storable(moved.get(call.model, ""), 200),
                "requests": quantities.requests,
                "currency": organization.currency,
                "cost": posting.text_of(spent.amount),
                "factor": str(spent.factor),
                "price_ids": spent.price_ids,
                "estimate": "",
                "outcome": Outcome.COMPLETED,
                "message_id": storable(call.message_id, 200),
                "request_id": storable(call.event_id, 64),
                "correlation_id": "",
            }
        )
    return entries


_NOTHING = Quantities()


def _used(endpoint: str, usage: Mapping[str, Any]) -> tuple[Usage, Quantities]:
    """Read what was used of a usage object, as the gateway reads Mistral's.

    Raises:
        _UnusableError: it cannot be read, or tells nothing.
    """
    try:
        told = read_usage(usage)
    except WireError as error:
        raise _UnusableError(str(error)) from None
    counts = {name: _count(usage, name) for name in _COUNTS}
    # What connectors bring in is read by the model like everything else.
    prompt = (told.prompt_tokens or 0) + (told.connector_tokens or 0)
    completion, cached = told.completion_tokens or 0, told.cached_tokens or 0
    if endpoint == TRANSCRIPTIONS and told.prompt_audio_seconds:
        prompt = completion = cached = 0
    numbers = (prompt, completion, told.prompt_audio_seconds or 0)
    if told.quantity is Quantity.ABSENT and not any(name in usage for name in _OWN):
        raise _UnusableError(_("It tells nothing that was used."))
    if max(*numbers, *counts.values()) > _LARGEST:
        raise _UnusableError(_("A number is too large."))
    return told, replace(
        _NOTHING,
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        audio_seconds=told.prompt_audio_seconds or 0,
        pages=max(counts["pages_processed"] - counts["annotated_pages"], 0),
        annotated_pages=counts["annotated_pages"],
        characters=counts["characters"],
        training_tokens=counts["training_tokens"],
        storage_months=counts["storage_months"],
    )


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name, 0)
    if type(value) is not int or value < 0:
        raise _UnusableError(_("%(name)s is not a whole number.") % {"name": name})
    return value


def _connectors(usage: Mapping[str, Any]) -> int:
    """Sum the calls of built-in tools (``connectors`` of a conversation's usage)."""
    named = usage.get("connectors") or {}
    if not isinstance(named, Mapping):
        raise _UnusableError(_("%(name)s is not a whole number.") % {"name": "connectors"})
    return sum(_count(named, name) for name in named)
