"""Which letters a member gets of an organization, and which of them they want."""

from uuid import UUID

from django.http import HttpResponse
from django.utils.translation import gettext as _

from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.common import scope
from tenants.console.door import Page, Visit, page
from tenants.notices import audiences, services
from tenants.notices.kinds import KINDS, MUTABLE
from tenants.notices.models import MutedKind
from tenants.organizations.models import Member


class Letters(Page):
    """``/organizations/<id>/letters``: of the member who looks, and of nobody else."""

    @page(TokenScope.ORGANIZATIONS_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Show the kinds that the member's roles bring, and what is muted."""
        membership = visit.here.membership
        with scope.tenant(organization_id):
            rows = MutedKind.objects.filter(member=membership.member_id)
            muted = set(rows.values_list("kind", flat=True))
        inside = set(membership.workspaces.values())
        reached = [name for name in KINDS if audiences.reaches(name, membership.role, inside)]
        return visit.show(
            "letters",
            kinds=[
                (name, KINDS[name].meaning, name in MUTABLE, name not in muted) for name in reached
            ],
        )

    @page(TokenScope.ORGANIZATIONS_READ)
    def post(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Choose; what is not ticked is mailed no more, where that is allowed."""
        membership = visit.here.membership
        shown = set(visit.request.POST.getlist("shown")) & MUTABLE
        wanted = set(visit.request.POST.getlist("wanted"))
        with scope.tenant(organization_id):
            member = Member.objects.filter(pk=membership.member_id).first()
            rows = MutedKind.objects.filter(member=membership.member_id)
            before = set(rows.values_list("kind", flat=True))
        if member is None:
            raise not_found()
        services.mute(actor=visit.actor, member=member, kinds=(before - shown) | (shown - wanted))
        visit.tell(_("Saved: you get the letters that are ticked."))
        return visit.go("console-letters", organization_id=organization_id)
