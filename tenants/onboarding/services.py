"""How far an organization is, derived from facts; and the word of a person where none is seen."""

from dataclasses import dataclass
from enum import StrEnum

from django.utils.translation import gettext as _

from tenants.billing.models import BillingProfile, Plan
from tenants.common import scope
from tenants.common.problems import Conflict, NotFound
from tenants.keys.models import KeyStatus, MistralKey
from tenants.onboarding.models import Confirmation
from tenants.onboarding.steps import BY_KEY, STEPS, CheckedBy, Step
from tenants.organizations import audit
from tenants.organizations.audit import Actor
from tenants.organizations.models import Member, Organization
from tenants.registry.models import RegisteredModel
from tenants.spend.models import Limit, UsageEvent

_ALONE = 1


class StepStatus(StrEnum):
    """Where a step stands."""

    OPEN = "todo"
    DONE = "done"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class Standing:
    """One step and where it stands."""

    key: str
    status: StepStatus
    checked_by: CheckedBy
    detail: str
    link: str


@dataclass(frozen=True)
class Progress:
    """All steps, how much of them is done, and which is next; None when nothing is left."""

    steps: list[Standing]
    percent: int
    next: str | None


def progress(organization: Organization) -> Progress:
    """Tell how far an organization is, by what is true now."""
    with scope.tenant(organization.pk):
        done = _facts() | set(Confirmation.objects.values_list("step", flat=True))
    standings = [_standing(step, done) for step in STEPS]
    todo = [one.key for one in standings if one.status == StepStatus.OPEN]
    finished = sum(one.status == StepStatus.DONE for one in standings)
    return Progress(standings, 100 * finished // len(standings), next(iter(todo), None))


def confirm(*, actor: Actor, organization: Organization, key: str, done: bool) -> None:
    """Keep a person's word that a step is done, or take it back; saying it twice changes nothing.

    Raises:
        NotFound: no such step.
        Conflict: ``step_not_confirmable``: facts decide it.
    """
    step = BY_KEY.get(key)
    if step is None:
        raise NotFound("not_found", _("There is nothing here, or it is not yours."))
    if step.checked_by != CheckedBy.USER:
        detail = _("This step is checked by the system. Do what it says; nothing is to confirm.")
        raise Conflict("step_not_confirmable", detail)
    with scope.tenant(organization.pk):
        if done:
            made = Confirmation(organization=organization, step=key, confirmed_by=actor.name)
            Confirmation.objects.bulk_create([made], ignore_conflicts=True)
            changed = Confirmation.objects.filter(pk=made.pk).exists()
        else:
            changed = bool(Confirmation.objects.filter(step=key).delete()[0])
        if changed:
            audit.record(
                actor=actor,
                organization_id=organization.pk,
                verb="onboarding.confirmed" if done else "onboarding.taken_back",
                target=organization,
                changed=[key],
            )


def _facts() -> set[str]:
    """Tell which steps facts show to be done, inside the organization's scope."""
    plan = Plan.objects.first() or Plan()
    keys = MistralKey.objects.filter(status=KeyStatus.VALID)
    limits = Limit.objects.filter(subject_kind="organization", monthly_spend__isnull=False)
    has_key = keys.exists()
    facts = {
        "mistral_account": has_key,
        "billing_profile": BillingProfile.objects.exists(),
        "payment_method": plan.payment_method_on_file,
        "plan": bool(plan.plan),
        "phone": plan.phone_verified,
        "auto_recharge": bool(plan.recharges),
        "api_key": has_key,
        "spending_limit": limits.exists(),
        "members": Member.objects.count() > _ALONE,
        "model": RegisteredModel.objects.filter(retired_at=None).exists(),
        "first_call": UsageEvent.objects.exists(),
    }
    return {key for key, is_done in facts.items() if is_done}


def _standing(step: Step, done: set[str]) -> Standing:
    if step.key in done:
        status = StepStatus.DONE
    elif step.after and step.after not in done:
        status = StepStatus.BLOCKED
    else:
        status = StepStatus.OPEN
    return Standing(step.key, status, step.checked_by, str(step.detail), step.where.value)
