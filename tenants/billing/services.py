"""Verbs on billing facts: state the profile, state or observe the plan."""

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.billing import profile_rules, tasks
from tenants.billing.models import BillingProfile, FactSource, Plan, VatStatus
from tenants.billing.profile_rules import ProfileFacts
from tenants.common import scope
from tenants.common.problems import Invalid
from tenants.common.queue import enqueue_on_commit
from tenants.organizations import audit
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization


def set_profile(*, actor: Actor, organization: Organization, facts: ProfileFacts) -> BillingProfile:
    """State whom Mistral bills; a new VAT number is looked up at VIES by a worker.

    Raises:
        Invalid: ``validation_failed``: nothing was kept.
    """
    checked = profile_rules.check(facts)
    stated = asdict(checked.facts)
    with scope.tenant(organization.pk):
        BillingProfile.objects.bulk_create(
            [BillingProfile(organization=organization, **stated)], ignore_conflicts=True
        )
        row = BillingProfile.objects.select_for_update(no_key=True).get()
        is_new = row.vat_status == VatStatus.UNCHECKED and row.due_at is None
        changed = sorted(name for name, value in stated.items() if getattr(row, name) != value)
        if is_new or "vat_number" in changed:
            number = checked.vat
            row.vat_status = (
                VatStatus.VALID_FORMAT if number and number.is_checked else VatStatus.UNCHECKED
            )
            row.vat_checked_at, row.attempts = None, 0
            row.due_at = timezone.now() if number and number.is_european else None
        for name, value in stated.items():
            setattr(row, name, value)
        row.save()
        _record(actor, row, "billing_profile.set", changed)
        if row.due_at is not None:
            enqueue_on_commit(tasks.check_vat, str(organization.pk))
    return row


def set_plan(
    *,
    actor: Actor,
    organization: Organization,
    plan: str,
    payment_method_on_file: bool,
    phone_verified: bool,
    auto_recharge: Mapping[str, Any] | None,
    source: FactSource = FactSource.DECLARED,
) -> Plan:
    """Keep what is known of plan and payment at Mistral; the latest word holds.

    Args:
        actor: who says so.
        organization: of whom.
        plan: Mistral's name of it; empty when not known.
        payment_method_on_file: whether Mistral has one. We never see it.
        phone_verified: whether Mistral has verified a telephone number.
        auto_recharge: ``enabled``, ``top_up`` and ``threshold``; None when not known.
        source: whether somebody says so, or it was seen at Mistral.

    Raises:
        Invalid: ``required`` or ``out_of_range``: amounts of a recharge that is on.
    """
    recharge = _recharge(auto_recharge)
    stated = {
        "plan": plan,
        "payment_method_on_file": payment_method_on_file,
        "phone_verified": phone_verified,
        "source": source,
        **recharge,
    }
    with scope.tenant(organization.pk):
        Plan.objects.bulk_create([Plan(organization=organization)], ignore_conflicts=True)
        row = Plan.objects.select_for_update(no_key=True).get()
        changed = sorted(name for name, value in stated.items() if getattr(row, name) != value)
        for name, value in stated.items():
            setattr(row, name, value)
        row.save()
        _record(actor, row, "plan.set", changed)
    return row


def _recharge(stated: Mapping[str, Any] | None) -> dict[str, Any]:
    if stated is None:
        return {"recharges": None, "top_up": None, "threshold": None}
    top_up: Decimal | None = stated.get("top_up")
    threshold: Decimal | None = stated.get("threshold")
    if stated["enabled"]:
        for name, value in (("top_up", top_up), ("threshold", threshold)):
            if value is None:
                detail = _("A recharge that is on needs this amount.")
                raise Invalid.field(f"/auto_recharge/{name}", "required", detail)
        if not top_up:
            detail = _("The amount to top up must be more than nothing.")
            raise Invalid.field("/auto_recharge/top_up", "out_of_range", detail)
    return {"recharges": stated["enabled"], "top_up": top_up, "threshold": threshold}


def _record(actor: Actor, row: BillingProfile | Plan, verb: str, changed: list[str]) -> None:
    audit.record(
        actor=actor,
        organization_id=row.organization_id,
        verb=verb,
        target=row,
        changed=changed,
    )
