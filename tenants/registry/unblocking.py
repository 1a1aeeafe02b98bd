"""Does what can be done for a model that answers no calls, by what stops it."""

from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.common.problems import Conflict
from tenants.keys.services import request_validation
from tenants.organizations.audit import Actor
from tenants.registry import status
from tenants.registry.models import RegisteredModel
from tenants.registry.services import update_model
from tenants.registry.status import BlockedReason

_MAY_COME_BACK = frozenset(
    {
        BlockedReason.KEY_INVALID,
        BlockedReason.KEY_SUSPENDED,
        BlockedReason.KEY_UNDECRYPTABLE,
    }
)


def unblock_model(*, actor: Actor, model: RegisteredModel) -> bool:
    """Do what can be done for a model that answers no calls; True if it has another key now.

    A key that may work again is checked anew; for one that cannot (deleted, expired) the best other
    of the workspace takes over.

    Args:
        actor: who asks.
        model: with its organization, workspace and key loaded.

    Raises:
        Conflict: ``model_not_blocked``; ``model_unblocked_elsewhere``: what stops it is not its
            key, and the detail says what; ``no_usable_key``.
        Invalid: ``model_not_available``.
    """
    reason = status.of(model, timezone.now())
    if reason is None:
        detail = _("Nothing stops this model here: it is ready.")
        raise Conflict("model_not_blocked", detail)
    if reason in {BlockedReason.KEY_REVOKED, BlockedReason.KEY_EXPIRED}:
        update_model(actor=actor, model=model, changes={"key": None})
        return True
    if reason not in _MAY_COME_BACK:
        raise Conflict("model_unblocked_elsewhere", status.explain(reason))
    request_validation(actor=actor, key=model.key)
    return False
