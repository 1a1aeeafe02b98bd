"""What staff may do for an organization: verbs, never fields, each by its room's own service.

The session must allow it and the role too. The verb's own audit row names the person of the staff,
and is announced in the transaction that does it (``Visit.actor``).
"""

from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from tenants.access.models import OrganizationToken
from tenants.access.services import revoke_organization_token, rotate_organization_token
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
from tenants.registry.unblocking import unblock_model
from tenants.spend.recovery import recover_orphans_of
from tenants.support import house
from tenants.support.door import closed

#: For how long a token that is replaced works on, in seconds.
_GRACE = 86_400


def check_key(
    request: HttpRequest, staff: Staff, organization_id: UUID, key_id: UUID
) -> HttpResponse:
    """Have Mistral asked about a key now."""
    visit = authorise(staff=staff, organization_id=organization_id, capability="key:check")
    key = _found(MistralKey.objects.all(), organization_id, key_id)
    request_validation(actor=visit.actor, key=key)
    return done(request, "admin:keys", organization_id, _("The key is being checked."))


def resend_invitation(
    request: HttpRequest, staff: Staff, organization_id: UUID, invitation_id: UUID
) -> HttpResponse:
    """Send a new link; the one before stops working."""
    visit = authorise(staff=staff, organization_id=organization_id, capability="invitation:resend")
    invitation = _found(Invitation.objects.all(), organization_id, invitation_id)
    invitations.send_again(actor=visit.actor, invitation=invitation)
    return done(request, "admin:people", organization_id, _("A new link is on its way."))


def release_holds(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """Release the organization's holds whose process has ended; a living one's is never touched."""
    visit = authorise(staff=staff, organization_id=organization_id, capability="hold:release")
    with scope.tenant(organization_id):
        count = recover_orphans_of(organization_id)
        audit.record(
            actor=visit.actor,
            organization_id=organization_id,
            verb="support.holds_released",
            target=visit.session,
        )
    said = _("Orphaned holds released: %(count)d.") % {"count": count}
    return done(request, "admin:organization", organization_id, said)


def revoke_token(
    request: HttpRequest, staff: Staff, organization_id: UUID, token_id: UUID
) -> HttpResponse:
    """Revoke a token of the organization's scripts at once."""
    visit = authorise(staff=staff, organization_id=organization_id, capability="token:revoke")
    token = _found(OrganizationToken.objects.all(), organization_id, token_id)
    revoke_organization_token(actor=visit.actor, token=token)
    return done(request, "admin:people", organization_id, _("The token is revoked."))


def rotate_script_token(
    request: HttpRequest, staff: Staff, organization_id: UUID, token_id: UUID
) -> HttpResponse:
    """Replace a token of the organization's scripts; the present one works for a day more.

    Nobody sees the new one, staff included: the organization issues itself its own meanwhile.
    """
    visit = authorise(staff=staff, organization_id=organization_id, capability="token:rotate")
    token = _found(OrganizationToken.objects.all(), organization_id, token_id)
    rotate_organization_token(
        actor=visit.actor, token=token, grantable=token.scopes, grace_seconds=_GRACE
    )
    said = _("It works for a day more. The organization issues itself another one meanwhile.")
    return done(request, "admin:people", organization_id, said)


def stop_model(
    request: HttpRequest, staff: Staff, organization_id: UUID, model_id: UUID
) -> HttpResponse:
    """Make a model's tokens worthless: after a leak. Nobody sees the new one, staff included.

    The organization rotates the token once more, and is shown its own.
    """
    visit = authorise(staff=staff, organization_id=organization_id, capability="model:stop")
    model = _found(RegisteredModel.objects.all(), organization_id, model_id)
    rotate_token(actor=visit.actor, model=model)
    said = _("Its tokens are stopped. The organization makes itself a new one.")
    return done(request, "admin:models", organization_id, said)


def rotate_model_token(
    request: HttpRequest, staff: Staff, organization_id: UUID, model_id: UUID
) -> HttpResponse:
    """Replace a model's token; the present ones work for a day more, and nobody sees the new one.

    A model that is published in AIsuru gets the new one there by itself.
    """
    visit = authorise(staff=staff, organization_id=organization_id, capability="token:rotate")
    model = _found(RegisteredModel.objects.all(), organization_id, model_id)
    rotate_token(actor=visit.actor, model=model, grace_seconds=_GRACE)
    said = _("Its tokens work for a day more. The organization makes itself a new one meanwhile.")
    return done(request, "admin:models", organization_id, said)


def unblock(
    request: HttpRequest, staff: Staff, organization_id: UUID, model_id: UUID
) -> HttpResponse:
    """Do what can be done for a model that answers no calls, by what stops it."""
    visit = authorise(staff=staff, organization_id=organization_id, capability="model:unblock")
    model = _found(house.model_rows(), organization_id, model_id)
    is_bound_anew = unblock_model(actor=visit.actor, model=model)
    said = (
        _("The model has another key of its workspace.")
        if is_bound_anew
        else _("Its key is being checked: if Mistral takes it again, the model answers.")
    )
    return done(request, "admin:models", organization_id, said)


def replay_delivery(
    request: HttpRequest, staff: Staff, organization_id: UUID, delivery_id: UUID
) -> HttpResponse:
    """Deliver to a webhook once more, under the id it had."""
    visit = authorise(staff=staff, organization_id=organization_id, capability="delivery:replay")
    delivery = _found(Delivery.objects.all(), organization_id, delivery_id)
    replay(actor=visit.actor, delivery=delivery)
    return done(request, "admin:outside", organization_id, _("It is being delivered again."))


def publish_again(
    request: HttpRequest, staff: Staff, organization_id: UUID, model_id: UUID
) -> HttpResponse:
    """Push a model to AIsuru once more, as its owner had it pushed; never for the first time."""
    visit = authorise(staff=staff, organization_id=organization_id, capability="model:publish")
    with scope.tenant(organization_id):
        rows = Publication.objects.filter(model_id=model_id, is_wanted=True)
        publication = rows.select_related("model").first()
    if publication is None:
        raise NotFound("not_found", _("There is nothing here."))
    publish_model(
        actor=visit.actor, model=publication.model, flavour=Flavour[publication.flavour.upper()]
    )
    return done(request, "admin:outside", organization_id, _("It is being published again."))


def suspend(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """Stop all models of an organization, within a second."""
    visit = authorise(
        staff=staff, organization_id=organization_id, capability="organization:suspend"
    )
    set_suspended(
        actor=visit.actor,
        organization=visit.organization,
        suspended=True,
        tell=announcing.organization_suspended,
    )
    said = _("The organization is suspended: its models answer no calls.")
    return done(request, "admin:organization", organization_id, said)


def reactivate(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """Let a suspended organization work again."""
    visit = authorise(
        staff=staff, organization_id=organization_id, capability="organization:suspend"
    )
    set_suspended(
        actor=visit.actor,
        organization=visit.organization,
        suspended=False,
        tell=announcing.organization_reactivated,
    )
    return done(request, "admin:organization", organization_id, _("The organization works again."))


def _found[M: TenantRow](rows: QuerySet[M], organization_id: UUID, row_id: UUID) -> M:
    with scope.tenant(organization_id):
        found = rows.filter(pk=row_id).first()
    if found is None:
        raise NotFound("not_found", _("There is nothing here."))
    return found


def done(request: HttpRequest, name: str, organization_id: UUID, said: str) -> HttpResponse:
    """Say what happened, on the page where it is seen."""
    messages.success(request, said)
    return HttpResponseRedirect(reverse(name, args=[organization_id]))


CHECK_KEY = closed(check_key, "POST")
RESEND_INVITATION = closed(resend_invitation, "POST")
RELEASE_HOLDS = closed(release_holds, "POST")
REVOKE_TOKEN = closed(revoke_token, "POST")
ROTATE_TOKEN = closed(rotate_script_token, "POST")
ROTATE_MODEL = closed(rotate_model_token, "POST")
UNBLOCK = closed(unblock, "POST")
STOP_MODEL = closed(stop_model, "POST")
REPLAY_DELIVERY = closed(replay_delivery, "POST")
PUBLISH_AGAIN = closed(publish_again, "POST")
SUSPEND = closed(suspend, "POST")
REACTIVATE = closed(reactivate, "POST")
