"""Members with second factors that they have lost, and resets of these."""

from datetime import timedelta
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.utils import timezone

from tenants.assistance.models import FactorReset
from tenants.common import scope
from tenants.organizations.models import Member, Organization
from tenants.organizations.roles import Role
from tenants.people import second_factors
from tests import people
from tests.spend.made import as_owner
from tests.support.conftest import Worker


def locked_out(organization: Organization) -> Member:
    """A member who has an app and recovery codes, and no access to either."""
    person = people.person("Anna")
    app, codes = Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES
    for kind, member in ((app, "secret"), (codes, "seed")):
        data = {member: second_factors.seal("of the phone that is gone")}
        Authenticator.objects.create(user=person, type=kind, data=data)
    people.member(organization, Role.ADMIN, who=person)
    with scope.tenant(organization.pk):
        return Member.objects.select_related("person").get(person=person)


def asked(organization: Organization, worker: Worker) -> UUID:
    """Have somebody of the staff ask for a reset, a day ago."""
    member = locked_out(organization)
    worker.enter(organization, elevated=True)
    worker.post(f"organizations/{organization.pk}/members/{member.pk}/reset")
    with scope.tenant(organization.pk):
        reset = FactorReset.objects.get(person=member.person)
    a_day_passes(reset)
    return reset.pk


def a_day_passes(reset: FactorReset) -> None:
    """Move what was asked for, and what the member did before, a day back."""
    day = timedelta(days=1, seconds=1)
    as_owner(
        "UPDATE assistance_factorreset SET ready_at = ready_at - %s, created_at = created_at - %s,"
        " expires_at = expires_at - %s WHERE id = %s",
        day,
        day,
        day,
        reset.pk,
    )
    Authenticator.objects.filter(user_id=reset.person_id).update(
        created_at=timezone.now() - 2 * day
    )
