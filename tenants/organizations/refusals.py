"""Refusals that several verbs of this room share."""

from django.utils.translation import gettext as _

from tenants.common.problems import Conflict, Invalid


def workspace_archived() -> Conflict:
    """Make the refusal to change a workspace that is history."""
    detail = _("This workspace is archived. It stays as it is and can no longer be changed.")
    return Conflict("workspace_archived", detail)


def workspace_unknown(pointer: str) -> Invalid:
    """Make the refusal of a body that names a workspace which is not the organization's."""
    detail = _("There is no such active workspace in the organization.")
    return Invalid.field(pointer, "workspace_unknown", detail)
