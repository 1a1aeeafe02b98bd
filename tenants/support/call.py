"""What happened to one call, on one page: by the id that the gateway answered as x-request-id."""

from datetime import timedelta
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from tenants.assistance.staff import Staff
from tenants.assistance.visiting import visit
from tenants.common.problems import NotFound
from tenants.keys.models import MistralKey
from tenants.registry.models import RegisteredModel
from tenants.spend import drilldown, wording
from tenants.spend.models import Correction, Hold, UsageEvent
from tenants.support import pages, tables, words
from tenants.support.door import closed
from tenants.support.pages import NOTHING, Section, amount, when
from tenants.support.words import told

_SKEW = timedelta(days=1)


def call(request: HttpRequest, staff: Staff, organization_id: UUID, call_id: UUID) -> HttpResponse:
    """Show a call, what it was held for, and what was corrected since."""
    with visit(staff=staff, organization_id=organization_id, page="call") as found:
        event = drilldown.find_call(organization_id, call_id)
        hold = Hold.objects.filter(organization=found.organization, id=call_id).first()
        if event is None and hold is None:
            detail = _("No call of this organization has this id.")
            raise NotFound("not_found", detail)
        sections = [_of_event(event)] if event else []
        if hold is not None:
            sections.append(
                Section(
                    _("It is going on"), headers=tables.hold_headers(), rows=tables.holds([hold])
                )
            )
        if event is not None:
            sections.append(_corrections(event))
        return pages.page(request, staff, _("What happened to this call"), sections, visit=found)


def _of_event(event: UsageEvent) -> Section:
    key = MistralKey.objects.filter(pk__in=[event.key_id]).only("last4", "name").first()
    model = RegisteredModel.objects.filter(pk__in=[event.model_id]).only("name").first()
    duration = NOTHING if event.duration_ms is None else f"{event.duration_ms} ms"
    return Section(
        tables.cause(event) or _("It was answered"),
        facts=[
            (_("Call"), event.id),
            (_("When"), when(event.occurred_at)),
            (_("Outcome"), told(words.OUTCOMES, event.outcome)),
            (_("Status"), event.http_status or NOTHING),
            (_("Duration"), duration),
            (_("Endpoint"), event.endpoint),
            (_("Model"), model.name if model else NOTHING),
            (_("Asked for"), event.requested_model),
            (_("Answered by"), event.answered_model or NOTHING),
            (_("Key"), f"{key.name} …{key.last4}" if key else NOTHING),
            (_("Mistral's id"), event.correlation_id or NOTHING),
            (_("AIsuru message"), event.message_id or NOTHING),
            (_("Source"), event.source),
            (_("Tokens in, out, cached"), _tokens(event)),
            *wording.beside_tokens(event),
            (_("Cost"), amount(event.cost, event.currency)),
            (_("Estimated because"), event.estimate or NOTHING),
        ],
    )


def _tokens(event: UsageEvent) -> str:
    return f"{event.prompt_tokens}, {event.completion_tokens}, {event.cached_tokens}"


def _corrections(event: UsageEvent) -> Section:
    rows = UsageEvent.objects.filter(organization=event.organization_id, corrects=event.id)
    rows = rows.filter(occurred_at__gte=event.occurred_at - _SKEW)[:20]
    reasons = dict(
        Correction.objects.filter(event_id__in=[row.id for row in rows]).values_list(
            "event_id", "reason"
        )
    )
    return Section(
        _("Corrections"),
        headers=[_("When"), _("Cost"), _("Why")],
        rows=[
            [
                when(row.created_at),
                amount(row.cost, row.currency),
                reasons.get(row.id, row.estimate or NOTHING),
            ]
            for row in rows
        ],
    )


CALL = closed(call)
