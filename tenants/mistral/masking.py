"""Masks keys in what Mistral says, before it may be relayed, logged or kept.

Masked are the given secrets, every piece of them of 12 characters or more, and whatever is shaped
like a secret: runs of 32 or more letters and digits (a Mistral key), bearer credentials, our own
tokens. Runs of digits and lower-case `a`-`f` alone are left: request ids and digests look so, and a
random key does so once in 10^18. What quotes nothing comes back unchanged; JSON stays JSON.
"""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

from tenants.common.secrets import Secret

MASK = "****"
_WITHHELD = json.dumps(MASK)
_PLAUSIBLE_KEY = re.compile(r"[!-~]{20,128}")
# As Mistral (HQSx...Ug6Y), consoles (****1234, ........1234) and we (••••) show keys.
_MASKED_FORM = re.compile(r"\*{3,}|•|…|\.{4,}|\A[!-~]{1,8}\.{3}[!-~]{1,8}\Z")
_PIECE = 12
_MAX_DEPTH = 100

_SHAPED = re.compile(
    r"aim_[a-z]{2,8}_[A-Za-z0-9]{4,}"
    r"|(?i:\bbearer)[\s:]{1,4}[A-Za-z0-9._~+/=-]{16,}"
    r"|(?<![A-Za-z0-9])(?![0-9a-f]++(?![A-Za-z0-9]))[A-Za-z0-9]{32,}"
)


def is_plausible_key(text: str) -> bool:
    """Tell whether a text could be a Mistral key: 20 to 128 visible ASCII characters.

    Deliberately loose: Mistral documents no format, only examples of 32 letters and digits.
    """
    return _PLAUSIBLE_KEY.fullmatch(text) is not None


def is_masked_form(text: str) -> bool:
    """Tell whether a text is a secret as it is shown after it was stored, which opens nothing."""
    return _MASKED_FORM.search(text) is not None


def mask_shapes(text: str) -> str:
    """Mask everything shaped like a secret in a text, whatever it is a text of."""
    return _SHAPED.sub(MASK, text)


def mask_key_shaped[Text: (str, bytes)](text: Text, *, secrets: Iterable[Secret[str]] = ()) -> Text:
    """Mask, in a text or a body, the given secrets and everything shaped like one.

    A JSON body is masked string by string, and written anew only if something was found in it; one
    that is too deep or too large to be looked through is then withheld whole. Anything else is
    masked as text, its other bytes kept whatever their encoding. Takes time linear in the text.
    """
    mask = _Mask(secret.reveal() for secret in secrets)
    if isinstance(text, str):
        return mask.document(text)
    encoding: str = json.detect_encoding(text)
    try:
        decoded = text.decode(encoding)
    except UnicodeDecodeError:
        # Latin-1 maps every byte to one character and back.
        encoding = "latin-1"
        decoded = text.decode(encoding)
    masked = mask.document(decoded)
    return text if masked == decoded else masked.encode(encoding)


class _Mask:
    """The secrets of one call, prepared for searching."""

    def __init__(self, secrets: Iterable[str]) -> None:
        spellings: set[str] = set()
        self._pieces: set[str] = set()
        for secret in filter(None, secrets):
            spellings |= {secret, json.dumps(secret)[1:-1], quote(secret, safe="")}
            self._pieces |= {
                secret[start : start + _PIECE] for start in range(len(secret) - _PIECE + 1)
            }
        self._spellings = sorted(spellings, key=len, reverse=True)

    def document(self, text: str) -> str:
        """Mask a text that may be JSON."""
        found = self._text(text)
        try:
            document = json.loads(text)
            masked = self._value(document, _MAX_DEPTH)
        except json.JSONDecodeError:
            return found
        except (ValueError, RecursionError):  # a number too long, or too deep
            return text if found == text else _WITHHELD
        if found == text and masked == document:
            return text
        written = json.dumps(masked, separators=(",", ":"))
        # A secret of digits alone may stand as a number.
        return _WITHHELD if any(spelling in written for spelling in self._spellings) else written

    def _value(self, value: object, depth: int) -> object:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict | list) and not depth:
            raise RecursionError
        if isinstance(value, dict):
            return {self._text(name): self._value(part, depth - 1) for name, part in value.items()}
        if isinstance(value, list):
            return [self._value(part, depth - 1) for part in value]
        return value

    def _text(self, text: str) -> str:
        for spelling in self._spellings:
            text = text.replace(spelling, MASK)
        return self._without_pieces(_SHAPED.sub(MASK, text))

    def _without_pieces(self, text: str) -> str:
        pieces = [piece for piece in self._pieces if piece in text]
        spans = sorted(
            found.span() for piece in pieces for found in re.finditer(re.escape(piece), text)
        )
        kept: list[str] = []
        end = 0
        for start, stop in spans:
            if start >= end:
                kept += [text[end:start], MASK]
            end = max(end, stop)
        return "".join([*kept, text[end:]])
