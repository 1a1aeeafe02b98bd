"""A paid trial of a key, from its claim to the wire: sent once at most, whoever dies on the way.

**Claim**: a conditional update keeps others away for a while. **Send**: ``sent_at`` is committed
before the request leaves; who finds it there sends nothing more. **Finish**: one conditional
update. What it may cost, and what it did, is the business of the floor above.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.keys import custody, judgement, slots
from tenants.keys.judgement import Finding
from tenants.keys.models import KeyProbe, MistralKey, ProbeStatus, VerdictCode
from tenants.keys.timing import timing
from tenants.mistral.client import ClientTimeouts, MistralClient
from tenants.mistral.errors import MistralError, Reach
from tenants.mistral.wire import Answer
from tenants.organizations import audit
from tenants.organizations.audit import Actor

UndecryptableError = custody.UndecryptableError
WORKER = Actor(kind="worker", id="spend.probe_key", name="spend.probe_key")


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial found.

    Attributes:
        answer: what Mistral answered, if it answered with success.
        reach: whether Mistral can have billed it.
    """

    finding: Finding
    answer: Answer | None
    reach: Reach


def claim(organization_id: UUID, probe_id: UUID) -> KeyProbe | None:
    """Take a pending trial that nobody has."""
    mine = uuid4()
    with scope.tenant(organization_id):
        free = Q(claimed_until=None) | Q(claimed_until__lte=Now())
        pending = KeyProbe.objects.filter(free, pk=probe_id, status=ProbeStatus.PENDING)
        won = pending.update(claim=mine, claimed_until=Now() + timedelta(seconds=timing().claim))
        if not won:
            return None
        rows = KeyProbe.objects.select_related("key__workspace", "organization")
        return rows.get(pk=probe_id)


def send(probe: KeyProbe) -> Trial | None:
    """Ask Mistral for one token in the key's name; None if this trial is not this worker's.

    Raises:
        UndecryptableError: the stored key does not open; nothing was sent.
    """
    with scope.tenant(probe.organization_id):
        plain = custody.borrow(probe.key)
        if not _mine(probe).filter(sent_at=None).update(sent_at=Now()):
            return None
    return _ask(plain, probe.mistral_model)


def finish(
    probe: KeyProbe,
    status: ProbeStatus,
    trial: Trial | None,
    cost: Decimal | None,
    refusal: dict[str, Any] | None = None,
) -> bool:
    """Write what became of a trial; False when it is another worker's by now.

    A refusal that is about the key itself has the key checked, for free.
    """
    found: dict[str, Any] = {}
    if trial is not None:
        found = {"verdict_code": trial.finding.code, "evidence": trial.finding.evidence}
    if trial is not None and trial.answer is not None:
        usage = trial.answer.usage
        found |= {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
        }
    with scope.tenant(probe.organization_id):
        won = _mine(probe).update(
            status=status, finished_at=Now(), cost=cost, refusal=refusal, **found
        )
        if not won:
            return False
        audit.record(
            actor=WORKER,
            organization_id=probe.organization_id,
            verb=f"key.probe_{status}",
            target=probe.key,
        )
        if trial is not None and trial.finding.code is VerdictCode.KEY_UNKNOWN:
            key = MistralKey.objects.filter(pk=probe.key_id, revoked_at=None)
            key.update(**slots.due() | {"held_until": None})
    return True


def take_lost(batch: int = 100) -> list[tuple[UUID, UUID]]:
    """Find pending trials that nobody has: pairs of organization and trial, whosesoever."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT organization_id, probe_id FROM keys_lost_probes(%s)", [batch])
        return list(cursor.fetchall())


def _mine(probe: KeyProbe) -> Any:
    return KeyProbe.objects.filter(pk=probe.pk, status=ProbeStatus.PENDING, claim=probe.claim)


def _ask(plain: Secret[str], model: str) -> Trial:
    times = timing()
    timeouts = ClientTimeouts(connect=times.connect, read=times.probe, total=times.probe)
    with MistralClient(settings.MISTRAL_API_URL, plain, timeouts=timeouts) as client:
        try:
            answer = client.try_model(model)
        except MistralError as error:
            return Trial(judgement.found(error.failure), None, error.failure.reach)
        mark = client.last_answer
    finding = Finding(
        VerdictCode.OK,
        http_status=mark.http_status if mark else None,
        correlation_id=mark.correlation_id if mark else None,
    )
    return Trial(finding, answer, Reach.ANSWERED)
