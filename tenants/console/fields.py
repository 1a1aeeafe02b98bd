"""What the audit log says has changed, as people call it."""

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tenants.console.guide import STEPS
from tenants.notices.kinds import KINDS
from tenants.organizations.fields import LABELS
from tenants.organizations.models import AuditEvent


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
