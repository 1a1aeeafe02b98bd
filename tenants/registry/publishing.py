"""One model in AIsuru: push it, take it away, or look whether it is still what was pushed.

Claim, ask AIsuru with no transaction open, commit under the claim; whoever lost the claim writes
nothing. What is asked is in ``pushing``. Every push brings a token of its own, whose digest is
committed before it leaves; what AIsuru had before works on for a while after a push that is known
to have arrived.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Least, Now

from tenants.aisuru import configs
from tenants.aisuru.client import AisuruClient
from tenants.aisuru.configs import RemoteConfig
from tenants.aisuru.errors import AisuruAwayError, AisuruError
from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.mistral.masking import mask_key_shaped
from tenants.organizations import audit, custody, outbox
from tenants.organizations.audit import Actor
from tenants.registry import failures, issuing
from tenants.registry.failures import Failure
from tenants.registry.models import (
    AisuruConnection,
    ConnectionStatus,
    ModelToken,
    Publication,
    PublicationStatus,
    RegisteredModel,
)
from tenants.registry.pushing import Claimed, Job, NameTakenError, mine, work
from tenants.registry.timing import Timing, timing

log = structlog.get_logger(__name__)

WORKER = Actor(kind="worker", id="registry.publish", name="registry.publish")


def carry(organization_id: UUID, publication_id: UUID) -> bool:
    """Do what a publication needs, if it is due and nobody else has it.

    Returns:
        True when something else is wanted meanwhile: it has to be enqueued again.

    Raises:
        django.db.OperationalError: the database went away; the claim lapses by itself.
    """
    times = timing()
    claimed = _claim(organization_id, publication_id, times)
    if claimed is None:
        return False
    found: RemoteConfig | None = None
    try:
        with AisuruClient(claimed.base_url, claimed.login, seconds=times.answer) as client:
            found = work(client, claimed)
    except (AisuruError, NameTakenError) as error:
        return _fail(claimed, error, times)
    return _commit(claimed, found, times)


def _claim(organization_id: UUID, publication_id: UUID, times: Timing) -> Claimed | None:
    claim = uuid4()
    with scope.tenant(organization_id):
        free = Q(claim=None) | Q(held_until__lte=Now())
        won = Publication.objects.filter(free, pk=publication_id, due_at__lte=Now()).update(
            claim=claim, held_until=Now() + timedelta(seconds=times.claim)
        )
        if not won:
            return None
        row = Publication.objects.get(pk=publication_id)
        model = RegisteredModel.objects.select_related("organization", "workspace", "key").get(
            pk=row.model_id
        )
        connection = AisuruConnection.objects.first()
        base_url: str | None = settings.AISURU_API_URL
        if base_url is None:
            _stop(row, claim, Failure.NOT_CONFIGURED, times, again=True)
            return None
        if connection is None:
            _stop(row, claim, Failure.CONNECTION_MISSING, times)
            return None
        try:
            login = custody.borrow(connection, custody.Slot.AISURU_LOGIN)
        except custody.UndecryptableError:
            _stop(row, claim, Failure.CONNECTION_UNDECRYPTABLE, times)
            connection.status = ConnectionStatus.UNDECRYPTABLE
            connection.save(update_fields=["status"])
            return None
        job = Job.LOOK
        if row.wanted > row.done:
            job = Job.PUSH if row.is_wanted else Job.REMOVE
        token_row, token = None, Secret("")
        if job is Job.PUSH:
            token_row, token = issuing.issue(model, is_published=True)
        ids = Publication.objects.exclude(pk=row.pk).values_list("config_id", flat=True)
        return Claimed(
            claim, job, row, model, base_url, login, connection, token, token_row, frozenset(ids)
        )


def _commit(claimed: Claimed, found: RemoteConfig | None, times: Timing) -> bool:
    """Write what AIsuru answered, and when it is looked at again."""
    row = claimed.row
    changes: dict[str, Any] = {"failure": "", "result_code": None, "attempts": 0}
    changes |= {"claim": None, "held_until": None, "checked_at": Now()}
    drift: list[dict[str, Any]] = []
    if claimed.job is not Job.LOOK:
        changes |= {"done": row.wanted, "creating": ""}
    if claimed.job is Job.REMOVE:
        changes |= {"status": PublicationStatus.WITHDRAWN, "config_id": "", "pushed": {}}
    elif found is None:
        changes["status"] = PublicationStatus.DELETED
    elif claimed.job is Job.PUSH:
        changes |= {"config_id": found.config_id, "pushed": _shown(found.facts)}
        changes |= {"may_create": False, "may_adopt": False, "published_at": Now()}
        changes["status"] = PublicationStatus.PUBLISHED
    else:
        drift = _differences(row.pushed, found)
        changes["status"] = PublicationStatus.CHANGED if drift else PublicationStatus.PUBLISHED
    with scope.tenant(row.organization_id):
        _lock(claimed)
        if not mine(claimed).update(drift=drift, **changes):
            log.info("claim_lost", publication_id=str(row.pk))
            return False
        _note_login(claimed.connection, ConnectionStatus.VALID)
        if claimed.job is Job.PUSH:
            _retire_tokens(claimed, times, arrived=found is not None)
        _tell(claimed, changes["status"], drift)
        return _schedule(claimed, times)


def _schedule(claimed: Claimed, times: Timing) -> bool:
    """Set when it is due next; True if something else is wanted meanwhile."""
    row = Publication.objects.get(pk=claimed.row.pk)
    again = row.wanted > row.done
    due_at: Any = Now() if again else Now() + timedelta(seconds=times.check)
    changes: dict[str, Any] = {"due_at": due_at}
    if again:
        changes["status"] = PublicationStatus.PENDING
    elif row.status == PublicationStatus.WITHDRAWN:
        changes["due_at"] = None
    Publication.objects.filter(pk=row.pk, claim=None).update(**changes)
    return again


def _retire_tokens(claimed: Claimed, times: Timing, *, arrived: bool) -> None:
    """Let AIsuru's older tokens end soon, once it has the new one; the new one, if it has not."""
    sent = claimed.token_row
    if sent is None:
        return
    live = ModelToken.objects.filter(model=claimed.model, is_published=True, revoked_at=None)
    if arrived:
        ends_at = Now() + timedelta(seconds=times.grace)
        live.exclude(pk=sent.pk).update(expires_at=Least("expires_at", ends_at))
    else:
        live.filter(pk=sent.pk).update(revoked_at=Now())


def _tell(claimed: Claimed, status: str, drift: list[dict[str, Any]]) -> None:
    """Write the audit row of a push or a removal; announce what somebody did over there, once."""
    verbs = {Job.PUSH: "model.published", Job.REMOVE: "model.withdrawn"}
    if claimed.job in verbs and status != PublicationStatus.DELETED:
        audit.record(
            actor=WORKER,
            organization_id=claimed.row.organization_id,
            verb=verbs[claimed.job],
            target=claimed.model,
        )
    is_news = status != claimed.row.status or drift != claimed.row.drift
    if is_news and status in {PublicationStatus.CHANGED, PublicationStatus.DELETED}:
        members = [one["member"] for one in drift]
        _announce(claimed, "model.publication_drifted", status=status, members=members)


def _announce(claimed: Claimed, kind: str, **facts: object) -> None:
    outbox.announce(
        organization_id=claimed.row.organization_id,
        workspace_id=claimed.row.workspace_id,
        kind=kind,
        data={"model_id": str(claimed.model.pk), "name": claimed.model.name, **facts},
    )


def _fail(claimed: Claimed, error: AisuruError | NameTakenError, times: Timing) -> bool:
    """Decide what an error means: another try later, or a person's turn."""
    row = claimed.row
    is_away = isinstance(error, AisuruAwayError)
    failure = Failure.NAME_TAKEN if isinstance(error, NameTakenError) else failures.of(error)
    result_code = None if isinstance(error, NameTakenError) else error.result_code
    log.info("publication_answer", publication_id=str(row.pk), failure=failure, said=str(error))
    attempts = row.attempts + 1
    changes: dict[str, Any] = {
        "failure": failure,
        "result_code": result_code,
        "attempts": attempts,
        "claim": None,
        "held_until": None,
    }
    is_over = not is_away or attempts >= times.retries
    if is_away and not is_over:
        asked = error.retry_after or 0 if isinstance(error, AisuruAwayError) else 0
        wait = min(max(times.retry * 2**row.attempts, asked), times.longest)
        changes["due_at"] = Now() + timedelta(seconds=wait)
    else:
        # Nobody has to press a button when AIsuru comes back; a refusal waits for a person.
        looks = is_away or claimed.job is Job.LOOK
        changes["due_at"] = Now() + timedelta(seconds=times.check) if looks else None
        if claimed.job is not Job.LOOK:
            changes["status"] = PublicationStatus.FAILED
    with scope.tenant(row.organization_id):
        _lock(claimed)
        if not mine(claimed).update(**changes):
            log.info("claim_lost", publication_id=str(row.pk))
            return False
        is_outdated = failure is Failure.LOGIN_REFUSED and not _note_login(
            claimed.connection, ConnectionStatus.REFUSED
        )
        if not is_away:
            _retire_tokens(claimed, times, arrived=False)
        if changes.get("status") == PublicationStatus.FAILED != row.status:
            _announce(claimed, "model.publication_failed", failure=failure)
        return _overtaken(claimed, is_outdated=is_outdated)


def _overtaken(claimed: Claimed, *, is_outdated: bool) -> bool:
    """Make it due at once if something else was wanted meanwhile, or another login was entered."""
    newer = Publication.objects.filter(pk=claimed.row.pk, claim=None)
    if not is_outdated:
        newer = newer.filter(wanted__gt=claimed.row.wanted)
    return bool(
        newer.update(due_at=Now(), status=PublicationStatus.PENDING, failure="", attempts=0)
    )


def _lock(claimed: Claimed) -> None:
    """Take the model before its publication and its tokens, and the login: as every verb does."""
    for row in (claimed.model, claimed.connection):
        held = QuerySet[Model](type(row)).select_for_update(no_key=True).filter(pk=row.pk)
        list(held.values_list("pk"))


def _stop(
    row: Publication, claim: UUID, failure: Failure, times: Timing, *, again: bool = False
) -> None:
    """Give up before AIsuru was asked, inside the scope."""
    changes: dict[str, Any] = {"failure": failure, "claim": None, "held_until": None}
    changes["due_at"] = Now() + timedelta(seconds=times.check) if again else None
    if row.wanted > row.done:
        changes["status"] = PublicationStatus.FAILED
    Publication.objects.filter(pk=row.pk, claim=claim).update(**changes)


def _note_login(connection: AisuruConnection, status: ConnectionStatus) -> bool:
    """Remember what AIsuru says of the login; False if another was entered meanwhile."""
    same = AisuruConnection.objects.filter(
        pk=connection.pk, secret_version=connection.secret_version
    )
    return bool(same.update(status=status, checked_at=Now()))


def _differences(pushed: dict[str, Any], found: RemoteConfig) -> list[dict[str, Any]]:
    now = _shown(found.facts)
    return [
        {"member": name, "ours": pushed.get(name), "theirs": now[name]}
        for name in configs.MEMBERS
        if pushed.get(name) != now[name]
    ]


def _shown(facts: configs.Facts) -> dict[str, Any]:
    """Mask whatever looks like a secret: people paste keys into descriptions."""
    return {
        name: mask_key_shaped(value) if isinstance(value, str) else value
        for name, value in facts.items()
    }
