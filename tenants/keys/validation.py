"""The check of one key: claim it, ask Mistral with no transaction open, write the verdict.

Every check may run twice, at once, or die half-way. **Claim**: a conditional update holds the key
for a while. **Work**: HTTP, nothing held in the database. **Commit**: a conditional update on the
claim; whoever lost it (another worker, a replaced or deleted key) writes nothing. A claim that
outlives its worker lapses, and the sweep enqueues the key again.
"""

import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db.models import Case, F, Q, When
from django.db.models.functions import Now

from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.keys import announcing, custody, expiry, judgement, pacing, placing, replacing, seeing
from tenants.keys.judgement import Circumstances, Finding
from tenants.keys.models import KeyReplacement, KeyVerdict, MistralKey, VerdictCode
from tenants.keys.timing import Timing, spread, timing
from tenants.mistral.client import ClientTimeouts, MistralClient
from tenants.mistral.errors import Confidence, MistralError
from tenants.organizations import audit
from tenants.organizations.audit import Actor
from tenants.organizations.models import OrganizationStatus, Workspace

log = structlog.get_logger(__name__)

WORKER = Actor(kind="worker", id="keys.validate", name="keys.validate")


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A key that this worker may check for a while.

    Attributes:
        present: when the key was read, by the database's clock.
        finding: known without a call.
        waiting: the secret that may replace the key's, if one waits.
        no_later: when the next check is due at the latest.
        pause: seconds until it is this check's turn to ask.
        began: ``present`` by this process's monotonic clock.
    """

    claim: UUID
    key: MistralKey
    present: datetime
    plain: Secret[str] | None
    finding: Finding | None
    waiting: KeyReplacement | None = None
    no_later: datetime | None = None
    pause: float = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def now(self) -> datetime:
        """The present instant by the database's clock: a worker's own may be wrong."""
        return self.present + timedelta(seconds=time.monotonic() - self.began)


def validate(organization_id: UUID, key_id: UUID) -> None:
    """Check a key if it is due and nobody else has it; otherwise do nothing.

    Raises:
        django.db.OperationalError: the database went away; the claim lapses by itself.
    """
    times = timing()
    claimed = _claim(organization_id, key_id, times)
    if claimed is not None and claimed.pause:
        time.sleep(claimed.pause)
    if claimed is not None and claimed.waiting is not None:
        claimed = _try_waiting(claimed, claimed.waiting, times)
    if claimed is None:
        return
    finding = claimed.finding
    if claimed.plain is not None and finding is None:
        finding = _ask(claimed.plain, claimed.key.workspace, times)
    if finding is None:
        return
    _commit(claimed, finding, times)


def _claim(organization_id: UUID, key_id: UUID, times: Timing) -> _Claimed | None:
    """Take a due key, and open it or find at once why it need not be asked about."""
    claim = uuid4()
    with scope.tenant(organization_id):
        free = Q(claim=None) | Q(held_until__lte=Now())
        won = MistralKey.objects.filter(free, pk=key_id, next_check_at__lte=Now()).update(
            claim=claim,
            held_until=Now() + timedelta(seconds=times.claim),
            attempts=F("attempts") + 1,
        )
        if not won:
            return None
        key, present = _read(key_id)
        if key.organization.status != OrganizationStatus.ACTIVE or key.workspace.archived_at:
            _put_to_sleep(key, times)
            return None
        claimed = _opened(claim, key, present)
        if waiting := replacing.of(key):
            if claimed.finding is None and waiting.ends_at > present:
                claimed = replace(claimed, waiting=waiting)
            else:
                replacing.take_over(WORKER, key, waiting, claim)
                claimed = _opened(claim, *_read(key_id))
        if claimed.finding is not None:
            return claimed
        turn = pacing.take(key, times)
        if not turn.is_mine:
            _let_go(claimed, turn.wait)
            return None
        return replace(claimed, pause=turn.wait)


def _opened(claim: UUID, key: MistralKey, present: datetime) -> _Claimed:
    """Open a claimed key, or find at once why it need not be asked about."""
    if expiry.has_expired(key.expires_on, key.organization.timezone, present):
        finding = Finding(VerdictCode.EXPIRED_LOCALLY, judgement.OWN_DATE)
        return _Claimed(claim, key, present, None, finding)
    try:
        return _Claimed(claim, key, present, custody.borrow(key), None)
    except custody.UndecryptableError:
        finding = Finding(VerdictCode.UNDECRYPTABLE, judgement.BOX_CLOSED)
        return _Claimed(claim, key, present, None, finding)


def _read(key_id: UUID) -> tuple[MistralKey, datetime]:
    """Read a key with all it depends on, and the present instant by the database's clock."""
    rows = MistralKey.objects.select_related("organization", "workspace")
    row = rows.annotate(present=Now()).get(pk=key_id)
    return row, row.present


def _try_waiting(claimed: _Claimed, waiting: KeyReplacement, times: Timing) -> _Claimed | None:
    """Check the secret that waits: accepted, it takes over; otherwise it waits on."""
    key = claimed.key
    with scope.tenant(key.organization_id):
        try:
            plain = custody.borrow_waiting(key, waiting)
            finding = None
        except custody.UndecryptableError:
            finding = Finding(VerdictCode.UNDECRYPTABLE, judgement.BOX_CLOSED)
    if finding is None:
        finding = _ask(plain, key.workspace, times)
    now = claimed.now
    given = Circumstances(waiting.status, waiting.secret_at, waiting.attempts + 1, None)
    judged = judgement.judge(finding, given, now=now, timing=times)
    with scope.tenant(key.organization_id):
        if not MistralKey.objects.filter(pk=key.pk, claim=claimed.claim).exists():
            return None
        if finding.code is VerdictCode.OK:
            if replacing.take_over(WORKER, key, waiting, claimed.claim):
                return _Claimed(claimed.claim, *_read(key.pk), plain, finding)
            return replace(claimed, waiting=None)
        replacing.record(key, waiting, finding, judged, now)
    no_later = min(judged.next_check_at or waiting.ends_at, waiting.ends_at)
    return replace(claimed, waiting=None, no_later=no_later)


def _put_to_sleep(key: MistralKey, times: Timing) -> None:
    """Give a key back unchecked: nothing may use it while its workspace is not active."""
    MistralKey.objects.filter(pk=key.pk).update(
        claim=None,
        held_until=None,
        attempts=0,
        next_check_at=Now() + timedelta(seconds=times.asleep),
    )


def _let_go(claimed: _Claimed, wait: float) -> None:
    """Give a key back that is due but has no turn yet; the sweep brings it again."""
    MistralKey.objects.filter(pk=claimed.key.pk, claim=claimed.claim).update(
        claim=None,
        held_until=Now() + timedelta(seconds=spread(wait)),
        attempts=F("attempts") - 1,
    )
    log.info("check_postponed", key_id=str(claimed.key.pk), seconds=round(wait, 1))


def _ask(plain: Secret[str], declared: Workspace, times: Timing) -> Finding:
    """Ask what the key sees, then whose it is; that nobody tells whose it is decides nothing."""
    timeouts = ClientTimeouts(connect=times.connect, read=times.read, total=times.answer)
    with MistralClient(settings.MISTRAL_API_URL, plain, timeouts=timeouts) as client:
        try:
            models = client.list_models()
        except MistralError as error:
            return judgement.found(error.failure)
        answer = client.last_answer
        finding = Finding(
            VerdictCode.OK,
            http_status=answer.http_status if answer else None,
            correlation_id=answer.correlation_id if answer else None,
            models=models,
        )
        try:
            finding = replace(finding, identity=client.whoami())
        except MistralError as error:
            log.info("identity_unknown", error=str(error.failure))
            return finding
    if finding.identity and placing.is_elsewhere(declared, finding.identity.workspace):
        by_id = declared.mistral_workspace_id != ""
        return replace(
            finding,
            code=VerdictCode.WRONG_WORKSPACE,
            cause=judgement.ANOTHER_WORKSPACE,
            confidence=Confidence.HIGH if by_id else Confidence.MEDIUM,
        )
    return finding


def _commit(claimed: _Claimed, finding: Finding, times: Timing) -> None:
    key, now = claimed.key, claimed.now
    given = Circumstances(
        key.status, key.secret_at, key.attempts, _good_until(key), key.doubts, key.last_used_at
    )
    judged = judgement.judge(finding, given, now=now, timing=times)
    next_check_at = judged.next_check_at
    if claimed.no_later is not None:
        next_check_at = min(claimed.no_later, next_check_at or claimed.no_later)
    undisturbed = Q(next_check_at=key.next_check_at)
    changes: dict[str, object] = {}
    if finding.identity is not None:
        changes["identity"] = placing.names(finding.identity, claimed.plain)
        changes |= placing.ids(finding.identity)
    with scope.tenant(key.organization_id):
        won = MistralKey.objects.filter(pk=key.pk, claim=claimed.claim).update(
            status=judged.status,
            verdict_code=finding.code,
            checked_at=now,
            evidence=finding.evidence,
            attempts=judged.attempts,
            doubts=judged.doubts,
            claim=None,
            held_until=None,
            # Who asked for a check while this one ran is still to be answered.
            next_check_at=Case(When(undisturbed, then=next_check_at), default=F("next_check_at")),
            asked_at=Case(When(undisturbed, then=None), default=F("asked_at")),
            **changes,
        )
        if not won:
            log.info("claim_lost", key_id=str(key.id))
            return
        if claimed.plain is not None:
            pacing.tell(key, finding, times)
        if finding.models is not None:
            many = seeing.store(key, seeing.read(key, finding.models), now)
            MistralKey.objects.filter(pk=key.pk).update(models_seen=many)
        if (judged.status, finding.code) != (key.status, key.verdict_code):
            KeyVerdict.objects.create(
                organization_id=key.organization_id,
                key=key,
                status=judged.status,
                verdict_code=finding.code,
                evidence=finding.evidence,
            )
        if judged.status != key.status:
            announcing.changed(key, judged.status, finding)
            audit.record(
                actor=WORKER,
                organization_id=key.organization_id,
                verb=f"key.{judged.status}",
                target=key,
                changed=["status"],
            )
    log.info("key_checked", key_id=str(key.id), verdict=finding.code, status=judged.status)


def _good_until(key: MistralKey) -> datetime | None:
    if key.expires_on is None:
        return None
    return expiry.ends_at(key.expires_on, key.organization.timezone)
