"""What every verb asks that puts something into a workspace: that it is active, and stays so."""

from uuid import UUID

from django.db import connection

from tenants.organizations.models import Workspace
from tenants.organizations.refusals import workspace_archived


def active(workspace_id: UUID, *, alone: bool = False) -> Workspace:
    """Read an active workspace with its organization; it stays active until the transaction ends.

    Whoever archives or changes it meanwhile waits; others who put something into it do not.

    Args:
        workspace_id: of the organization in whose scope this is.
        alone: those others wait, too: for what is read and then changed. An open share is never
            widened, since two that did so would wait for each other.

    Raises:
        Conflict: ``workspace_archived``.
        Workspace.DoesNotExist: there is none, or it is out of sight.
    """
    # Django knows no FOR SHARE. The row is read by a second statement, which sees what was
    # committed while the first one waited.
    lock = "FOR NO KEY UPDATE" if alone else "FOR SHARE"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT 1 FROM organizations_workspace WHERE id = %s {lock}",  # noqa: S608 - ours
            [workspace_id],
        )
    found = Workspace.objects.select_related("organization").get(pk=workspace_id)
    if found.archived_at is not None:
        raise workspace_archived()
    return found
