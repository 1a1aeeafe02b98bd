"""What the audit log says has changed: names of fields, as people call them."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from tenants.console.guide import STEPS
from tenants.notices.kinds import KINDS
from tenants.organizations.models import AuditEvent

LABELS: Mapping[str, Promise] = {
    "aisuru_tenant": gettext_lazy("tenant of AIsuru"),
    "alert_thresholds": gettext_lazy("percentages that are told"),
    "allowed_networks": gettext_lazy("networks"),
    "base": gettext_lazy("base model"),
    "capacity_retries": gettext_lazy("further attempts"),
    "city": gettext_lazy("city"),
    "context_size": gettext_lazy("context"),
    "country": gettext_lazy("country"),
    "default_output_tokens": gettext_lazy("longest answer that is assumed"),
    "defaults": gettext_lazy("temperature and longest answer"),
    "description": gettext_lazy("description"),
    "expires_on": gettext_lazy("expiry date"),
    "external_id": gettext_lazy("id of your own"),
    "failover": gettext_lazy("way out over another key"),
    "icon": gettext_lazy("icon"),
    "is_enabled": gettext_lazy("on or off"),
    "key": gettext_lazy("API key"),
    "kinds": gettext_lazy("what it is told"),
    "legal_name": gettext_lazy("legal name"),
    "line1": gettext_lazy("street and number"),
    "line2": gettext_lazy("more of the address"),
    "locale": gettext_lazy("language"),
    "longest_wait": gettext_lazy("longest wait"),
    "mistral_model": gettext_lazy("Mistral model"),
    "mistral_workspace_id": gettext_lazy("workspace at Mistral"),
    "mistral_workspace_name": gettext_lazy("name of the workspace at Mistral"),
    "mode": gettext_lazy("what the limit does"),
    "monthly_spend": gettext_lazy("spending limit a month"),
    "months": gettext_lazy("months"),
    "name": gettext_lazy("name"),
    "new_endpoints": gettext_lazy("endpoints that are new"),
    "on_disconnect": gettext_lazy("what happens when a caller goes away"),
    "owner_email": gettext_lazy("address of the owner"),
    "parameters": gettext_lazy("parameters of other providers"),
    "payment_method_on_file": gettext_lazy("card at Mistral"),
    "pec": gettext_lazy("PEC address"),
    "phone_verified": gettext_lazy("telephone number at Mistral"),
    "plan": gettext_lazy("plan"),
    "postal_code": gettext_lazy("postal code"),
    "province": gettext_lazy("province"),
    "purposes": gettext_lazy("what AIsuru uses it for"),
    "recharges": gettext_lazy("auto-recharge"),
    "requests_per_second": gettext_lazy("requests a second"),
    "role": gettext_lazy("role"),
    "sdi_code": gettext_lazy("SdI code"),
    "secret": gettext_lazy("secret"),
    "snapshot": gettext_lazy("version that Mistral serves"),
    "source": gettext_lazy("where it is known from"),
    "status": gettext_lazy("state"),
    "threshold": gettext_lazy("when it recharges"),
    "timeout": gettext_lazy("longest time of a call"),
    "timezone": gettext_lazy("time zone"),
    "tokens_per_minute": gettext_lazy("tokens a minute"),
    "tokens_per_month": gettext_lazy("tokens a month"),
    "top_up": gettext_lazy("amount of a recharge"),
    "unpriced": gettext_lazy("calls without a known price"),
    "url": gettext_lazy("address"),
    "use_as_default": gettext_lazy("default for new agents"),
    "vat_number": gettext_lazy("VAT number"),
    "visible_to_tenant": gettext_lazy("shown to others of the tenant"),
}


def said(event: AuditEvent) -> str:
    """Say what an entry has changed; empty where it names no field."""
    if event.verb == "organization.sync_confirmed":  # ids of proposals
        many = len(event.changed)
        return ngettext("%(many)d proposal", "%(many)d proposals", many) % {"many": many}
    return ", ".join(_label(event.verb, one) for one in event.changed)


def _label(verb: str, name: str) -> str:
    noun = verb.partition(".")[0]
    if noun == "onboarding" and name in STEPS:
        return _("“%(step)s”") % {"step": STEPS[name].title}
    if verb == "member.notices_chosen" and name in KINDS:
        return str(KINDS[name].meaning)
    return str(LABELS.get(name, name))
