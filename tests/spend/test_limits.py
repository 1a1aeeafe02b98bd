"""Limits: setting them, what they see of the month, and where each stands."""

from decimal import Decimal

import psycopg
import pytest
from django.utils import timezone

from tenants.common import scope
from tenants.common.months import Month
from tenants.common.problems import Invalid, NotFound
from tenants.organizations.models import AuditEvent
from tenants.spend import limits, services
from tenants.spend.calls import LimitMode, SubjectKind
from tenants.spend.models import Limit
from tests import factories
from tests.factories import ACTOR
from tests.spend import made
from tests.spend.made import intent, settlement


def set_limit(organization, subject, amount, **facts):
    return services.set_limit(
        actor=ACTOR,
        organization=organization,
        subject=subject,
        monthly_spend=None if amount is None else Decimal(amount),
        **facts,
    )


def saved(organization):
    with scope.tenant(organization.id):
        return list(Limit.objects.order_by("id"))


def audited(organization):
    with scope.tenant(organization.id):
        found = AuditEvent.objects.filter(verb__startswith="limit.").order_by("id")
        return [(event.verb, event.target_kind, event.changed) for event in found]


@pytest.fixture
def model(organization, workspace):
    with scope.tenant(organization.id):
        return made.registered_model(organization, workspace)


def test_a_limit_is_set_changed_and_taken_away_with_one_audit_row_each(organization, workspace):
    assert limits.read_limit(organization=organization, subject=workspace).monthly_spend is None
    set_limit(organization, workspace, "20.00")
    set_limit(organization, workspace, "20.00")
    set_limit(organization, workspace, "30.00", alert_thresholds=[90, 50, 90])
    set_limit(organization, workspace, None, alert_thresholds=[50, 90])
    (limit,) = saved(organization)
    assert (limit.monthly_spend, limit.alert_thresholds) == (None, [50, 90])
    assert audited(organization) == [
        ("limit.set", "limit", ["monthly_spend"]),
        ("limit.set", "limit", ["alert_thresholds", "monthly_spend"]),
        ("limit.set", "limit", ["monthly_spend"]),
    ]


def test_a_limit_set_in_mid_month_counts_what_was_spent_and_is_held(
    meter, organization, workspace, model
):
    spent, going_on = (intent(organization, workspace, model_id=model.id) for _ in range(2))
    meter.open_calls([spent, going_on])
    meter.settle_calls([settlement(spent, "0.40")])
    set_limit(organization, model, "1.50")
    (verdict,) = meter.open_calls([intent(organization, workspace, "0.11", model_id=model.id)])
    assert verdict.refusal is not None
    assert (verdict.refusal.spent, verdict.refusal.held) == (Decimal("0.40"), 1)
    assert meter.open_calls([intent(organization, workspace, "0.10", model_id=model.id)])[
        0
    ].is_accepted


def test_a_limit_below_what_is_spent_refuses_the_rest_and_going_calls_still_settle(
    meter, organization, workspace
):
    calls = [intent(organization, workspace) for _ in range(3)]
    meter.open_calls(calls)
    set_limit(organization, organization, "0.50")
    assert not meter.open_calls([intent(organization, workspace, "0.01")])[0].is_accepted
    meter.settle_calls([settlement(call, "1.00") for call in calls])
    (found,) = limits.effective_limits(organization=organization)
    assert [found.spent, found.held, found.remaining, found.excess] == [3, 0, 0, 0]
    rows = made.as_owner(
        "SELECT limit_amount, carried FROM spend_balance WHERE subject_id = %s", organization.id
    )
    assert rows == [(Decimal("0.50"), Decimal("2.50"))]


def test_taking_a_limit_away_lets_calls_through_again(meter, organization, workspace):
    set_limit(organization, organization, "0.50")
    assert not meter.open_calls([intent(organization, workspace)])[0].is_accepted
    set_limit(organization, organization, None)
    assert meter.open_calls([intent(organization, workspace)])[0].is_accepted


def test_the_database_itself_refuses_to_pass_a_limit(meter, organization, workspace):
    set_limit(organization, organization, "2.00")
    meter.open_calls([intent(organization, workspace)])
    for column in ("held", "settled"):
        with pytest.raises(psycopg.errors.CheckViolation, match="balance_within_limit"):
            made.as_owner(
                f"UPDATE spend_balance SET {column} = {column} + 1.01 WHERE subject_id = %s",
                organization.id,
            )
        with pytest.raises(psycopg.errors.CheckViolation, match="balance_signs"):
            made.as_owner(
                f"UPDATE spend_balance SET {column} = -0.01 WHERE subject_id = %s",
                organization.id,
            )


def test_no_part_may_be_given_more_than_its_organization(organization, workspace, model):
    set_limit(organization, organization, "10.00")
    for part in (workspace, model, model.key):
        with pytest.raises(Invalid) as refused:
            set_limit(organization, part, "10.01")
        assert refused.value.code == "above_organization_limit"
        assert refused.value.errors[0].pointer == "/monthly_spend"
        assert "10.00" in refused.value.detail
    assert [limit.subject_id for limit in saved(organization)] == [organization.id]
    for part in (workspace, model, model.key):
        set_limit(organization, part, "10.00")
        set_limit(organization, part, None)


def test_the_organizations_limit_may_be_lowered_below_its_parts_and_is_what_counts(
    meter, organization, workspace, model
):
    set_limit(organization, organization, "10.00")
    set_limit(organization, model.key, "8.00")
    set_limit(organization, organization, "0.50")
    call = intent(organization, workspace, model_id=model.id, key_id=model.key_id)
    (verdict,) = meter.open_calls([call])
    assert verdict.refusal is not None
    assert verdict.refusal.subject_kind is SubjectKind.ORGANIZATION
    assert [limit.monthly_spend for limit in saved(organization)] == [Decimal("0.50"), 8]


def test_a_limit_tells_when_it_last_refused_a_call(meter, organization, workspace, model):
    for part in (organization, model.key):
        set_limit(organization, part, "1.50")
    facts = {"model_id": model.id, "key_id": model.key_id}
    assert meter.open_calls([intent(organization, workspace, **facts)])[0].is_accepted
    effective = {"organization": organization, "model": model}
    assert [one.refused_at for one in limits.effective_limits(**effective)] == [None, None]
    began = timezone.now()
    assert not meter.open_calls([intent(organization, workspace, **facts)])[0].is_accepted
    for one in limits.effective_limits(**effective):
        assert one.refused_at is not None
        assert one.refused_at >= began


@pytest.mark.parametrize("thresholds", [[0], [101], [-5], list(range(1, 12))])
def test_thresholds_that_are_no_percentages_are_refused(organization, thresholds):
    with pytest.raises(Invalid, match="not_percentages"):
        set_limit(organization, organization, "1.00", alert_thresholds=thresholds)
    assert saved(organization) == []


def test_nobody_limits_what_is_somebody_elses(organization, stranger):
    theirs = factories.default_workspace(stranger)
    for subject in (stranger, theirs):
        with pytest.raises(NotFound):
            set_limit(organization, subject, "1.00")
    assert saved(organization) == saved(stranger) == []


def test_effective_limits_are_all_that_match_widest_first_with_this_months_figures(
    meter, organization, workspace, model
):
    set_limit(organization, organization, "10.00")
    set_limit(organization, workspace, "5.00", mode=LimitMode.SHADOW)
    set_limit(organization, model, "2.00", alert_thresholds=[75])
    set_limit(organization, model.key, "3.00")
    facts = {"model_id": model.id, "key_id": model.key_id}
    spent, going_on = (intent(organization, workspace, **facts) for _ in range(2))
    meter.open_calls([spent, going_on])
    meter.settle_calls([settlement(spent, "0.25")])
    found = limits.effective_limits(organization=organization, model=model)
    assert [(one.subject_kind, one.subject_id, one.monthly_spend, one.mode) for one in found] == [
        (SubjectKind.ORGANIZATION, organization.id, Decimal(10), LimitMode.ENFORCE),
        (SubjectKind.WORKSPACE, workspace.id, Decimal(5), LimitMode.SHADOW),
        (SubjectKind.KEY, model.key_id, Decimal(3), LimitMode.ENFORCE),
        (SubjectKind.MODEL, model.id, Decimal(2), LimitMode.ENFORCE),
    ]
    for one in found:
        assert (one.spent, one.held, one.currency) == (Decimal("0.25"), Decimal(1), "EUR")
        assert one.remaining == (one.monthly_spend or 0) - Decimal("1.25")
        assert one.resets_at == Month.of(timezone.now(), "Europe/Rome").ends_at
    assert found[3].alert_thresholds == (75,)
    assert found[3].subject_name == model.name
    only_workspace = limits.effective_limits(organization=organization, workspace=workspace)
    assert [one.subject_kind for one in only_workspace] == ["organization", "workspace"]


def test_a_limit_without_spend_yet_leaves_all_of_it(organization):
    set_limit(organization, organization, "10.00")
    (found,) = limits.effective_limits(organization=organization)
    assert [found.spent, found.held, found.remaining] == [0, 0, 10]
