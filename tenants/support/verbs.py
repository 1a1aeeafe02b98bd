"""What staff may do for an organization: verbs, never fields, each by its room's own service.

The session must allow it and the role too; the verb's own audit row names the person of the staff.
"""

from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from tenants.access.models import OrganizationToken
from tenants.access.services import revoke_organization_token
from tenants.aisuru.completion_config import Flavour
from tenants.assistance.staff import Staff
from tenants.assistance.visiting import authorise
from tenants.common import scope
from tenants.common.models import TenantRow
from tenants.common.problems import NotFound
from tenants.keys.models import MistralKey
from tenants.keys.services import request_validation
from tenants.notices.models import Delivery
from tenants.notices.services import replay
from tenants.organizations import audit, invitations
from tenants.organizations.models import Invitation
from tenants.organizations.services import set_suspended
from tenants.registry import announcing
from tenants.registry.models import Publication, RegisteredModel
from tenants.registry.publications import publish_model
from tenants.registry.services import rotate_token
from tenants.spend.recovery import recover_orphans
from tenants.support.door import closed


def check_key(
    request: HttpRequest, staff: Staff, organization_id: UUID, key_id: UUID
) -> HttpResponse:
    """Have Mistral asked about a key now."""
    authorise(staff=staff, organization_id=organization_id, capability="key:check")
    key = _found(MistralKey.objects.all(), organization_id, key_id)
    request_validation(actor=staff.actor, key=key)
    return _done(request, "admin:keys", organization_id, _("The key is being checked."))


def resend_invitation(
    request: HttpRequest, staff: Staff, organization_id: UUID, invitation_id: UUID
) -> HttpResponse:
    """Send a new link; the one before stops working."""
    authorise(staff=staff, organization_id=organization_id, capability="invitation:resend")
    invitation = _found(Invitation.objects.all(), organization_id, invitation_id)
    invitations.send_again(actor=staff.actor, invitation=invitation)
    return _done(request, "admin:people", organization_id, _("A new link is on its way."))


def release_holds(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """Release holds whose process has ended; one that a living process has is never touched."""
    visit = authorise(staff=staff, organization_id=organization_id, capability="hold:release")
    with scope.tenant(organization_id):
        audit.record(
            actor=staff.actor,
            organization_id=organization_id,
            verb="support.holds_released",
            target=visit.session,
        )
    count = recover_orphans()
    said = _("Orphaned holds released, of all organizations: %(count)d.") % {"count": count}
    return _done(request, "admin:organization", organization_id, said)


def revoke_token(
    request: HttpRequest, staff: Staff, organization_id: UUID, token_id: UUID
) -> HttpResponse:
    """Revoke a token of the organization's scripts at once."""
    authorise(staff=staff, organization_id=organization_id, capability="token:revoke")
    token = _found(OrganizationToken.objects.all(), organization_id, token_id)
    revoke_organization_token(actor=staff.actor, token=token)
    return _done(request, "admin:people", organization_id, _("The token is revoked."))


def stop_model(
    request: HttpRequest, staff: Staff, organization_id: UUID, model_id: UUID
) -> HttpResponse:
    """Make a model's tokens worthless: after a leak. Nobody sees the new one, staff included.

    The organization rotates the token once more, and is shown its own.
    """
    authorise(staff=staff, organization_id=organization_id, capability="model:stop")
    model = _found(RegisteredModel.objects.all(), organization_id, model_id)
    rotate_token(actor=staff.actor, model=model)
    said = _("Its tokens are stopped. The organization makes itself a new one.")
    return _done(request, "admin:models", organization_id, said)


def replay_delivery(
    request: HttpRequest, staff: Staff, organization_id: UUID, delivery_id: UUID
) -> HttpResponse:
    """Deliver to a webhook once more, under the id it had."""
    authorise(staff=staff, organization_id=organization_id, capability="delivery:replay")
    delivery = _found(Delivery.objects.all(), organization_id, delivery_id)
    replay(actor=staff.actor, delivery=delivery)
    return _done(request, "admin:outside", organization_id, _("It is being delivered again."))


def publish_again(
    request: HttpRequest, staff: Staff, organization_id: UUID, model_id: UUID
) -> HttpResponse:
    """Push a model to AIsuru once more, as its owner had it pushed; never for the first time."""
    authorise(staff=staff, organization_id=organization_id, capability="model:publish")
    with scope.tenant(organization_id):
        rows = Publication.objects.filter(model_id=model_id, is_wanted=True)
        publication = rows.select_related("model").first()
    if publication is None:
        raise NotFound("not_found", _("There is nothing here."))
    publish_model(
        actor=staff.actor, model=publication.model, flavour=Flavour[publication.flavour.upper()]
    )
    return _done(request, "admin:outside", organization_id, _("It is being published again."))


def suspend(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """Stop all models of an organization, within a second."""
    visit = authorise(
        staff=staff, organization_id=organization_id, capability="organization:suspend"
    )
    set_suspended(
        actor=staff.actor,
        organization=visit.organization,
        suspended=True,
        tell=announcing.organization_suspended,
    )
    said = _("The organization is suspended: its models answer no calls.")
    return _done(request, "admin:organization", organization_id, said)


def reactivate(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """Let a suspended organization work again."""
    visit = authorise(
        staff=staff, organization_id=organization_id, capability="organization:suspend"
    )
    set_suspended(
        actor=staff.actor,
        organization=visit.organization,
        suspended=False,
        tell=announcing.organization_reactivated,
    )
    return _done(request, "admin:organization", organization_id, _("The organization works again."))


def _found[M: TenantRow](rows: QuerySet[M], organization_id: UUID, row_id: UUID) -> M:
    with scope.tenant(organization_id):
        found = rows.filter(pk=row_id).first()
    if found is None:
        raise NotFound("not_found", _("There is nothing here."))
    return found


def _done(request: HttpRequest, name: str, organization_id: UUID, said: str) -> HttpResponse:
    messages.success(request, said)
    return HttpResponseRedirect(reverse(name, args=[organization_id]))


CHECK_KEY = closed(check_key, "POST")
RESEND_INVITATION = closed(resend_invitation, "POST")
RELEASE_HOLDS = closed(release_holds, "POST")
REVOKE_TOKEN = closed(revoke_token, "POST")
STOP_MODEL = closed(stop_model, "POST")
REPLAY_DELIVERY = closed(replay_delivery, "POST")
PUBLISH_AGAIN = closed(publish_again, "POST")
SUSPEND = closed(suspend, "POST")
REACTIVATE = closed(reactivate, "POST")
