"""Money at the desk: limits that go back by themselves, corrections with a second pair of eyes."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import IntegrityError, ProgrammingError
from django.utils import timezone

from tenants.assistance.models import CorrectionRequest
from tenants.assistance.staff import StaffRole
from tenants.common import scope
from tenants.common.problems import Conflict, Invalid
from tenants.organizations.models import Announcement
from tenants.spend import extensions, limits
from tenants.spend.meter import Meter
from tenants.spend.models import Correction, Limit, LimitExtension
from tenants.spend.services import set_limit
from tests import factories
from tests.api.world import world
from tests.factories import ACTOR
from tests.spend import made
from tests.spend.made import as_owner, ledger
from tests.support.conftest import hire, verbs_of
from tests.support.test_table import asked, spent

DAY = timedelta(days=1)


@pytest.fixture
def workspace(organization):
    return factories.default_workspace(organization)


def limited(organization, amount: str) -> Limit:
    return set_limit(
        actor=ACTOR,
        organization=organization,
        subject=organization,
        monthly_spend=Decimal(amount),
    )


def allows(organization) -> Decimal | None:
    return limits.read_limit(organization=organization, subject=organization).monthly_spend


def kinds(organization) -> list[str]:
    with scope.tenant(organization.pk):
        rows = Announcement.objects.filter(kind__startswith="spend.limit_").order_by("id")
        return list(rows.values_list("kind", flat=True))


def over(organization) -> None:
    """Let an extension's instant pass."""
    as_owner(
        "UPDATE spend_limitextension SET ends_at = now() WHERE organization_id = %s",
        organization.pk,
    )


def extended(organization, limit: Limit, amount: str) -> LimitExtension:
    return extensions.extend_limit(
        actor=ACTOR,
        organization=organization,
        limit_id=limit.pk,
        monthly_spend=Decimal(amount),
        until=timezone.now() + DAY,
    )


def test_an_extended_limit_lets_calls_through_and_goes_back_by_itself(organization, workspace):
    limit = limited(organization, "1")
    meter = Meter()
    refused, passed, refused_again = (made.intent(organization, workspace, "2") for _ in range(3))
    assert not meter.open_calls([refused])[0].is_accepted
    extended(organization, limit, "3")
    assert meter.open_calls([passed])[0].is_accepted
    meter.settle_calls([made.settlement(passed, "0.50")])
    extensions.end_due()
    assert allows(organization) == 3  # its day is not over
    over(organization)
    extensions.end_due()
    extensions.end_due()
    assert allows(organization) == 1
    assert not meter.open_calls([refused_again])[0].is_accepted
    meter.close()
    assert kinds(organization) == ["spend.limit_extended", "spend.limit_restored"]
    assert ledger(organization)["organization", organization.pk][0] == Decimal("0.50")


def test_whoever_sets_the_limit_meanwhile_has_the_last_word(organization):
    limit = limited(organization, "1")
    extended(organization, limit, "3")
    limited(organization, "2")
    over(organization)
    extensions.end_due()
    assert allows(organization) == 2
    assert kinds(organization) == ["spend.limit_extended"]


def test_extended_twice_it_goes_back_to_what_it_was_at_first(organization):
    limit = limited(organization, "1")
    extended(organization, limit, "3")
    extended(organization, limit, "4")
    over(organization)
    extensions.end_due()
    assert allows(organization) == 1


def test_an_extension_allows_more_for_a_while_and_never_more_than_the_organization(organization):
    small = world(organization)
    limited(organization, "10")
    model = set_limit(
        actor=ACTOR, organization=organization, subject=small.model, monthly_spend=Decimal(5)
    )
    for amount, code in (("5", "extension_no_more"), ("11", "above_organization_limit")):
        with pytest.raises(Invalid, match=code):
            extended(organization, model, amount)
    for until in (timezone.now() - DAY, timezone.now() + 63 * DAY):
        with pytest.raises(Invalid, match="extension_out_of_range"):
            extensions.extend_limit(
                actor=ACTOR,
                organization=organization,
                limit_id=model.pk,
                monthly_spend=Decimal(6),
                until=until,
            )
    rates_only = limited(organization, "10")
    with scope.tenant(organization.pk):
        Limit.objects.filter(pk=rates_only.pk).update(monthly_spend=None)
    with pytest.raises(Conflict, match="limit_not_set"):
        extended(organization, rates_only, "20")


def test_a_lead_extends_a_limit_on_the_page_and_it_is_said_there(hers, lead):
    limited(hers.organization, "500")
    lead.enter(hers.organization, elevated=True)
    place = f"organizations/{hers.organization.pk}"
    day = timezone.now().date() + 2 * DAY
    limit = limits.read_limit(organization=hers.organization, subject=hers.organization)
    answer = lead.post(
        f"{place}/limits/extend",
        limit=str(limit.pk),
        monthly_spend="600",
        until=f"{day}",
    )
    assert answer.status_code == 302
    shown = lead.get(f"{place}/spend").text
    assert f"{day}" in shown
    assert "600" in shown
    assert "limit.extended" in verbs_of(hers.organization.pk, lead.person)
    wrong = lead.post(f"{place}/limits/extend", limit=str(limit.pk), monthly_spend="x", until="")
    assert (wrong.status_code, "form_invalid" in wrong.text) == (422, True)


def test_a_small_correction_is_posted_at_once_and_many_small_ones_are_a_large_one(organization):
    small = world(organization)
    spent(small)  # 80
    agent = hire(StaffRole.AGENT)
    agent.enter(organization, elevated=True)

    def give_back(amount: str) -> str:
        agent.post(
            f"organizations/{organization.pk}/corrections",
            month=f"{timezone.now():%Y-%m}",
            workspace=str(small.workspace.pk),
            amount=amount,
            reason="ticket 7",
        )
        with scope.tenant(organization.pk):
            return CorrectionRequest.objects.latest("pk").status

    assert give_back("-30") == "posted"
    assert give_back("-20") == "posted"
    assert give_back("-0.01") == "waiting"
    assert ledger(organization)["organization", organization.pk][0] == 30
    with scope.tenant(organization.pk):
        told = Announcement.objects.filter(kind="support.acted")
        verbs = [one.data["verb"] for one in told.order_by("pk")]
        assert verbs == ["correction.posted", "correction.posted", "correction.requested"]


def test_a_large_correction_needs_a_second_person_and_expires(organization):
    small = world(organization)
    spent(small)
    lead, other, viewer = hire(StaffRole.LEAD), hire(StaffRole.SECURITY), hire(StaffRole.VIEWER)
    place = f"organizations/{organization.pk}/corrections"
    lead.enter(organization, elevated=True)
    lead.post(
        place,
        month=f"{timezone.now():%Y-%m}",
        workspace=str(small.workspace.pk),
        amount="-60",
        reason="billed twice",
    )
    with scope.tenant(organization.pk):
        request = CorrectionRequest.objects.get()
    assert ledger(organization)["organization", organization.pk][0] == 80
    own = lead.post(f"{place}/{request.pk}/confirm")
    assert (own.status_code, "correction_own" in own.text) == (409, True)
    assert str(organization.pk) in other.get("platform/attention").text
    assert organization.name not in other.get("platform/attention").text
    assert "billed twice" not in viewer.get("platform/attention").text
    # Without a session, or in one that may look only, nobody confirms.
    assert other.post(f"{place}/{request.pk}/confirm").status_code == 403
    viewer.enter(organization)
    assert viewer.post(f"{place}/{request.pk}/confirm").status_code == 403
    other.enter(organization, elevated=True)
    assert "billed twice" in other.get(f"organizations/{organization.pk}/spend").text
    assert other.post(f"{place}/{request.pk}/confirm").status_code == 302
    assert ledger(organization)["organization", organization.pk][0] == 20
    again = other.post(f"{place}/{request.pk}/confirm")
    assert (again.status_code, "correction_over" in again.text) == (409, True)
    assert posted(organization) == 1

    late = asked(small, "-51")
    as_owner("UPDATE assistance_correctionrequest SET expires_at = now() WHERE id = %s", late)
    assert other.post(f"{place}/{late}/confirm").status_code == 409
    assert posted(organization) == 1
    assert "expired" in other.get(f"organizations/{organization.pk}/spend").text


def test_the_database_keeps_four_eyes_and_what_was_asked_for(organization):
    small = world(organization)
    spent(small)
    request_id: UUID = asked(small)
    with scope.tenant(organization.pk):
        row = CorrectionRequest.objects.get(pk=request_id)
    for decided_by in (None, row.asked_by_id):
        with pytest.raises(IntegrityError, match="four_eyes"), scope.tenant(organization.pk):
            CorrectionRequest.objects.filter(pk=row.pk).update(
                status="posted", decided_by=decided_by
            )
    for change in ({"amount": 1}, {"needs_second": False}, {"asked_by": None}):
        with pytest.raises(ProgrammingError, match="permission"), scope.tenant(organization.pk):
            CorrectionRequest.objects.filter(pk=row.pk).update(**change)


def posted(organization) -> int:
    with scope.tenant(organization.pk):
        return Correction.objects.filter(reference__startswith="support:").count()
