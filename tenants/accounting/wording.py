"""What differences and failures are called, for people; codes stay beside the words."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from tenants.accounting.differences import DifferenceCode


def of_difference(row: Mapping[str, Any]) -> str:
    """Say what a difference means and what can be done, in the reader's language."""
    words = {
        DifferenceCode.WORKSPACE_ONLY_AT_MISTRAL: _(
            "This workspace exists at Mistral and not here. Create it here if its keys are used."
        ),
        DifferenceCode.WORKSPACE_ONLY_HERE: _(
            "No workspace at Mistral could be matched with this one."
        ),
        DifferenceCode.WORKSPACE_NAME_DIFFERS: _("The workspace has another name at Mistral."),
        DifferenceCode.KEY_ONLY_AT_MISTRAL: _(
            "This key exists at Mistral and is not registered here: what it is used for is not"
            " metered."
        ),
        DifferenceCode.KEY_ONLY_HERE: _(
            "Mistral does not list this key any more. Check it, and replace it."
        ),
        DifferenceCode.KEY_AMBIGUOUS: _(
            "Several keys at Mistral end in these four characters. Give them different names there,"
            " and check the key again."
        ),
        DifferenceCode.KEY_WORKSPACE_DIFFERS: _(
            "The key belongs to another workspace at Mistral. Its limits and its bill are that"
            " workspace's."
        ),
        DifferenceCode.KEY_EXPIRY_DIFFERS: _(
            "Mistral has another expiry date for this key. Change the date here; it cannot be"
            " changed there."
        ),
        DifferenceCode.LIMIT_DIFFERS: _(
            "The spending limit at Mistral is another one. The lower of the two stops calls first."
        ),
        DifferenceCode.PAYMENT_FAILED: _(
            "The last payment to Mistral failed. Keys stop when it is not settled."
        ),
    }
    code = row.get("code")
    return words[DifferenceCode(code)] if code in set(DifferenceCode) else ""


def of_failure(code: str) -> str:
    """Say why a sync or a reconciliation failed, and what to do."""
    words = {
        "admin_key_missing": _("The Admin API key was removed meanwhile. Enter it again."),
        "admin_key_undecryptable": _("The stored Admin API key does not open. Enter it again."),
        "admin_key_refused": _(
            "Mistral does not take this Admin API key. Only one made in the Backoffice of an"
            " Enterprise organization works; an ordinary key never does."
        ),
    }
    return words.get(
        code, _("Mistral did not answer as it should. What was seen is kept; start another run.")
    )
