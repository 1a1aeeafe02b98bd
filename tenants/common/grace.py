"""For how long a secret that was replaced may work on beside the new one."""

from django.utils.translation import gettext as _

from tenants.common.problems import Invalid

MAX_SECONDS = 30 * 86_400


def check(seconds: int) -> None:
    """Refuse a grace that is below zero, or longer than thirty days.

    Raises:
        Invalid: ``grace_out_of_range``, at ``/grace_seconds``.
    """
    if not 0 <= seconds <= MAX_SECONDS:
        detail = _("Choose a grace from 0 seconds to 30 days (2592000 seconds).")
        raise Invalid.field("/grace_seconds", "grace_out_of_range", detail)
