"""The way from a new organization to its first answer, step by step, each with where to do it.

The order is that of Mistral's own set-up. A step is done when a fact says so; where we cannot see
the fact, a person confirms it.
"""

from dataclasses import dataclass
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class CheckedBy(StrEnum):
    """Who can tell that a step is done."""

    SYSTEM = "system"
    USER = "user"


class Where(StrEnum):
    """Pages at Mistral, and of our own console."""

    SIGN_UP = "https://console.mistral.ai"
    SUBSCRIPTION = "https://admin.mistral.ai/subscription"
    BILLING = "https://admin.mistral.ai/organization/billing"
    WORKSPACES = "https://admin.mistral.ai/organization/workspaces"
    MEMBERS = "https://admin.mistral.ai/organization/members"
    LIMITS = "https://admin.mistral.ai/plateforme/limits"
    API_KEYS = "https://console.mistral.ai/api-keys"
    OUR_BILLING = "/billing"
    OUR_LIMITS = "/limits"
    OUR_WORKSPACES = "/workspaces"
    OUR_MEMBERS = "/members"
    OUR_KEYS = "/keys"
    OUR_MODELS = "/models"


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        key: names it.
        checked_by: who can tell that it is done.
        where: the page on which it is done.
        detail: what to do there.
        too: the page at Mistral on which it is done there too, where ``where`` is ours.
        after: the step that must be done before.
        is_optional: a person may leave it out.
    """

    key: str
    checked_by: CheckedBy
    where: Where
    detail: Promise
    after: str | None = None
    too: Where | None = None
    is_optional: bool = True

    @property
    def at_mistral(self) -> str:
        """The page at Mistral; empty if nothing is done there."""
        is_ours = self.where.value.startswith("/")
        return self.too.value if self.too else "" if is_ours else self.where.value


_S, _U = CheckedBy.SYSTEM, CheckedBy.USER
STEPS = (
    Step(
        "mistral_account",
        _U,
        Where.SIGN_UP,
        _("Sign up at Mistral with a company address, confirm it, and name your organization."),
        is_optional=False,
    ),
    Step(
        "billing_profile",
        _S,
        Where.OUR_BILLING,
        _("Enter legal name, address and VAT number here, so that they can be checked."),
    ),
    Step(
        "mistral_billing_details",
        _U,
        Where.BILLING,
        _("Enter the same legal name, address and VAT number on Mistral's Billing page."),
        after="mistral_account",
    ),
    Step(
        "payment_method",
        _U,
        Where.BILLING,
        _("Add a credit or debit card in Mistral's Billing page. Card data is entered there only."),
        after="mistral_account",
    ),
    Step(
        "auto_recharge",
        _U,
        Where.BILLING,
        _("Let Mistral top up the balance by itself, so that calls do not stop when it is spent."),
        after="payment_method",
    ),
    Step(
        "plan",
        _U,
        Where.SUBSCRIPTION,
        _("Choose a plan: Scale for production, Experiment for first tries."),
        after="payment_method",
    ),
    Step(
        "phone",
        _U,
        Where.SUBSCRIPTION,
        _("Verify a telephone number by the code that Mistral sends, if it asks for one."),
        after="plan",
    ),
    Step(
        "spending_limit",
        _S,
        Where.OUR_LIMITS,
        _("Set a monthly spending limit for the organization."),
        too=Where.BILLING,
    ),
    Step(
        "workspaces",
        _U,
        Where.OUR_WORKSPACES,
        _("Make a workspace for each team, project or customer that needs figures of its own."),
        too=Where.WORKSPACES,
    ),
    Step(
        "api_key",
        _S,
        Where.API_KEYS,
        _("Create an API key at Mistral, copy it once, and register it here until it is valid."),
        after="mistral_account",
        is_optional=False,
    ),
    Step(
        "members",
        _U,
        Where.OUR_MEMBERS,
        _("Invite the colleagues who work here, each with the role that fits."),
        too=Where.MEMBERS,
    ),
    Step(
        "rate_limits",
        _U,
        Where.LIMITS,
        _("Compare Mistral's rate limits with what your agents will ask."),
    ),
    Step(
        "model",
        _S,
        Where.OUR_MODELS,
        _("Create a model for AIsuru on one of your keys."),
        after="api_key",
        is_optional=False,
    ),
    Step(
        "first_call",
        _S,
        Where.OUR_MODELS,
        _("Ask the model something in AIsuru; the first metered call ends the set-up."),
        after="model",
        is_optional=False,
    ),
)
BY_KEY = {step.key: step for step in STEPS}
