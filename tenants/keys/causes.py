"""Words for what was found where the code alone says too little; see ``verdicts``.

Each is true of a free check and of a paid trial alike, and blames nobody.
"""

from dataclasses import dataclass

from django.utils.translation import gettext_noop as _

from tenants.keys.judgement import ANOTHER_WORKSPACE, ANSWER_LOST, NOT_REACHED, WORKSPACE_LIMIT
from tenants.mistral.errors import ErrorClass


@dataclass(frozen=True, slots=True)
class Words:
    """What happened, what it means, what to do next."""

    title: str
    detail: str
    next_step: str


_AGAIN = _("Nothing to do: the check is repeated by itself.")
_NO_ADDRESS = Words(
    _("Mistral does not know the address that was asked"),
    _(
        "The address at which Mistral was asked does not exist there. The cause is the address set"
        " for Mistral in this service, or something in between, not the key. The key keeps the"
        " state it had."
    ),
    _("Nothing to do about the key: whoever runs this service checks MISTRAL_API_URL."),
)
_REFUSED = Words(
    _("Mistral refused the question"),
    _(
        "Mistral refused the very question that was asked, which says nothing about the key. The"
        " key keeps the state it had."
    ),
    _("Nothing to do: the check is repeated by itself. If this stays, tell support the code."),
)
_NO_MODEL = Words(
    _("Mistral does not offer the model that was asked for"),
    _(
        "Mistral accepted the key; the model that was asked for does not exist, or not any more."
        " The key keeps the state it had."
    ),
    _("Choose another model: the list of this key's models says which there are."),
)

WORDS: dict[str, Words] = {
    ANOTHER_WORKSPACE: Words(
        _("The key belongs to another workspace at Mistral"),
        _(
            "Mistral accepted the key, but it belongs to another workspace there than the one"
            " declared here. Its calls would be limited and billed elsewhere, so it is not used."
        ),
        _(
            "Create a key in the declared workspace and replace this secret with it, or declare the"
            " workspace that the key belongs to. The key is then checked again."
        ),
    ),
    WORKSPACE_LIMIT: Words(
        _("The spending limit of the workspace at Mistral is reached"),
        _(
            "Mistral knows the key, but the monthly spending limit of its workspace there is"
            " reached. Calls are refused until it is raised or the month ends; other workspaces of"
            " the organization go on."
        ),
        _(
            "Raise the workspace's limit at https://admin.mistral.ai/organization/workspaces or"
            " wait for next month. The key is checked again by itself."
        ),
    ),
    NOT_REACHED: Words(
        _("Mistral could not be connected"),
        _(
            "No connection to Mistral could be made, so nothing was asked. The key keeps the state"
            " it had."
        ),
        _(
            "Nothing to do: the check is repeated by itself. If all keys say this, whoever runs"
            " this service checks its way to Mistral."
        ),
    ),
    ANSWER_LOST: Words(
        _("Mistral's answer did not arrive"),
        _(
            "Mistral was asked, but its answer did not come, or not whole, in time. The key keeps"
            " the state it had."
        ),
        _AGAIN,
    ),
    ErrorClass.UNREADABLE_ANSWER: Words(
        _("Mistral's answer could not be read"),
        _(
            "Mistral, or something in between, answered in a form that nobody promised. The key"
            " keeps the state it had."
        ),
        _AGAIN,
    ),
    ErrorClass.CAPACITY: Words(
        _("Mistral's servers are full"),
        _(
            "Mistral answered that its servers take no more requests now. This is no limit of the"
            " key, which keeps the state it had."
        ),
        _AGAIN,
    ),
    ErrorClass.CONNECTOR_RATE_LIMITED: Words(
        _("The limit of a connector is reached"),
        _(
            "Mistral limits how often connectors are called, and this limit is reached. The key"
            " keeps the state it had."
        ),
        _AGAIN,
    ),
    ErrorClass.ADMIN_KEY_REQUIRED: Words(
        _("Mistral asks for an Admin API key here"),
        _(
            "Mistral's Admin API takes only an Admin API key, which is another kind of key than"
            " those that call models."
        ),
        _("Create an Admin API key at https://backoffice.mistral.ai and enter that one."),
    ),
    ErrorClass.INCLUDED_USAGE_EXHAUSTED: Words(
        _("The usage included in the plan is used up"),
        _(
            "Mistral knows the key, but the usage that the plan includes for this month is used up"
            " and pay-as-you-go is off, so calls are refused."
        ),
        _(
            "Switch on pay-as-you-go at https://admin.mistral.ai/subscription or wait for next"
            " month. The key is checked again by itself."
        ),
    ),
    ErrorClass.BATCH_TOO_BIG_FOR_FREE: Words(
        _("The free mode does not take so much at once"),
        _(
            "Mistral knows the key, but its organization is in free mode, which does not take"
            " requests of this size."
        ),
        _(
            "Choose a plan at https://admin.mistral.ai/subscription, or send less. The key itself"
            " can stay: it is checked again by itself."
        ),
    ),
    ErrorClass.MODEL_TIER_DENIED: Words(
        _("The plan does not include the model"),
        _(
            "Mistral accepted the key; the plan of its organization does not include the model that"
            " was asked for. The key keeps the state it had."
        ),
        _("Choose another model, or another plan at https://admin.mistral.ai/subscription."),
    ),
    ErrorClass.LABS_NOT_ENABLED: Words(
        _("Labs models are not switched on"),
        _(
            "Mistral accepted the key; the model that was asked for is a Labs model, and these are"
            " off in its organization. The key keeps the state it had."
        ),
        _(
            "Choose another model, or have an admin switch Labs models on at"
            " https://admin.mistral.ai/plateforme/privacy."
        ),
    ),
    ErrorClass.MODEL_UNKNOWN: _NO_MODEL,
    ErrorClass.MODEL_RETIRED: _NO_MODEL,
    ErrorClass.NO_ROUTE: _NO_ADDRESS,
    ErrorClass.NOT_FOUND: _NO_ADDRESS,
    ErrorClass.BAD_REQUEST: _REFUSED,
    ErrorClass.VALIDATION: _REFUSED,
}
