"""What a workspace's declaration of its Mistral workspace means for the keys it has already.

The workspace itself is changed by its own room's verb; this runs inside that transaction.
"""

from django.utils.translation import gettext as _

from tenants.common.problems import Conflict
from tenants.common.queue import enqueue_on_commit
from tenants.keys import placing, slots, tasks
from tenants.keys.models import KeyStatus, MistralKey
from tenants.organizations.models import Workspace

_MOST_TOLD = 20


def apply(declared: Workspace) -> None:
    """Refuse a declaration that would stop keys which work; have all others checked by it.

    Nothing that answers calls is stopped by a word in a form: who means it replaces the secrets
    first.

    Raises:
        Conflict: ``keys_of_another_workspace``, with the ``keys`` concerned.
    """
    present = MistralKey.objects.filter(workspace=declared, revoked_at=None)
    stopped = [
        {"id": str(key.pk), "name": key.name, "mistral_workspace": placing.workspace_name(key)}
        for key in present.filter(status=KeyStatus.VALID).order_by("pk")
        if placing.is_known_elsewhere(declared, key)
    ]
    if stopped:
        detail = _(
            "Keys of this workspace that work belong to another workspace at Mistral, and would be"
            " stopped. Replace their secrets first, or declare the workspace they belong to."
        )
        raise Conflict("keys_of_another_workspace", detail, keys=stopped[:_MOST_TOLD])
    for key in present.exclude(status=KeyStatus.EXPIRED):
        slots.change(key, slots.due())
        enqueue_on_commit(tasks.validate, str(key.organization_id), str(key.pk))
