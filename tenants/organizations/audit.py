"""Who did what: one row per verb, in the verb's own transaction; it never holds values.

The database gives each row its place in the organization's chain when the transaction commits
(``audit_chain``). What somebody of the support staff does is announced with the row, in the same
transaction, so that no verb can forget it and no crash can part the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Model

from tenants.organizations import outbox
from tenants.organizations.models import AuditEvent

#: What is routine for the staff, so that administrators may mute its mails: it changes neither who
#: may do what nor what is spent. Every other verb, a new one too, is told to all of them.
ROUTINE = frozenset(
    {
        "invitation.sent_again",
        "key.check_requested",
        "model.publish_requested",
        "reconciliation.requested",
        "support.holds_released",
        "webhook.delivery_replayed",
    }
)


@dataclass(frozen=True)
class Errand:
    """For what the support staff acts: the session and the reason that its owner reads."""

    session_id: UUID
    reason: str
    ticket: str


@dataclass(frozen=True)
class Actor:
    """Who acts.

    Attributes:
        kind: ``platform`` or ``organization`` (a token), ``person``, ``staff``, ``command`` or
            ``worker``.
        id: the token's id, or the name of the command.
        name: what people call it.
        request_id: ties the audit row to the request's log lines; empty outside of requests.
        errand: of the support staff while it acts: each row is announced too.
    """

    kind: str
    id: str
    name: str
    request_id: str = ""
    errand: Errand | None = None


def record(
    *,
    actor: Actor,
    organization_id: UUID,
    verb: str,
    target: Model,
    changed: Sequence[str] = (),
) -> None:
    """Write one audit row in the open transaction.

    Args:
        actor: who acts.
        organization_id: the tenant in whose scope this happens.
        verb: ``noun.done``, as in ``key.registered``.
        target: the row it happened to.
        changed: names of the fields that changed, never their values.
    """
    AuditEvent.objects.create(
        organization_id=organization_id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        verb=verb,
        target_kind=target._meta.model_name or "",
        target_id=target.pk,
        changed=list(changed),
        request_id=actor.request_id,
    )
    if actor.errand is not None:
        outbox.announce(
            organization_id=organization_id,
            kind="support.helped" if verb in ROUTINE else "support.acted",
            data={
                "session_id": str(actor.errand.session_id),
                "staff": actor.name,
                "verb": verb,
                "target_kind": target._meta.model_name,
                "target_id": str(target.pk),
                "reason": actor.errand.reason,
                "ticket": actor.errand.ticket,
            },
        )
