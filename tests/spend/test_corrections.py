"""Corrections: events of their own, with a reason, posted once."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.utils import timezone

from tenants.common import scope
from tenants.common.models import new_id
from tenants.common.months import Month
from tenants.common.problems import Invalid
from tenants.organizations.models import AuditEvent
from tenants.spend import corrections
from tenants.spend.calls import Category
from tenants.spend.corrections import Difference
from tenants.spend.models import UsageEvent
from tests.api import world
from tests.api.callers import organization_caller
from tests.factories import ACTOR
from tests.spend.made import events, intent, ledger, recount, settlement
from tests.spend.test_reporting import COST, event, report


@pytest.fixture
def hers(organization):
    return world.world(organization)


def correct(organization, amount, reference="r-1", **facts):
    month = facts.pop("month", Month.of(timezone.now(), organization.timezone))
    return corrections.post_correction(
        actor=ACTOR,
        organization=organization,
        month=month,
        difference=Difference(
            facts.pop("workspace_id"),
            Category.COMPLETION,
            "mistral-small-2603",
            Decimal(amount),
            facts.pop("quantities", {}),
            **facts,
        ),
        reason="the invoice says so",
        reference=reference,
    )


def test_a_correction_is_an_event_of_its_own_with_a_reason_and_posted_once(organization, hers):
    workspace_id = hers.workspace.pk
    report(organization_caller(organization), event(hers))
    first = correct(organization, "0.5", workspace_id=workspace_id, quantities={"prompt_tokens": 7})
    assert correct(organization, "9.9", workspace_id=workspace_id).pk == first.pk
    rows = {row["source"]: row for row in events(organization)}
    assert rows["correction"]["cost"] == Decimal("0.5")
    assert (rows["correction"]["prompt_tokens"], rows["correction"]["requests"]) == (7, 0)
    assert rows["correction"]["id"] == first.event_id
    assert rows["reported"]["cost"] == COST
    assert ledger(organization) == recount(organization)
    with scope.tenant(organization.id):
        assert AuditEvent.objects.filter(verb="spend.corrected").count() == 1


def test_a_correction_takes_away_at_most_what_was_spent(organization, hers):
    report(organization_caller(organization), event(hers))
    with pytest.raises(Invalid) as refused:
        correct(organization, "-0.00018", workspace_id=hers.workspace.pk)
    assert refused.value.code == "below_zero"
    assert len(events(organization)) == 1
    correct(organization, "-0.00017", workspace_id=hers.workspace.pk)
    assert ledger(organization)["organization", organization.id] == (0, 0)


def test_a_correction_of_an_event_goes_where_that_event_is(meter, organization, hers):
    call = intent(organization, hers.workspace, model_id=hers.model.pk, key_id=hers.key.pk)
    meter.settle_calls([settlement(call, "0.40")])
    with scope.tenant(organization.id):
        mended = UsageEvent.objects.get(organization=organization, id=call.call_id)
    correct(organization, "-0.15", workspace_id=new_id(), corrects=mended)
    assert ledger(organization)["model", hers.model.pk] == (Decimal("0.25"), 0)
    assert ledger(organization) == recount(organization)


def test_a_correction_belongs_to_a_day_of_its_month(organization, hers):
    october = Month.parse("2026-10", "Europe/Rome")
    done = correct(
        organization,
        "1",
        workspace_id=hers.workspace.pk,
        month=october,
        day=datetime(2026, 10, 31, tzinfo=UTC).date(),
    )
    assert done.occurred_at == datetime(2026, 10, 31, 11, tzinfo=UTC)
    with pytest.raises(Invalid, match="not_in_month"):
        correct(
            organization,
            "1",
            "r-2",
            workspace_id=hers.workspace.pk,
            month=october,
            day=datetime(2026, 11, 1, tzinfo=UTC).date(),
        )
