"""Looks a VAT number up at VIES: claim, ask with no transaction open, keep what is still true.

A register that does not answer says nothing: the number keeps its state and is asked about again,
later and later, a dozen times.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import F
from django.utils import timezone

from tenants.billing import vat
from tenants.billing.models import BillingProfile, VatStatus
from tenants.common import scope
from tenants.vies import client
from tenants.vies.client import Registration

LEASE = timedelta(minutes=2)
_LATER = (5, 15, 60, 240, 720)
_MOST_ATTEMPTS = 12
_STATUS = {
    Registration.REGISTERED: VatStatus.REGISTERED,
    Registration.NOT_REGISTERED: VatStatus.NOT_REGISTERED,
}


def check(organization_id: UUID) -> None:
    """Look one number up, if it is due; run twice or at once, VIES is asked once."""
    now = timezone.now()
    with scope.tenant(organization_id):
        due = BillingProfile.objects.filter(due_at__lte=now)
        if not due.update(due_at=now + LEASE, attempts=F("attempts") + 1):
            return
        row = BillingProfile.objects.get()
    number = vat.read(row.vat_number, row.country)
    answer = client.check(country=number.prefix, number=number.rest)
    with scope.tenant(organization_id):
        ours = BillingProfile.objects.filter(
            pk=row.pk, vat_number=row.vat_number, attempts=row.attempts
        )
        if answer.registration in _STATUS:
            ours.update(
                vat_status=_STATUS[answer.registration],
                vat_checked_at=timezone.now(),
                due_at=None,
            )
        else:
            ours.update(due_at=_next(row.attempts))


def due() -> list[UUID]:
    """Find the organizations whose number is due, whosesoever they are: a batch of them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM billing_due_checks()")
        return [organization_id for (organization_id,) in cursor.fetchall()]


def _next(attempts: int) -> datetime | None:
    if attempts >= _MOST_ATTEMPTS:
        return None
    minutes = _LATER[min(attempts, len(_LATER)) - 1]
    return timezone.now() + timedelta(minutes=minutes)
