"""Compares a month of every organization that has an Admin API key with Mistral's own figures."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants.accounting import reconciliations, reconciling
from tenants.accounting.models import AdminKey, FigureSource, Reconciliation, ReconciliationStatus
from tenants.common import scope
from tenants.common.months import Month
from tenants.common.problems import Problem
from tenants.organizations import walking
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization

ACTOR = Actor(kind="command", id="reconcile", name="manage.py reconcile")


class Command(BaseCommand):
    """``manage.py reconcile --month YYYY-MM``; posts nothing: a person confirms."""

    help = "Compare a month with Mistral's Admin API; one line per organization, nothing is posted."

    def add_arguments(self, parser: CommandParser) -> None:
        """Say which month, and whose."""
        parser.add_argument("--month", required=True, help="YYYY-MM")
        parser.add_argument("--organization", type=UUID, help="only this one")

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare one organization after the other; exit with 1 if one could not be."""
        try:
            Month.parse(options["month"], "UTC")
        except ValueError as error:
            raise CommandError(str(error)) from None
        compared = failed = 0
        chosen: UUID | None = options["organization"]
        ids = [chosen] if chosen else walking.organization_ids()
        for organization_id in ids:
            with scope.tenant(organization_id):
                organization = Organization.objects.filter(pk=organization_id).first()
                has_key = AdminKey.objects.exists()
            if organization is None:
                raise CommandError("there is no such organization")
            if has_key or chosen:
                compared += 1
                failed += not self._reconcile(organization, options["month"])
        if failed:
            raise CommandError(f"{failed} could not be compared")
        if not compared:
            self.stdout.write("Nothing to compare: no organization has an Admin API key.")

    def _reconcile(self, organization: Organization, text: str) -> bool:
        try:
            row = reconciliations.request_reconciliation(
                actor=ACTOR,
                organization=organization,
                month=Month.parse(text, organization.timezone),
                source=FigureSource.MISTRAL_ADMIN_API,
            )
        except Problem as problem:
            self.stdout.write(f"{organization.pk} {problem.code}")
            return False
        reconciling.carry(organization.pk, row.pk)
        with scope.tenant(organization.pk):
            row = Reconciliation.objects.get(pk=row.pk)
        if row.status != ReconciliationStatus.OPEN:
            self.stdout.write(f"{organization.pk} {row.status} {row.failure}")
            return False
        totals = row.totals
        self.stdout.write(
            f"{organization.pk} {row.pk} ours {totals['ours']} theirs {totals['theirs']}"
            f" difference {totals['difference']} {row.currency}"
        )
        return True
