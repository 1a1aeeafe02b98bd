"""Shreds all Mistral keys of an organization that is being erased, inside its scope.

Deleting one key leaves its fingerprint as history; erasing leaves nothing by which a key, or whose
it was, could be recognised.
"""

from django.db.models.functions import Now

from tenants.keys import placing
from tenants.keys.models import (
    KeyProbe,
    KeyReplacement,
    KeyStatus,
    KeyVerdict,
    MistralKey,
    SeenModel,
    SpentEnvelope,
)


def shred_all() -> int:
    """Shred every secret, and tell how many there were."""
    waiting, _by_model = KeyReplacement.objects.all().delete()
    shredded = MistralKey.objects.filter(revoked_at=None).update(
        status=KeyStatus.REVOKED,
        sealed=None,
        revoked_at=Now(),
        next_check_at=None,
        claim=None,
        held_until=None,
    )
    MistralKey.objects.update(
        fingerprint=b"", last4="", name="", created_by="", evidence={}, **placing.NOBODY
    )
    SeenModel.objects.all().delete()
    KeyVerdict.objects.all().delete()
    KeyProbe.objects.update(requested_by="")
    SpentEnvelope.objects.all().delete()
    return shredded + waiting
