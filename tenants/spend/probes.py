"""The verb that asks for a paid trial of a key: priced first, and only because somebody asked.

The free check shows that Mistral accepts a key. That its calls are paid for only a call shows, so
this makes the smallest one. It is metered like any other, in a category of its own, and every limit
holds for it.
"""

from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal
from functools import partial

from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.common import scope
from tenants.common.models import new_id
from tenants.common.problems import Conflict, Invalid
from tenants.common.queue import enqueue_on_commit
from tenants.keys import slots
from tenants.keys.models import (
    Availability,
    KeyProbe,
    KeyStatus,
    MistralKey,
    ProbeStatus,
    SeenModel,
)
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization
from tenants.registry import catalog, leading
from tenants.spend import probing, tasks
from tenants.spend.pricing import PriceState, WorstCase

_CHAT = "completion_chat"
_CLOSED = frozenset({KeyStatus.EXPIRED, KeyStatus.UNDECRYPTABLE})


@dataclass(frozen=True, slots=True)
class _Choice:
    """A model to try, and the most that it costs; None when nobody knows."""

    mistral_model: str
    cost: WorstCase


def request_probe(*, actor: Actor, key: MistralKey, mistral_model: str | None = None) -> KeyProbe:
    """Have one token paid for with a key; the trial that is pending already, if there is one.

    Args:
        actor: who asks, and spends.
        key: which key.
        mistral_model: a chat model that the key sees; None takes the cheapest.

    Raises:
        Invalid: ``model_not_available``, with ``near_matches``.
        Conflict: ``key_revoked``, ``key_not_usable``, ``no_model_to_try``.
    """
    try:
        return _request(actor, key, mistral_model)
    except IntegrityError as error:
        if "key_probe_one_pending" not in str(error):
            raise
    # Somebody asked in the same instant: that trial is there now.
    return _request(actor, key, mistral_model)


@dataclass(frozen=True, slots=True)
class ProbeQuote:
    """What a paid trial would try, and the most that it could cost; None when nobody knows."""

    mistral_model: str
    amount: Decimal | None
    currency: str


def quote_probe(key: MistralKey) -> ProbeQuote | None:
    """Tell what a trial would cost at most; None while no trial can be made of this key.

    Nothing is asked and nothing is spent.
    """
    if key.status in _CLOSED or key.revoked_at is not None:
        return None
    with scope.tenant(key.organization_id):
        currency = Organization.objects.get(pk=key.organization_id).currency
        try:
            choice = _choose(key, currency, None)
        except Conflict:
            return None
    return ProbeQuote(choice.mistral_model, choice.cost.cost.amount, currency)


def _request(actor: Actor, key: MistralKey, mistral_model: str | None) -> KeyProbe:
    with scope.tenant(key.organization_id):
        current = slots.locked(key)
        pending = KeyProbe.objects.filter(key=current, status=ProbeStatus.PENDING).first()
        if pending is not None:
            return pending
        if current.status in _CLOSED:
            detail = _("This key cannot be used at present. Its last check says what to do.")
            raise Conflict("key_not_usable", detail, key_status=current.status)
        organization = Organization.objects.get(pk=key.organization_id)
        choice = _choose(current, organization.currency, mistral_model)
        probe = KeyProbe.objects.create(
            id=new_id(),
            organization_id=key.organization_id,
            key=current,
            mistral_model=choice.mistral_model,
            requested_by=actor.name,
            quote=choice.cost.cost.amount,
            currency=organization.currency,
        )
        slots.done(actor, current, "key.probe_requested")
        enqueue_on_commit(tasks.probe_key, str(key.organization_id), str(probe.pk))
    return probe


def _choose(key: MistralKey, currency: str, wished: str | None) -> _Choice:
    now, owner = timezone.now(), key.organization_id
    seen = SeenModel.objects.filter(
        key=key, availability=Availability.AVAILABLE, capabilities__contains={_CHAT: True}
    )
    if not seen.exists():
        detail = _(
            "No chat model of this key is known yet. Wait until its free check has succeeded."
        )
        raise Conflict("no_model_to_try", detail)
    names = list(seen.values_list("mistral_id", flat=True))
    if wished is not None:
        if wished not in names:
            detail = _("The key does not see a chat model %(model)s at Mistral.")
            near = catalog.near_matches(wished, names)
            raise Invalid.field(
                "/model", "model_not_available", detail % {"model": wished}, near_matches=near
            )
        names = [wished]
    moved = leading.moved(key.pk)
    choices = [
        _Choice(name, probing.worst_case(owner, name, moved, currency, now))
        for name in sorted(names)
    ]
    return min(choices, key=partial(_rank, now.astimezone(UTC).date()))


def _rank(today: date, choice: _Choice) -> tuple[bool, bool, bool, Decimal]:
    """Put before others what tells most for least: a model that is paid for, and not about to go.

    A free model would show nothing about payment, and Labs models are off in most organizations.
    """
    published = catalog.find(choice.mistral_model)
    cost = choice.cost.cost
    return (
        cost.state is not PriceState.PRICED,
        published is None or published.is_retired(today),
        choice.mistral_model.startswith("labs-"),
        cost.amount or Decimal(0),
    )
