"""How far an organization is, derived from facts; and the word of a person where none is seen."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from django.db.models import Exists
from django.utils.translation import gettext as _

from tenants.billing.models import BillingProfile, Plan, VatStatus
from tenants.common import scope
from tenants.common.prepared import Prepared
from tenants.common.problems import Conflict, NotFound
from tenants.keys.models import KeyStatus, MistralKey
from tenants.onboarding.models import Confirmation
from tenants.onboarding.steps import BY_KEY, STEPS, CheckedBy, Step
from tenants.organizations import audit
from tenants.organizations.audit import Actor
from tenants.organizations.models import Member, Organization, Workspace
from tenants.registry.models import QuotaRecord, RegisteredModel
from tenants.spend.models import Limit, Rollup, SpendLine


class _Seen(NamedTuple):
    """What there is in an organization."""

    key: bool
    vat_number: bool
    spending_limit: bool
    workspaces: bool
    members: bool
    quota: bool
    rate: bool
    model: bool


#: One question instead of eight; of workspaces and members there must be a second, and VIES must
#: not have refused the VAT number.
_SEEN = Prepared(
    lambda: Organization.objects.values_list(
        Exists(MistralKey.objects.filter(status=KeyStatus.VALID)),
        Exists(
            BillingProfile.objects.exclude(vat_number="").exclude(
                vat_status=VatStatus.NOT_REGISTERED
            )
        ),
        Exists(Limit.objects.filter(subject_kind="organization", monthly_spend__isnull=False)),
        Exists(Workspace.objects.filter(archived_at=None)[1:2]),
        Exists(Member.objects.all()[1:2]),
        Exists(QuotaRecord.objects.filter(windows__0__isnull=False)),
        Exists(Limit.objects.filter(requests_per_second__isnull=False)),
        Exists(RegisteredModel.objects.filter(retired_at=None)),
    )
)
#: By their index; whether there are lines at all, PostgreSQL would ask of every line.
_ROLLED_UP = Prepared(
    lambda: Rollup.objects.order_by("organization_id", "period").values_list("period")[:1]
)


class StepStatus(StrEnum):
    """Where a step stands."""

    OPEN = "todo"
    DONE = "done"
    SKIPPED = "skipped"
    BLOCKED = "blocked"


class Word(StrEnum):
    """What a person says of a step."""

    DONE = "done"
    SKIPPED = "skipped"
    NEITHER = "neither"


_VERBS = {
    Word.DONE: "onboarding.confirmed",
    Word.SKIPPED: "onboarding.skipped",
    Word.NEITHER: "onboarding.taken_back",
}


@dataclass(frozen=True)
class Standing:
    """One step and where it stands; ``said_by`` and ``said_at`` where a person's word decides.

    ``link`` is where it is done; ``at_mistral`` the page there, empty if there is none.
    """

    key: str
    status: StepStatus
    checked_by: CheckedBy
    detail: str
    link: str
    at_mistral: str
    is_optional: bool
    said_by: str = ""
    said_at: datetime | None = None


@dataclass(frozen=True)
class Progress:
    """All steps, how much of them is settled, and which is next; None when nothing is left."""

    steps: list[Standing]
    percent: int
    next: str | None


def progress(organization: Organization) -> Progress:
    """Tell how far an organization is, by what is true now; what was left out counts as settled."""
    with scope.tenant(organization.pk):
        shown = {key for key, is_done in facts().items() if is_done}
        said = {row.step: row for row in Confirmation.objects.all()}
    settled = shown | said.keys()
    standings = [_standing(step, shown, said.get(step.key), settled) for step in STEPS]
    todo = [one.key for one in standings if one.status == StepStatus.OPEN]
    finished = sum(one.status in {StepStatus.DONE, StepStatus.SKIPPED} for one in standings)
    return Progress(standings, 100 * finished // len(standings), next(iter(todo), None))


def say(*, actor: Actor, organization: Organization, key: str, word: Word) -> None:
    """Keep a person's word on a step, or take it back; saying it twice changes nothing.

    A fact is stronger than a word: a step that was left out turns to done when it is seen.

    Raises:
        NotFound: no such step.
        Conflict: ``step_not_confirmable``: facts decide it; ``step_not_skippable``: nothing works
            without it.
    """
    step = BY_KEY.get(key)
    if step is None:
        raise NotFound("not_found", _("There is nothing here, or it is not yours."))
    if word is Word.DONE and step.checked_by != CheckedBy.USER:
        detail = _("This step is checked by the system. Do what it says; nothing is to confirm.")
        raise Conflict("step_not_confirmable", detail)
    if word is Word.SKIPPED and not step.is_optional:
        detail = _("Nothing works without this step, so it cannot be left out.")
        raise Conflict("step_not_skippable", detail)
    with scope.tenant(organization.pk):
        rows = Confirmation.objects.filter(step=key)
        if word is Word.NEITHER:
            changed = bool(rows.delete()[0])
        else:
            is_skipped = word is Word.SKIPPED
            rows.exclude(is_skipped=is_skipped).delete()
            made = Confirmation(
                organization=organization,
                step=key,
                confirmed_by=actor.name,
                is_skipped=is_skipped,
            )
            Confirmation.objects.bulk_create([made], ignore_conflicts=True)
            changed = Confirmation.objects.filter(pk=made.pk).exists()
        if changed:
            audit.record(
                actor=actor,
                organization_id=organization.pk,
                verb=_VERBS[word],
                target=organization,
                changed=[key],
            )


def facts() -> dict[str, bool]:
    """Tell of each step that facts can show whether they do, inside the organization's scope."""
    plan = Plan.objects.first() or Plan()
    [seen] = map(_Seen._make, _SEEN.ask())
    has_called = bool(_ROLLED_UP.ask()) or SpendLine.objects.exists()
    return {
        "mistral_account": seen.key,
        "billing_profile": seen.vat_number,
        "payment_method": plan.payment_method_on_file,
        "auto_recharge": bool(plan.recharges),
        # Whoever is answered has a plan, whichever it is.
        "plan": bool(plan.plan) or has_called,
        "phone": plan.phone_verified,
        "spending_limit": seen.spending_limit,
        "workspaces": seen.workspaces,
        "api_key": seen.key,
        "members": seen.members,
        # Answers have taught the limits, or somebody has set their own.
        "rate_limits": seen.quota or seen.rate,
        "model": seen.model,
        "first_call": has_called,
    }


def _standing(
    step: Step, shown: AbstractSet[str], word: Confirmation | None, settled: AbstractSet[str]
) -> Standing:
    by, at = "", None
    if step.key in shown:
        status = StepStatus.DONE
    elif word is not None:
        status = StepStatus.SKIPPED if word.is_skipped else StepStatus.DONE
        by, at = word.confirmed_by, word.created_at
    elif step.after and step.after not in settled:
        status = StepStatus.BLOCKED
    else:
        status = StepStatus.OPEN
    return Standing(
        key=step.key,
        status=status,
        checked_by=step.checked_by,
        detail=str(step.detail),
        link=step.where.value,
        at_mistral=step.at_mistral,
        is_optional=step.is_optional,
        said_by=by,
        said_at=at,
    )
