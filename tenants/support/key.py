"""One key: its verdicts and what Mistral said, what waits behind it, and the models that use it."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils.html import strip_tags
from django.utils.translation import gettext as _

from tenants.assistance.staff import Staff
from tenants.assistance.visiting import Visit, visit
from tenants.common.problems import NotFound
from tenants.keys import verdicts
from tenants.keys.models import KeyReplacement, KeyVerdict, MistralKey
from tenants.organizations.models import AuditEvent
from tenants.support import house, pages, tables, words
from tenants.support.door import closed
from tenants.support.pages import NOTHING, Section, when
from tenants.support.words import told

_MANY = 50
_FEW = 20


def key(request: HttpRequest, staff: Staff, organization_id: UUID, key_id: UUID) -> HttpResponse:
    """Show a key and its history; never the key."""
    with visit(staff=staff, organization_id=organization_id, page="key") as found:
        row = house.key_rows().filter(pk=key_id).first()
        if row is None:
            raise NotFound("not_found", _("There is nothing here."))
        models = list(house.model_rows().filter(key_id=key_id)[:_FEW])
        sections = [
            _facts(found, row),
            _history(row),
            Section(
                _("Models that use it"),
                headers=tables.model_headers(),
                rows=tables.models(found, models),
            ),
            Section(
                _("Audit log"),
                headers=tables.event_headers(),
                rows=tables.events(found, _events(organization_id, key_id)),
            ),
        ]
        title = f"{row.name or NOTHING} …{row.last4}"
        return pages.page(request, staff, title, sections, visit=found)


def _facts(found: Visit, row: MistralKey) -> Section:
    verdict = verdicts.of(row)
    identity = row.identity or {}
    waiting = KeyReplacement.objects.filter(key=row).only("last4", "status", "ends_at").first()
    replacement = NOTHING
    if waiting:
        replacement = _("…%(last4)s: %(status)s, takes over at %(when)s") % {
            "last4": waiting.last4,
            "status": strip_tags(told(words.KEYS, waiting.status)),
            "when": when(waiting.ends_at),
        }
    return Section(
        _("Key"),
        verdict.detail if verdict else "",
        facts=[
            (_("Id"), row.pk),
            (_("Workspace"), row.workspace.name),
            (_("Status"), told(words.KEYS, row.status)),
            (_("Verdict"), verdict.title if verdict else NOTHING),
            (_("Checked"), when(row.checked_at)),
            (_("Next check"), when(row.next_check_at)),
            (_("At Mistral"), identity.get("organization") or NOTHING),
            (_("Workspace at Mistral"), identity.get("workspace") or NOTHING),
            (_("Models seen"), row.models_seen),
            (_("Expires on"), row.expires_on or NOTHING),
            (_("Last used"), when(row.last_used_at)),
            (_("Waiting secret"), replacement),
        ],
        buttons=tables.key_buttons(found, [row]),
    )


def _history(row: MistralKey) -> Section:
    rows = KeyVerdict.objects.filter(organization=row.organization_id, key=row)[:_MANY]
    return Section(
        _("Verdicts"),
        _("One line for each check that found something else than the one before."),
        headers=[_("When"), _("Status"), _("Verdict"), _("Cause"), _("Mistral said"), _("Its id")],
        rows=[
            [
                when(one.created_at),
                told(words.KEYS, one.status),
                one.verdict_code,
                one.evidence.get("cause") or NOTHING,
                one.evidence.get("http_status") or NOTHING,
                one.evidence.get("correlation_id") or NOTHING,
            ]
            for one in rows
        ],
    )


def _events(organization_id: UUID, key_id: UUID) -> list[AuditEvent]:
    rows = AuditEvent.objects.filter(organization=organization_id, target_id=key_id)
    return list(rows[:_FEW])


KEY = closed(key)
