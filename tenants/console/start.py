"""Onboarding: a live checklist. What we can see turns green by itself while the page is open."""

import hashlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from tenants.access.models import TokenScope
from tenants.billing.models import BillingProfile, VatStatus
from tenants.common import scope
from tenants.console import guide
from tenants.console.billing import VAT_WORDS
from tenants.console.door import Page, Visit, page, see_other
from tenants.console.guide import Words
from tenants.onboarding import services
from tenants.onboarding.services import Progress, Standing, StepStatus, Word
from tenants.onboarding.steps import CheckedBy

#: Where a step is done in this console, and where what is done is seen, if not there.
_HERE = {
    "billing_profile": "console-billing",
    "payment_method": "console-billing",
    "plan": "console-billing",
    "phone": "console-billing",
    "auto_recharge": "console-billing",
    "api_key": "console-register-key",
    "spending_limit": "console-limits",
    "workspaces": "console-workspaces",
    "members": "console-members",
    "rate_limits": "console-limits",
    "model": "console-new-model",
    "first_call": "console-models",
}
_DONE_HERE = {"api_key": "console-keys", "model": "console-models"}
#: Pages of a workspace, and what is needed there.
_INSIDE: Mapping[str, tuple[TokenScope, ...]] = {
    "console-register-key": (TokenScope.KEYS_WRITE,),
    "console-keys": (TokenScope.KEYS_READ,),
    "console-new-model": (TokenScope.MODELS_WRITE, TokenScope.KEYS_USE),
    "console-models": (TokenScope.MODELS_READ,),
}
#: Said of a VAT number that is not there, and the colour of it.
_NO_NUMBER = (_("not entered yet"), "warn")


class Vat(NamedTuple):
    """How far the VAT number was checked: None without one; in words, None without details."""

    status: VatStatus | None
    words: Any


@dataclass(frozen=True, slots=True)
class Shown:
    """A step as the page shows it.

    Attributes:
        here: the page of the console where something is done for it; empty if nothing is.
        is_for_others: it is done in this console, by somebody with another role.
        is_confirmable: only a person can say that it is done, and may do so now.
        is_skippable: it may be left out now.
        is_next: the first that is open: the page shows it unfolded.
        is_said: something was just said of it: unfolded too, and the keyboard is there.
        is_refused: what was entered for it was turned down.
    """

    standing: Standing
    words: Words
    here: str
    is_for_others: bool
    is_confirmable: bool
    is_skippable: bool
    is_next: bool
    is_said: bool
    is_refused: bool


class Start(Page):
    """``/organizations/<id>/start``."""

    @page(TokenScope.BILLING_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Show how far the organization is."""
        progress = services.progress(visit.organization)
        vat = _vat(visit)
        seen = _digest(progress, vat)
        if visit.request.GET.get("seen") == seen and "HX-Request" in visit.request.headers:
            return HttpResponse(status=204)  # nothing has changed: leave the page as it is
        refused = {"billing_profile"} if vat.status == VatStatus.NOT_REGISTERED else set()
        steps = [_shown(visit, one, progress.next, refused) for one in progress.steps]
        return visit.show(
            "start",
            progress=progress,
            seen=seen,
            steps=steps,
            done=sum(one.standing.status == StepStatus.DONE for one in steps),
            skipped=sum(one.standing.status == StepStatus.SKIPPED for one in steps),
            vat=vat.words,
            may_confirm=visit.may(TokenScope.BILLING_WRITE),
        )


class Confirm(Page):
    """``/organizations/<id>/start/<key>``."""

    @page(TokenScope.BILLING_READ)
    def get(self, visit: Visit, organization_id: UUID, key: str) -> HttpResponse:
        """Lead whoever reloads to the checklist."""
        return visit.go("console-start", organization_id=organization_id)

    @page(TokenScope.BILLING_WRITE)
    def post(self, visit: Visit, organization_id: UUID, key: str) -> HttpResponse:
        """Take a person's word: it is done, it is left out, or neither after all."""
        said = visit.request.POST.get("word", "")
        services.say(
            actor=visit.actor,
            organization=visit.organization,
            key=key,
            word=Word(said) if said in set(Word) else Word.NEITHER,
        )
        there = reverse("console-start", kwargs={"organization_id": organization_id})
        return see_other(f"{there}?said={key}")


def _digest(progress: Progress, vat: Vat) -> str:
    """Tell pages apart by what they show: where steps stand, whose word it is, the VAT number."""
    shown = [(one.status, one.said_by, one.said_at) for one in progress.steps]
    text = repr((shown, vat.status, vat.words is None))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _vat(visit: Visit) -> Vat:
    """Tell how far the VAT number was checked."""
    with scope.tenant(visit.organization.pk):
        profile = BillingProfile.objects.first()
    if profile is None:
        return Vat(None, None)
    if not profile.vat_number:
        return Vat(None, _NO_NUMBER)
    status = VatStatus(profile.vat_status)
    return Vat(status, VAT_WORDS[status])


def _shown(
    visit: Visit, standing: Standing, following: str | None, refused: AbstractSet[str]
) -> Shown:
    key, here = standing.key, _here(visit, standing)
    return Shown(
        standing=standing,
        words=guide.STEPS[key],
        here=here,
        is_for_others=key in _HERE and not here,
        is_confirmable=standing.checked_by == CheckedBy.USER and standing.status == StepStatus.OPEN,
        is_skippable=standing.is_optional and standing.status == StepStatus.OPEN,
        is_next=key == following,
        is_said=key == visit.request.GET.get("said"),
        is_refused=key in refused and standing.status == StepStatus.OPEN,
    )


def _here(visit: Visit, standing: Standing) -> str:
    """Find the page of the console for a step; empty without one, or where the person may not."""
    places = _HERE | _DONE_HERE if standing.status == StepStatus.DONE else _HERE
    name = places.get(standing.key, "")
    if name in _INSIDE:
        chosen = visit.here.chosen
        may = chosen is not None and set(_INSIDE[name]) <= visit.here.inside
        return reverse(name, kwargs={"workspace_id": chosen.pk}) if chosen and may else ""
    if not visit.here.leads_to(name):
        return ""
    return reverse(name, kwargs={"organization_id": visit.organization.pk})
