"""Verbs on reconciliations: ask for one, confirm it; each is one transaction with its audit row."""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.accounting import books, consuming, posting, reconciling, tasks
from tenants.accounting.models import (
    AdminKey,
    FigureSource,
    Reconciliation,
    ReconciliationStatus,
)
from tenants.accounting.services import admin_key_missing
from tenants.common import scope
from tenants.common.months import Month
from tenants.common.problems import Conflict, Invalid, Unavailable
from tenants.common.queue import enqueue_on_commit
from tenants.organizations import audit
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization, Workspace
from tenants.registry.models import AisuruConnection
from tenants.registry.publications import connection_missing


def request_reconciliation(
    *,
    actor: Actor,
    organization: Organization,
    month: Month,
    source: FigureSource,
    figures: Sequence[Mapping[str, Any]] = (),
) -> Reconciliation:
    """Compare a month with somebody else's figures.

    Those that come along are compared at once; for those of the Admin API a worker asks, and for
    AIsuru's when none come along.

    Raises:
        Invalid: ``month_invalid`` for a month that has not begun, ``figures_required``,
            ``figures_not_taken``, ``workspace_unknown``.
        NotFound: ``admin_key_missing``.
        Conflict: ``aisuru_connection_missing``, ``aisuru_tenant_missing``.
        Unavailable: ``aisuru_not_configured``.
    """
    _refuse_future(month)
    asks = source is FigureSource.MISTRAL_ADMIN_API or (
        source is FigureSource.AISURU and not figures
    )
    if asks and figures:
        detail = _("Figures of the Admin API are fetched. Leave yours out, or choose manual.")
        raise Invalid.field("/figures", "figures_not_taken", detail)
    if not asks and not figures:
        detail = _("Say which figures to compare with: at least one.")
        raise Invalid.field("/figures", "figures_required", detail)
    row = Reconciliation(
        organization=organization,
        period=month.first_day,
        timezone=month.zone,
        currency=organization.currency,
        source=source,
        status=ReconciliationStatus.PENDING if asks else ReconciliationStatus.OPEN,
        requested_by=actor.name,
        figures=[_plain(figure) for figure in figures],
        due_at=timezone.now() if asks else None,
    )
    if not asks:
        with scope.tenant(organization.pk, snapshot=True):
            _refuse_unknown_workspaces(figures)
            compared = reconciling.compare_given(row, organization)
        reconciling.fill(row, compared)
    with scope.tenant(organization.pk):
        if asks:
            _refuse_unaskable(organization, source)
        row.save(force_insert=True)
        audit.record(
            actor=actor,
            organization_id=organization.pk,
            verb="reconciliation.requested",
            target=row,
        )
        if asks:
            enqueue_on_commit(tasks.reconcile, str(organization.pk), str(row.pk))
        else:
            reconciling.tell_use_elsewhere(row, compared)
    return row


def confirm_reconciliation(
    *, actor: Actor, reconciliation: Reconciliation, lines: Collection[int] | None = None
) -> Reconciliation:
    """Post the differences as corrections: all of them, or the lines named; once.

    Raises:
        Invalid: ``line_unknown``.
        Conflict: ``reconciliation_not_open``; ``reconciliation_outdated`` when the ledger has
            changed since it was compared.
    """
    known = {line["line"] for line in reconciliation.lines}
    if lines is not None and not set(lines) <= known:
        detail = _("There is no such line in this reconciliation.")
        raise Invalid.field("/lines", "line_unknown", detail)
    month = reconciling.month_of(reconciliation)
    with scope.tenant(reconciliation.organization_id):
        # One confirmation of an organization at a time: what is posted changes what others found.
        organization = Organization.objects.select_for_update(no_key=True).get()
        ours = books.read(organization, month, *books.utc_month(month))
        if reconciling.digest_of(ours) != reconciliation.books_digest and (
            reconciliation.status == ReconciliationStatus.OPEN
        ):
            detail = _("The ledger has changed since this was compared. Compare the month anew.")
            raise Conflict("reconciliation_outdated", detail)
        won = Reconciliation.objects.filter(
            pk=reconciliation.pk, status=ReconciliationStatus.OPEN
        ).update(status=ReconciliationStatus.CONFIRMED, confirmed_at=Now(), confirmed_by=actor.name)
        if not won:
            detail = _("Only a reconciliation that is open, and was not confirmed yet, can be.")
            raise Conflict("reconciliation_not_open", detail)
        posted = posting.post(actor, organization, reconciliation, lines, ours)
        Reconciliation.objects.filter(pk=reconciliation.pk).update(
            posted=[str(one) for one in posted]
        )
        audit.record(
            actor=actor,
            organization_id=reconciliation.organization_id,
            verb="reconciliation.confirmed",
            target=reconciliation,
        )
        reconciliation.refresh_from_db()
    return reconciliation


def _refuse_future(month: Month) -> None:
    if month.starts_at > timezone.now():
        detail = _("This month has not begun. Choose the present one or an earlier one.")
        raise Invalid.field("/month", "month_invalid", detail)


def _refuse_unaskable(organization: Organization, source: FigureSource) -> None:
    """Refuse what the worker could not ask for, inside the scope."""
    if source is FigureSource.MISTRAL_ADMIN_API:
        if not AdminKey.objects.exists():
            raise admin_key_missing()
        return
    if settings.AISURU_API_URL is None:
        detail = _(
            "This service was not told where AIsuru's backend is. Send the figures along, or ask"
            " its operator to set AISURU_API_URL."
        )
        raise Unavailable("aisuru_not_configured", detail)
    connection = AisuruConnection.objects.first()
    if connection is None:
        raise connection_missing()
    if not consuming.tenant_of(organization, connection):
        detail = _(
            "AIsuru's name of the tenant is not known. Enter it with the login at AIsuru, or with"
            " the organization."
        )
        raise Conflict("aisuru_tenant_missing", detail)


def _refuse_unknown_workspaces(figures: Sequence[Mapping[str, Any]]) -> None:
    named: set[UUID] = {one["workspace_id"] for one in figures if one.get("workspace_id")}
    if named - set(Workspace.objects.filter(pk__in=named).values_list("pk", flat=True)):
        detail = _("A figure names a workspace that this organization does not have.")
        raise Invalid.field("/figures", "workspace_unknown", detail)


def _plain(figure: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: str(value) if isinstance(value, UUID | Decimal) else value
        for name, value in figure.items()
    }
