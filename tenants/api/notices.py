"""What a member is mailed, over HTTP: which kinds each of them wants no mail about."""

from collections.abc import Iterable
from uuid import UUID

from rest_framework import serializers

from tenants.access.errors import not_found
from tenants.access.permissions import require_person
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, Reply, endpoint
from tenants.common import scope
from tenants.notices import services
from tenants.notices.kinds import KINDS, MUTABLE
from tenants.notices.models import MutedKind
from tenants.organizations.models import Member


class NoticesIn(In):
    """What one wants no mail about."""

    muted = fields.Several(child=fields.Text(max_length=64), max_length=len(KINDS))


class NoticeKindOut(Out):
    """A kind of mail."""

    kind = serializers.CharField()
    meaning = serializers.CharField()
    can_be_muted = serializers.BooleanField()
    is_muted = serializers.BooleanField()


class NoticesOut(Out):
    """The kinds of mail; which of them one gets is a matter of roles."""

    kinds = NoticeKindOut(many=True)


class MyNotices(ApiView):
    """``/me/organizations/{organization_id}/notices``."""

    @endpoint(
        "get_my_notices",
        summary="Read what one is mailed about",
        gives={200: NoticesOut},
        is_personal=True,
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """What concerns the safety of keys and tokens cannot be muted."""
        member = _member(call, organization_id)
        with scope.tenant(organization_id):
            rows = MutedKind.objects.filter(member=member)
            return Reply(_shown(rows.values_list("kind", flat=True)))

    @endpoint(
        "set_my_notices",
        summary="Choose what one is mailed about",
        takes=NoticesIn,
        gives={200: NoticesOut},
        example={"muted": ["member.joined"]},
        is_personal=True,
    )
    def put(self, call: Call, organization_id: UUID) -> Reply:
        """Kinds that are not named are mailed."""
        member = _member(call, organization_id)
        muted = services.mute(actor=call.actor, member=member, kinds=call.data["muted"])
        return Reply(_shown(muted))


def _member(call: Call, organization_id: UUID) -> Member:
    visitor = require_person(call.principal)
    own = {one.organization_id: one.member_id for one in visitor.memberships}
    if organization_id not in own:
        raise not_found()
    with scope.tenant(organization_id):
        member = Member.objects.filter(pk=own[organization_id]).first()
    if member is None:
        raise not_found()
    return member


def _shown(muted: Iterable[str]) -> dict[str, object]:
    names = set(muted)
    return {
        "kinds": [
            {
                "kind": name,
                "meaning": str(kind.meaning),
                "can_be_muted": name in MUTABLE,
                "is_muted": name in names,
            }
            for name, kind in KINDS.items()
            if kind.audience is not None
        ]
    }
