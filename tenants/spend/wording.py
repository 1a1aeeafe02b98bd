"""What a call used beside tokens, in words: without it the cost of a call has no reason."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from tenants.spend.models import UsageEvent

QUANTITIES: Mapping[str, Promise] = {
    "pages": _("Pages"),
    "annotated_pages": _("Annotated pages"),
    "audio_seconds": _("Seconds of audio"),
    "characters": _("Characters"),
    "connector_calls": _("Calls of connectors"),
    "training_tokens": _("Training tokens"),
    "storage_months": _("Months of storage"),
}


def beside_tokens(event: UsageEvent) -> list[tuple[str, int]]:
    """Name what is not zero, in the reader's language."""
    found = [(word, getattr(event, name)) for name, word in QUANTITIES.items()]
    return [(str(word), number) for word, number in found if number]
