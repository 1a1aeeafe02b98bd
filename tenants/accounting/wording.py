"""What categories, differences and failures are called, for people; codes stay beside the words."""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.accounting.comparing import Reason
from tenants.accounting.difference import DifferenceCode
from tenants.spend.calls import Category

CATEGORIES: Mapping[str, Promise] = {
    Category.COMPLETION: gettext_lazy("Completion"),
    Category.EMBEDDINGS: gettext_lazy("Embeddings"),
    Category.MODERATION: gettext_lazy("Moderation"),
    Category.OCR: gettext_lazy("OCR"),
    Category.AUDIO: gettext_lazy("Audio"),
    Category.CONNECTORS: gettext_lazy("Connectors"),
    Category.FINE_TUNING: gettext_lazy("Fine-tuning"),
    Category.PROBE: gettext_lazy("Paid trials"),
    Category.FREE: gettext_lazy("Free requests"),
}


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
        DifferenceCode.MEMBER_ONLY_AT_MISTRAL: _(
            "This person is in the organization at Mistral and not here. Invite them here if they"
            " work with its keys or its bill; else ask whether they still belong there."
        ),
        DifferenceCode.MEMBER_ONLY_HERE: _(
            "This person is a member here and not at Mistral. Nothing to do, unless they should"
            " see Mistral's own console."
        ),
        DifferenceCode.MEMBER_ROLE_DIFFERS: _("This person has another role at Mistral."),
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
        "currency_differs": _(
            "Mistral bills in another currency than this organization's. Nothing is converted to be"
            " compared."
        ),
        "aisuru_not_configured": _("This service was not told where AIsuru's backend is."),
        "aisuru_connection_missing": _(
            "The login at AIsuru was removed meanwhile. Enter it again."
        ),
        "aisuru_connection_undecryptable": _(
            "The stored login token of AIsuru does not open. Enter it again."
        ),
        "aisuru_tenant_missing": _(
            "AIsuru's name of the tenant is not known. Enter it with the login at AIsuru, or with"
            " the organization."
        ),
        "aisuru_login_refused": _(
            "AIsuru does not accept the login token. Sign in there again and enter the new one."
        ),
        "aisuru_refused": _(
            "AIsuru refused to tell the consumption. Its tenant must be the one that the login"
            " administers."
        ),
        "aisuru_away": _(
            "AIsuru does not answer, or not as it should. Start another comparison later."
        ),
    }
    return words.get(
        code, _("Mistral did not answer as it should. What was seen is kept; start another run.")
    )


def of_reason(code: str) -> str:
    """Say what a part of a difference comes from, and what to do about it."""
    words = {
        Reason.UNMETERED_USE: _(
            "Mistral counts more than passed here: a key is used outside of the gateway. Find out"
            " where, and replace the key if it should not be."
        ),
        Reason.NOT_BILLED: _("More passed here than Mistral bills."),
        Reason.PRICE_RULE: _("The same quantity at another price. Compare the price list."),
        Reason.CACHED_TOKENS: _("Mistral counts another share of the same prompts as cached."),
        Reason.ESTIMATES: _("The figure here was an estimate; Mistral's is exact."),
        Reason.INCLUDED_USAGE: _("This usage is part of the plan, and not billed."),
        Reason.ROUNDING: _("Roundings: less than a millionth, or than the typed places tell."),
        Reason.UNEXPLAINED: _(
            "The figures tell too little to say where this comes from. Compare by model, or with"
            " the Admin API."
        ),
    }
    return words[Reason(code)] if code in set(Reason) else ""
