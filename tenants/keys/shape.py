"""What may be a Mistral key at all: loose about its form, strict about what surely is none.

Mistral documents no format, only examples of 32 letters and digits. What people paste by mistake
is refused with its reason: our own tokens, masked forms, two words. What surrounds a pasted key
(white space, quotes, ``Bearer``) is taken off, and the caller says so.
"""

import re
from dataclasses import dataclass

from django.utils.translation import gettext as _

from tenants.common.problems import Invalid
from tenants.common.secrets import Secret
from tenants.mistral.masking import is_masked_form, is_plausible_key

_PREFIX = re.compile(r"\A(?:authorization:\s*)?bearer\s+", re.IGNORECASE)
_QUOTES = "\"'`“”«»\u2018\u2019"
_OURS = "aim_"


@dataclass(frozen=True, slots=True)
class Pasted:
    """A plausible key, and whether something around it was taken off."""

    plain: Secret[str]
    was_trimmed: bool


def read(pasted: Secret[str], pointer: str) -> Pasted:
    """Take off what surrounds a pasted key, and refuse what cannot be one.

    Args:
        pasted: as it came in.
        pointer: JSON pointer to the member of the request, for the refusal.

    Raises:
        Invalid: ``key_malformed``, with the reason but without a character of the key.
    """
    whole = pasted.reveal()
    plain = _bare(whole)
    if reason := _reason(plain):
        raise Invalid.field(pointer, "key_malformed", reason)
    return Pasted(Secret(plain), was_trimmed=plain != whole)


def _bare(text: str) -> str:
    return _PREFIX.sub("", text.strip().strip(_QUOTES).strip()).strip(_QUOTES)


def _reason(plain: str) -> str | None:
    if not plain:
        return _("The key is empty. Paste the whole key as Mistral showed it.")
    if plain.startswith(_OURS):
        return _(
            "This is a token of this service, not a Mistral key. Create a key in Mistral Studio,"
            " under API keys, and paste that one."
        )
    if is_masked_form(plain):
        return _(
            "This is the masked form of a key. Mistral shows the whole key only once: if it was not"
            " kept, create a new one."
        )
    if not is_plausible_key(plain):
        return _(
            "This cannot be a Mistral key: a key has 20 to 128 letters, digits and signs, without"
            " spaces. Paste the whole key as Mistral showed it."
        )
    return None
