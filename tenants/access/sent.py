"""Forms that were sent: each makes one thing, however often a browser sends it again.

What ``Idempotency-Key`` is to programs, a form's own id is to people: a page that shows a secret
once is the answer to a form, and reloading it sends the form again. The id is claimed in the table
of idempotent requests before anything is done; the answer is not kept, as it shows a secret.
"""

from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from tenants.access.models import TenantRequest
from tenants.common import scope
from tenants.common.models import least_id, new_id

#: Claims are swept after a day; a form that was open for longer is asked for anew.
LASTS = timedelta(hours=23)
_PREFIX = "form:"


def new_form_id() -> str:
    """Make the id of a form that is about to be shown; it tells when that was."""
    return new_id().hex


def read(text: str) -> UUID | None:
    """Read a form's id; None where it is none, or of a form that was open for too long."""
    try:
        form_id = UUID(text)
    except ValueError:
        return None
    return form_id if form_id > least_id(timezone.now(), shift=-LASTS) else None


def claim(*, organization_id: UUID, person_id: UUID, form_id: UUID) -> bool:
    """Take a form as sent; False when it was before, by whichever process."""
    made = TenantRequest(
        id=new_id(),
        organization_id=organization_id,
        token_id=person_id,
        key=f"{_PREFIX}{form_id.hex}",
        fingerprint=b"",
        request_id="",
        claim=new_id(),
        claimed_until=timezone.now(),
    )
    with scope.tenant(organization_id):
        TenantRequest.objects.bulk_create([made], ignore_conflicts=True)
        return TenantRequest.objects.filter(pk=made.pk).exists()


def release(*, organization_id: UUID, person_id: UUID, form_id: UUID) -> None:
    """Let a form be sent again: nothing was made by it."""
    with scope.tenant(organization_id):
        TenantRequest.objects.filter(
            organization_id=organization_id,
            token_id=person_id,
            key=f"{_PREFIX}{form_id.hex}",
        ).delete()
