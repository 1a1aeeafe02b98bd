"""What may stand in the audit log, as sentences: one for each verb that a room can write.

``who`` and ``name`` are put in by whoever shows one; ``name`` is what it was done to. The console
shows sentences, the desk sentences without names; both offer them as menus.
"""

from collections.abc import Iterator, Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

_NO_NAMES = {"who": "…", "name": "…"}

#: What verbs are about, by their first word, as the search offers it.
NOUNS: Mapping[str, Promise] = {
    "admin_key": _("Admin API key"),
    "aisuru_connection": _("Login to AIsuru"),
    "billing_profile": _("Billing details"),
    "correction": _("Corrections by the support staff"),
    "data_key": _("Encryption"),
    "domain": _("Domains"),
    "invitation": _("Invitations"),
    "join_request": _("Requests to join"),
    "key": _("API keys"),
    "limit": _("Limits"),
    "member": _("Members"),
    "model": _("Models"),
    "month": _("Statements"),
    "onboarding": _("Set-up"),
    "organization": _("Organization"),
    "plan": _("Plan and payment"),
    "prices": _("Prices of your own"),
    "rate_limits": _("Rate limits"),
    "reconciliation": _("Comparisons with Mistral"),
    "spend": _("Corrections of the spend"),
    "spend_policy": _("Calls without a price"),
    "spend_retention": _("Retention of calls"),
    "support": _("Support access"),
    "token": _("Tokens"),
    "traffic_policy": _("Treatment of calls"),
    "usage": _("Reported usage"),
    "webhook": _("Webhooks"),
    "workspace": _("Workspaces"),
    "workspace_member": _("Members of workspaces"),
}
SENTENCES: Mapping[str, Promise] = {
    "admin_key.registered": _("%(who)s stored the Admin API key %(name)s"),
    "admin_key.replaced": _("%(who)s replaced the Admin API key %(name)s"),
    "admin_key.removed": _("%(who)s removed the Admin API key %(name)s"),
    "aisuru_connection.set": _("%(who)s stored %(name)s"),
    "aisuru_connection.replaced": _("%(who)s replaced %(name)s"),
    "aisuru_connection.removed": _("%(who)s removed %(name)s"),
    "billing_profile.set": _("%(who)s changed %(name)s"),
    "correction.requested": _("%(who)s asked for %(name)s"),
    "correction.posted": _("%(who)s posted %(name)s"),
    "correction.refused": _("%(who)s refused %(name)s"),
    "data_key.created": _("%(who)s made %(name)s"),
    "data_key.destroyed": _("%(who)s destroyed %(name)s"),
    "domain.added": _("%(who)s added the domain %(name)s"),
    "domain.removed": _("%(who)s removed the domain %(name)s"),
    "invitation.sent": _("%(who)s invited %(name)s"),
    "invitation.sent_again": _("%(who)s sent the invitation again to %(name)s"),
    "invitation.revoked": _("%(who)s took back the invitation of %(name)s"),
    "invitation.accepted": _("%(who)s accepted the invitation to %(name)s"),
    "join_request.made": _("%(who)s asked to join as %(name)s"),
    "join_request.pending": _("%(who)s left open the request to join of %(name)s"),
    "join_request.approved": _("%(who)s let in %(name)s"),
    "join_request.declined": _("%(who)s declined the request to join of %(name)s"),
    "key.registered": _("%(who)s registered the API key %(name)s"),
    "key.updated": _("%(who)s changed the API key %(name)s"),
    "key.deleted": _("%(who)s deleted the API key %(name)s"),
    "key.secret_replaced": _("%(who)s put another secret behind the API key %(name)s"),
    "key.replacement_registered": _("%(who)s registered a replacement for the API key %(name)s"),
    "key.replacement_withdrawn": _("%(who)s withdrew the replacement for the API key %(name)s"),
    "key.check_requested": _("%(who)s asked for a check of the API key %(name)s"),
    "key.probe_requested": _("%(who)s asked for a paid trial of the API key %(name)s"),
    "key.leaked": _("%(who)s saw the API key %(name)s in a place where no key belongs"),
    "key.pending": _("%(who)s began to check the API key %(name)s"),
    "key.valid": _("%(who)s found the API key %(name)s to be valid"),
    "key.invalid": _("%(who)s found the API key %(name)s not to be valid"),
    "key.suspended": _("%(who)s found the API key %(name)s to be suspended"),
    "key.expired": _("%(who)s found the API key %(name)s to be expired"),
    "key.unreachable": _("%(who)s could not reach Mistral with the API key %(name)s"),
    "key.undecryptable": _("%(who)s could not open the API key %(name)s"),
    "key.revoked": _("%(who)s found the API key %(name)s to be revoked"),
    "key.probe_pending": _("%(who)s began the paid trial of the API key %(name)s"),
    "key.probe_answered": _("%(who)s got an answer in the paid trial of the API key %(name)s"),
    "key.probe_refused": _("%(who)s was refused in the paid trial of the API key %(name)s"),
    "key.probe_not_sent": _("%(who)s did not send the paid trial of the API key %(name)s"),
    "key.probe_unknown": _(
        "%(who)s does not know how the paid trial of the API key %(name)s ended"
    ),
    "limit.set": _("%(who)s changed the limits of %(name)s"),
    "limit.extended": _("%(who)s extended the spending limit of %(name)s until a day"),
    "limit.restored": _("%(who)s restored the spending limit of %(name)s"),
    "member.enrolled": _("%(who)s took in the member %(name)s"),
    "member.role_changed": _("%(who)s changed the role of %(name)s"),
    "member.removed": _("%(who)s removed the member %(name)s"),
    "member.notices_chosen": _("%(who)s chose which letters go to %(name)s"),
    "member.second_factor_reset_requested": _(
        "%(who)s asked to forget the second factors of %(name)s"
    ),
    "member.second_factor_reset": _("%(who)s had the second factors of %(name)s forgotten"),
    "member.second_factor_reset_refused": _("%(who)s kept the second factors of %(name)s"),
    "model.created": _("%(who)s created the model %(name)s"),
    "model.updated": _("%(who)s changed the model %(name)s"),
    "model.retired": _("%(who)s deleted the model %(name)s"),
    "model.token_rotated": _("%(who)s replaced the token of the model %(name)s"),
    "model.trial_started": _("%(who)s tried out the model %(name)s"),
    "model.publish_requested": _("%(who)s asked to publish the model %(name)s in AIsuru"),
    "model.published": _("%(who)s published the model %(name)s in AIsuru"),
    "model.withdrawal_requested": _("%(who)s asked to take the model %(name)s away from AIsuru"),
    "model.withdrawn": _("%(who)s took the model %(name)s away from AIsuru"),
    "model.alias_moved": _(
        "%(who)s saw that Mistral serves another version for the model %(name)s"
    ),
    "month.closed": _("%(who)s closed the statement of %(name)s"),
    "onboarding.confirmed": _("%(who)s confirmed a step of %(name)s"),
    "onboarding.skipped": _("%(who)s left out a step of %(name)s"),
    "onboarding.taken_back": _("%(who)s took up again a step of %(name)s"),
    "organization.created": _("%(who)s created the organization %(name)s"),
    "organization.updated": _("%(who)s changed the organization %(name)s"),
    "organization.suspended": _("%(who)s suspended the organization %(name)s"),
    "organization.reactivated": _("%(who)s reactivated the organization %(name)s"),
    "organization.exported": _("%(who)s exported the organization %(name)s"),
    "organization.erased": _("%(who)s erased the organization %(name)s"),
    "organization.sync_requested": _("%(who)s asked for %(name)s"),
    "organization.synced": _("%(who)s took over what is certain from %(name)s"),
    "organization.sync_confirmed": _("%(who)s confirmed proposals of %(name)s"),
    "plan.set": _("%(who)s noted %(name)s"),
    "prices.reported": _("%(who)s reported prices of its own of %(name)s"),
    "prices.by_base_set": _("%(who)s priced the model %(name)s by its base"),
    "prices.by_base_ended": _("%(who)s stopped pricing the model %(name)s by its base"),
    "reconciliation.requested": _("%(who)s asked to compare the month %(name)s"),
    "reconciliation.confirmed": _("%(who)s confirmed the comparison of the month %(name)s"),
    "spend.corrected": _("%(who)s posted %(name)s"),
    "spend_policy.set": _(
        "%(who)s chose how calls without a known price are treated in the workspace %(name)s"
    ),
    "spend_retention.set": _("%(who)s chose for how long single calls are kept in %(name)s"),
    "support.access_granted": _("%(who)s let the support staff in with %(name)s"),
    "support.access_withdrawn": _("%(who)s withdrew %(name)s"),
    "support.session_opened": _("%(who)s opened %(name)s"),
    "support.session_closed": _("%(who)s closed %(name)s"),
    "support.holds_released": _("%(who)s released what ended calls had reserved, in %(name)s"),
    "support.overview_viewed": _("%(who)s looked at the overview in %(name)s"),
    "support.keys_viewed": _("%(who)s looked at the API keys in %(name)s"),
    "support.key_viewed": _("%(who)s looked at an API key in %(name)s"),
    "support.models_viewed": _("%(who)s looked at the models in %(name)s"),
    "support.calls_viewed": _("%(who)s looked at the calls in %(name)s"),
    "support.call_viewed": _("%(who)s looked at a call in %(name)s"),
    "support.audit_viewed": _("%(who)s looked at the audit log in %(name)s"),
    "support.people_viewed": _("%(who)s looked at the members in %(name)s"),
    "support.spend_viewed": _("%(who)s looked at the spend in %(name)s"),
    "support.outside_viewed": _("%(who)s looked at webhooks and AIsuru in %(name)s"),
    "support.keys_exported": _("%(who)s saved the API keys as a table in %(name)s"),
    "support.models_exported": _("%(who)s saved the models as a table in %(name)s"),
    "support.calls_exported": _("%(who)s saved the calls as a table in %(name)s"),
    "rate_limits.reset": _("%(who)s had what Mistral refused forgotten in %(name)s"),
    "support.audit_exported": _("%(who)s saved the audit log as a table in %(name)s"),
    "token.issued": _("%(who)s issued the token %(name)s"),
    "token.updated": _("%(who)s changed the token %(name)s"),
    "token.rotated": _("%(who)s replaced the token %(name)s"),
    "token.revoked": _("%(who)s revoked the token %(name)s"),
    "token.leaked": _("%(who)s saw a token in a place of %(name)s where none belongs"),
    "traffic_policy.set": _("%(who)s changed %(name)s"),
    "usage.reported": _("%(who)s reported usage of %(name)s"),
    "webhook.created": _("%(who)s added the webhook %(name)s"),
    "webhook.updated": _("%(who)s changed the webhook %(name)s"),
    "webhook.deleted": _("%(who)s deleted the webhook %(name)s"),
    "webhook.disabled": _("%(who)s switched off the webhook %(name)s"),
    "webhook.secret_rotated": _("%(who)s replaced the secret of the webhook %(name)s"),
    "webhook.tested": _("%(who)s sent a test to the webhook %(name)s"),
    "webhook.delivery_replayed": _("%(who)s delivered again: %(name)s"),
    "workspace.created": _("%(who)s created the workspace %(name)s"),
    "workspace.updated": _("%(who)s changed the workspace %(name)s"),
    "workspace.archived": _("%(who)s archived the workspace %(name)s"),
    "workspace_member.added": _("%(who)s added %(name)s to a workspace"),
    "workspace_member.role_changed": _("%(who)s changed the role of %(name)s in a workspace"),
    "workspace_member.removed": _("%(who)s took %(name)s out of a workspace"),
}


def said(verb: str) -> str:
    """Write what was done, without who did it to what; a verb that has no words is shown itself."""
    return str(SENTENCES[verb]) % _NO_NAMES if verb in SENTENCES else verb


def nouns() -> list[tuple[str, str]]:
    """List what verbs are about, by its word."""
    return sorted(((noun, str(word)) for noun, word in NOUNS.items()), key=lambda one: one[1])


def verbs_of(noun: str) -> Iterator[str]:
    """Give the verbs about something."""
    return (verb for verb in SENTENCES if verb.startswith(f"{noun}."))
