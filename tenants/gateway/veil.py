"""Keeps the key of a call out of what goes back to the caller: heads, whole answers and streams.

What does not quote the key passes unchanged. A stream may quote it cut in two anywhere, so an end
that could be the beginning of the key waits for what follows; every other byte goes on at once.
"""

from collections.abc import Mapping

from tenants.common.secrets import Secret
from tenants.gateway.refusals import Headers
from tenants.mistral.headers import returned
from tenants.mistral.masking import MASK, mask_key_shaped


class Veil:
    """One call's.

    Args:
        key: of the call.
    """

    __slots__ = ("_held", "_key")

    def __init__(self, key: Secret[str]) -> None:
        self._key = key
        self._held = b""

    def head(self, headers: Mapping[str, str]) -> Headers:
        """Choose the headers that go back."""
        octets = self._key.reveal().encode()
        chosen = returned(headers)
        if not any(octets in value or octets.lower() in name for name, value in chosen):
            return chosen
        return [
            (name, mask_key_shaped(value, secrets=(self._key,)))
            for name, value in chosen
            if octets.lower() not in name
        ]

    def text(self, text: str) -> str:
        """Mask a short text that is to be kept."""
        return text if self._key.reveal() not in text else MASK

    def whole(self, body: bytes) -> bytes:
        """Mask a whole body."""
        if self._key.reveal().encode() not in body:
            return body
        return mask_key_shaped(body, secrets=(self._key,))

    def piece(self, chunk: bytes) -> bytes:
        """Give what of a stream may go on, now that this has come; perhaps nothing yet."""
        text = self.whole(self._held + chunk) if self._held else self.whole(chunk)
        waits = _begun(text, self._key.reveal().encode())
        if not waits:
            self._held = b""
            return text
        self._held = text[-waits:]
        return text[:-waits]

    def rest(self) -> bytes:
        """Give what still waits when the stream is over."""
        rest, self._held = self._held, b""
        return rest


def _begun(text: bytes, secret: bytes) -> int:
    """Tell how many bytes at the end of a text are how a secret begins."""
    if not text or text[-1] not in secret:
        return 0  # nearly always: events end with a line feed
    tail = text[1 - len(secret) :]
    at = tail.find(secret[:1])
    while at >= 0:
        if secret.startswith(tail[at:]):
            return len(tail) - at
        at = tail.find(secret[:1], at + 1)
    return 0
