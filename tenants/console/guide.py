"""The way from nothing to a first answer, told to people: why each step matters and how it is done.

Which steps there are, and which are done, is ``tenants.onboarding``'s to say. The words are ours;
names and addresses of Mistral's pages are as of November 2026.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Words:
    """What a step is called, why it matters, what to click, and who says that it is done.

    ``unseen``: how that will be known; ``seen``: what showed it, where no person said so.
    """

    title: Promise
    why: Promise
    clicks: tuple[Promise, ...]
    unseen: Promise
    seen: Promise | None = None
    note: Promise | None = None


_NOT_TOLD = _("Mistral does not tell us, so you say it.")
_HEARSAY = _("Mistral does not tell us: say it here, or state it in the billing details.")
_STATED = _("Stated in the billing details.")


STEPS: Mapping[str, Words] = {
    "mistral_account": Words(
        _("Account and organization at Mistral"),
        _(
            "Your company has a contract of its own with Mistral: its keys, its bill, its data. We"
            " only keep the keys safe and count what is used."
        ),
        (
            _("Sign up with a company address and confirm it by the code or link that comes."),
            _("Create an organization with your company's name, or join the one that is there."),
            _("A first workspace of the same name comes with it."),
        ),
        unseen=_("We see it as soon as a key is valid. Until then you can say it."),
        seen=_("Seen: Mistral knows a key of yours."),
    ),
    "billing_profile": Words(
        _("Billing details here"),
        _(
            "With legal name, address and VAT number we can check the number and tell you what to"
            " enter at Mistral."
        ),
        (_("Fill in the form; the VAT number is checked at once, and with VIES afterwards."),),
        unseen=_("We see it when the number is entered and VIES has not turned it down."),
        seen=_("Seen: the number is entered, and VIES has not turned it down."),
    ),
    "mistral_billing_details": Words(
        _("The same details at Mistral"),
        _("Mistral writes its invoices from what is entered there, not from what is entered here."),
        (
            _("Open Billing in Mistral's Admin panel."),
            _("Enter legal name, full address and VAT number with its prefix, like IT."),
            _("Save, and confirm below."),
        ),
        unseen=_NOT_TOLD,
    ),
    "payment_method": Words(
        _("A card at Mistral"),
        _("Calls in production need one. Nothing is charged up front: you pay what is used."),
        (
            _("Open Billing in Mistral's Admin panel."),
            _("Press “Add payment method” or “Complete setup”, and enter the company's card."),
        ),
        unseen=_HEARSAY,
        seen=_STATED,
        note=_("Card data belongs there only: never type it here."),
    ),
    "plan": Words(
        _("A plan"),
        _(
            "Free mode is for trying out, with low limits. For production choose pay-as-you-go;"
            " older pages call the two Experiment and Scale."
        ),
        (
            _("Open the subscription page in Mistral's Admin panel."),
            _("Choose the plan, and state below which one it is."),
        ),
        unseen=_(
            "We see that there is a plan by the first answer. Until then say it here, or state it"
            " in the billing details."
        ),
        seen=_("Seen by an answer of Mistral's, or stated in the billing details."),
    ),
    "phone": Words(
        _("A telephone number, if Mistral asks"),
        _("Mistral may want to see that there is a person behind the account."),
        (_("Enter a number and the code that comes by SMS. Not asked? Confirm all the same."),),
        unseen=_HEARSAY,
        seen=_STATED,
    ),
    "auto_recharge": Words(
        _("Auto-recharge"),
        _("So that calls do not stop in the middle of a day because a balance ran out."),
        (
            _("Open Billing in Mistral's Admin panel and look for “Auto Recharge”."),
            _("Say how much to top up, and below which balance."),
        ),
        unseen=_HEARSAY,
        seen=_STATED,
        note=_("If your account has no such entry, it is billed at the end of the month: confirm."),
    ),
    "api_key": Words(
        _("An API key"),
        _("It is what lets calls in at Mistral. Here it is sealed, checked and never shown again."),
        (
            _("Open API keys in Mistral Studio and press “Create new key”."),
            _("Choose the workspace, a name and, if you like, an expiry date."),
            _("Copy the key, which Mistral shows once, and register it here."),
        ),
        unseen=_("We see it: the key is checked as soon as it is registered."),
        seen=_("Seen: Mistral accepts a key of yours."),
    ),
    "spending_limit": Words(
        _("A spending limit"),
        _(
            "Ours stops calls before they cost more than you allow, to the cent. Set one at Mistral"
            " too, as a second wall."
        ),
        (_("Choose a monthly amount. You are told at 50, 80 and 100 percent."),),
        unseen=_("We see it as soon as the organization has a monthly limit."),
        seen=_("Seen: the organization has a monthly limit."),
    ),
    "workspaces": Words(
        _("Workspaces"),
        _(
            "A workspace keeps keys, models, members and spend of a team, a project or a customer"
            " apart. One is there already: with a single project you need no more."
        ),
        (
            _("Open Workspaces in Mistral's Admin panel and press “New workspace”: icon, name."),
            _("Make one of the same name here, so that figures can be compared."),
            _("Keys made in it there are registered in it here."),
        ),
        unseen=_(
            "We see it as soon as there is a second workspace. If one is enough, say that it is"
            " done."
        ),
        seen=_("Seen: there is more than one workspace."),
    ),
    "members": Words(
        _("Colleagues"),
        _(
            "Admins manage everything, Billing sees money and invoices, Members work in their"
            " workspaces."
        ),
        (_("Paste their addresses; each gets a link that works once, for a week."),),
        unseen=_(
            "We see it as soon as a second person is a member. If you work alone, say that it is"
            " done."
        ),
        seen=_("Seen: more than one person is a member."),
    ),
    "rate_limits": Words(
        _("Rate limits"),
        _(
            "Mistral answers only so many requests a second and tokens a minute. One message in"
            " AIsuru may be ten requests, so a small limit is felt early."
        ),
        (
            _("Open Limits in Mistral's Admin panel: requests a second, tokens a minute by model."),
            _("Enter your agents and messages in “what if” here: it says whether they fit."),
            _("Too little? Ask Mistral's sales by their contact form for more."),
        ),
        unseen=_(
            "We see it as soon as Mistral's answers have told its limits, or a rate is set here."
            " Until then you can say it."
        ),
        seen=_("Seen: Mistral's answers have told its limits, or a rate is set here."),
        note=_(
            "We learn the limits from Mistral's answers too: after the first calls they show here."
        ),
    ),
    "model": Words(
        _("A model"),
        _("What AIsuru's agents speak with: one of Mistral's models behind your key."),
        (
            _("Choose a model; price and abilities stand beside each."),
            _("Copy token and configuration into AIsuru, under models."),
        ),
        unseen=_("We see it as soon as there is a model."),
        seen=_("Seen: there is a model."),
    ),
    "first_call": Words(
        _("The first answer"),
        _("When the first call has been metered, everything works from end to end."),
        (_("Ask something in the playground, or in AIsuru."),),
        unseen=_("We see it: every call is metered."),
        seen=_("Seen: a call was metered."),
    ),
}
