"""Compares the people that Mistral lists with those of the organization, by address."""

from collections.abc import Iterator, Mapping
from typing import Any

from tenants.accounting.difference import Difference, DifferenceCode
from tenants.accounting.models import Observed, ObservedKind
from tenants.organizations.models import Invitation, Member
from tenants.organizations.roles import Role

#: Mistral's words and letters for what a role is here.
_ROLES: Mapping[str, Role] = {
    "organization_admin": Role.ADMIN,
    "billing_manager": Role.BILLING,
    "member": Role.MEMBER,
    "A": Role.ADMIN,
    "B": Role.BILLING,
    "M": Role.MEMBER,
}
#: From the most to the least: of several roles the first counts.
_RANK = (Role.ADMIN, Role.BILLING, Role.MEMBER)


def compare() -> Iterator[Difference]:
    """Tell who is on one side only, and whose role differs, inside the organization's scope.

    Somebody who is invited counts as being there. Nothing is told before Mistral listed anybody.
    """
    kind = ObservedKind.MEMBER.value
    theirs = {
        str(row.data.get("email", "")).casefold(): row
        for row in Observed.objects.filter(kind=kind, missing_since=None).order_by("external_id")
    }
    if not theirs:
        return
    ours = {
        member.person.email.casefold(): member
        for member in Member.objects.select_related("person").order_by("id")
    }
    invited = Invitation.objects.filter(closed_as="").values_list("email", flat=True)
    expected = {email.casefold() for email in invited}
    names = _role_names()
    for email, row in theirs.items():
        member, role = ours.get(email), _role(row.data, names)
        told = role.value if role else None
        if member is None and email not in expected:
            yield Difference(
                DifferenceCode.MEMBER_ONLY_AT_MISTRAL,
                kind,
                email,
                mistral_id=row.external_id,
                theirs="invited" if row.data.get("is_invited") else told,
            )
        elif member is not None and told is not None and told != member.role:
            code = DifferenceCode.MEMBER_ROLE_DIFFERS
            yield Difference(code, kind, email, member.pk, row.external_id, member.role, told)
    for email, member in ours.items():
        if email not in theirs:
            code = DifferenceCode.MEMBER_ONLY_HERE
            yield Difference(code, kind, email, member.pk, ours=member.role)


def _role_names() -> dict[str, str]:
    rows = Observed.objects.filter(kind=ObservedKind.ROLE, missing_since=None)
    return {row.external_id: str(row.data.get("name", "")) for row in rows}


def _role(data: Mapping[str, Any], names: Mapping[str, str]) -> Role | None:
    """Read the highest role; None where the words are not known here."""
    found = {_ROLES.get(names.get(str(one), str(one))) for one in data.get("roles", ())}
    return next((role for role in _RANK if role in found), None)
