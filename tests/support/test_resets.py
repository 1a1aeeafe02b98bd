"""A member who lost every second factor: told, waited for, confirmed by a second person."""

import psycopg
import pytest
from allauth.mfa.models import Authenticator
from django.utils import timezone

from tenants.assistance.models import FactorReset, ResetStatus
from tenants.assistance.staff import StaffRole
from tenants.common import scope
from tenants.notices import publishing
from tenants.notices.models import Notice
from tests.postgres import owner_url
from tests.support import factors
from tests.support.conftest import hire, staff_person


def kinds_of(person) -> list[str]:
    return sorted(Authenticator.objects.filter(user=person).values_list("type", flat=True))


def test_lost_second_factors_are_forgotten_after_a_day_by_two_people(organization):
    member = factors.locked_out(organization)
    password = member.person.password
    security, lead, agent = (
        hire(role) for role in (StaffRole.SECURITY, StaffRole.LEAD, StaffRole.AGENT)
    )
    place = f"organizations/{organization.pk}"
    for worker in (security, lead, agent):
        worker.enter(organization, elevated=True)
    assert lead.post(f"{place}/members/{member.pk}/reset").status_code == 403
    assert security.post(f"{place}/members/{member.pk}/reset").status_code == 302
    again = security.post(f"{place}/members/{member.pk}/reset")
    assert (again.status_code, "reset_waiting" in again.text) == (409, True)
    with scope.tenant(organization.pk):
        reset = FactorReset.objects.get()
    # The member reads of it, and every administrator does.
    publishing.publish(organization.pk)
    with scope.tenant(organization.pk):
        told = Notice.objects.filter(announcement__kind="support.acted")
        verbs = told.filter(member=member).values_list("announcement__data__verb", flat=True)
        assert list(verbs) == ["member.second_factor_reset_requested"]

    def confirmed(worker) -> tuple[int, str]:
        answer = worker.post(f"{place}/resets/{reset.pk}/confirm")
        codes = ("reset_early", "reset_own", "reset_over", "second_factor_used", "role_missing")
        return answer.status_code, next((code for code in codes if code in answer.text), "")

    assert confirmed(lead) == (409, "reset_early")
    factors.a_day_passes(reset)
    assert confirmed(agent) == (403, "role_missing")
    assert confirmed(security) == (409, "reset_own")
    Authenticator.objects.filter(user=member.person, type="totp").update(
        last_used_at=timezone.now()
    )
    assert confirmed(lead) == (409, "second_factor_used")
    assert kinds_of(member.person) == ["recovery_codes", "totp"]
    Authenticator.objects.filter(user=member.person).update(last_used_at=None)
    assert str(reset.pk) in lead.get(f"{place}/people").text
    assert confirmed(lead) == (302, "")
    assert kinds_of(member.person) == []
    member.person.refresh_from_db()
    assert (member.person.password, member.person.is_active) == (password, True)
    assert confirmed(lead) == (409, "reset_over")


def test_nobody_else_loses_a_second_factor(organization, stranger):
    security, lead = hire(StaffRole.SECURITY), hire(StaffRole.LEAD)
    security.enter(organization, elevated=True)
    elsewhere = factors.locked_out(stranger)
    place = f"organizations/{organization.pk}"
    assert security.post(f"{place}/members/{elsewhere.pk}/reset").status_code == 404
    none = factors.locked_out(organization)
    Authenticator.objects.filter(user=none.person, type="totp").delete()
    answer = security.post(f"{place}/members/{none.pk}/reset")
    assert (answer.status_code, "second_factor_none" in answer.text) == (409, True)
    none.person.is_staff = True
    none.person.save(update_fields=["is_staff"])
    answer = security.post(f"{place}/members/{none.pk}/reset")
    assert (answer.status_code, "second_factor_of_staff" in answer.text) == (409, True)
    reset_id = factors.asked(stranger, hire(StaffRole.SECURITY))
    lead.enter(organization, elevated=True)
    assert lead.post(f"{place}/resets/{reset_id}/confirm").status_code == 404
    assert lead.post(f"{place}/resets/{reset_id}/refuse").status_code == 404
    lead.enter(stranger, elevated=True)
    assert lead.post(f"organizations/{stranger.pk}/resets/{reset_id}/refuse").status_code == 302
    with scope.tenant(stranger.pk):
        reset = FactorReset.objects.select_related("person").get(pk=reset_id)
    assert reset.status == ResetStatus.REFUSED
    assert kinds_of(reset.person) == ["recovery_codes", "totp"]


@pytest.mark.parametrize("column", ["decided_by_id", "decided_at"])
def test_the_database_wants_the_day_and_the_second_person_too(organization, column):
    reset_id = factors.asked(organization, hire(StaffRole.SECURITY))
    other = staff_person(StaffRole.LEAD)
    wrong = {"decided_by_id": "asked_by_id", "decided_at": "ready_at - interval '1 minute'"}
    right = {"decided_by_id": f"'{other.pk}'", "decided_at": "now()"} | {column: wrong[column]}
    values = ", ".join(f"{name} = {value}" for name, value in right.items())
    with (
        pytest.raises(psycopg.errors.CheckViolation),
        psycopg.connect(owner_url()) as owner,
    ):
        owner.execute(
            f"UPDATE assistance_factorreset SET status = 'done', {values} WHERE id = %s", [reset_id]
        )
