"""Forms that bring a secret: the browser seals it, and what arrives in the clear is not taken."""

from typing import Any
from uuid import UUID

import orjson
from django import forms
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.console.forms import HouseForm
from tenants.keys import intake
from tenants.keys.intake import Opened, Purpose

#: Where rooms say what is wrong with a secret, pasted or sealed.
_POINTERS = frozenset({"/key", "/login_token", intake.POINTER})


class SealedKey(forms.CharField):
    """An envelope as sealing.js writes it; never a secret in the clear."""

    widget = forms.HiddenInput(attrs={"autocomplete": "off"})

    def to_python(self, value: Any) -> Any:
        """Read it.

        Raises:
            ValidationError: it is none.
        """
        text = super().to_python(value)
        if not text:
            return None
        try:
            members = orjson.loads(text)
            return intake.read_envelope(members if isinstance(members, dict) else {})
        except ValueError:
            detail = _("This did not arrive sealed. Paste it once more and send the form again.")
            raise forms.ValidationError(detail, "malformed") from None


class SealedForm(HouseForm):
    """A form that brings a secret; ``sealed_key`` whatever it is, for sealing.js."""

    sealed_key = SealedKey(error_messages={"required": gettext_lazy("Paste it as it was shown.")})

    def field_of(self, pointer: str) -> str | None:
        """Show what is wrong with the secret where it was pasted, sealed or not."""
        return "sealed_key" if pointer in _POINTERS else super().field_of(pointer)

    def opened(self, purpose: Purpose, *place: UUID) -> Opened:
        """Open what came in.

        Raises:
            Invalid: it was sealed for something else, or is over.
        """
        return intake.open_envelope(self.cleaned_data["sealed_key"], purpose, *place)


def around(purpose: Purpose, *place: UUID) -> dict[str, Any]:
    """Tell sealing.js what it seals for."""
    return {
        "purpose": purpose.value,
        "sealing_ids": " ".join(map(str, place)),
        "intake_address": reverse("intake_key"),
    }


def emptied[F: SealedForm](form: F) -> F:
    """Take the envelope out of a form that is shown again: it is taken once."""
    form.data = {**form.data.dict(), "sealed_key": ""}  # type: ignore[attr-defined]  # a QueryDict
    return form
