"""A master key in HashiCorp Vault's Transit engine (or OpenBao's); the key never leaves it.

``POST /v1/<mount>/encrypt/<key>`` and ``…/decrypt/<key>`` with ``associated_data``: the Transit key
must be of an AEAD type (aes256-gcm96, the default, or chacha20-poly1305). Vault's ciphertext is
text, ``vault:v1:<base64>``, which can be written in several ways; kept is what it means: the
version in four bytes and the decoded bytes, so that no byte can change unnoticed.
https://developer.hashicorp.com/vault/api-docs/secret/transit

A token that Vault denies is read anew from its file once, as Vault Agent renews it there.
"""

import base64
import json
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from django.conf import settings

from tenants.common.secrets import Secret
from tenants.vault.aead import OpeningError, UnknownKeyError
from tenants.vault.distant import KeyringUnavailableError

_CIPHERTEXT = re.compile(r"vault:v(\d{1,9}):([A-Za-z0-9+/=]+)")
_VERSION_BYTES = 4
_TIMEOUT = httpx.Timeout(2.0, connect=1.0)
# What Vault says, with status 400, of a ciphertext that was altered or belongs elsewhere ...
_DOES_NOT_OPEN = ("message authentication failed", "invalid ciphertext", "unable to decrypt")
# ... and of one whose key, or version of it, is gone.
_KEY_IS_GONE = ("encryption key not found", "disallowed by policy", "version is too new")


class Token:
    """Vault's token; one that came from a file is read there again when Vault denies it."""

    def __init__(self, value: Secret[str], file: Path | None = None) -> None:
        self.value = value
        self._file = file

    def renew(self) -> bool:
        """Read the file again; False if there is none, or nothing new in it."""
        if self._file is None:
            return False
        try:
            fresh = Secret(self._file.read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError):
            return False
        before, self.value = self.value, fresh
        return bool(fresh) and fresh != before


class TransitKey:
    """One key of the Transit engine.

    Args:
        address: of Vault, without ``/v1``.
        key: its name in the engine.
        token: may update ``<mount>/encrypt/<key>`` and ``<mount>/decrypt/<key>``.
        mount: where the engine is.
        namespace: of Vault Enterprise or HCP.
        ca_file: certificates to trust instead of the system's.
    """

    def __init__(
        self,
        address: str,
        key: str,
        token: Token,
        *,
        mount: str = "transit",
        namespace: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        self._token = token
        self._path = f"/v1/{mount}/{{verb}}/{quote(key, safe='')}"
        headers = {"X-Vault-Request": "true"}
        if namespace:
            headers["X-Vault-Namespace"] = namespace
        verify = httpx.create_ssl_context(verify=ca_file) if ca_file else True
        self._client = httpx.Client(
            base_url=address, headers=headers, timeout=_TIMEOUT, verify=verify, trust_env=False
        )

    def wrap(self, plain: Secret[bytes], associated: bytes) -> bytes:
        """Have Vault encrypt."""
        question = {"plaintext": _text(plain.reveal()), "associated_data": _text(associated)}
        told = self._ask("encrypt", Secret(json.dumps(question)), "ciphertext")
        del question
        written = _CIPHERTEXT.fullmatch(told.reveal())
        if written is None:
            raise KeyringUnavailableError("an answer that is no ciphertext")
        return int(written[1]).to_bytes(_VERSION_BYTES) + base64.b64decode(written[2])

    def unwrap(self, wrapped: bytes, associated: bytes) -> Secret[bytes]:
        """Have Vault decrypt."""
        version, sealed = int.from_bytes(wrapped[:_VERSION_BYTES]), wrapped[_VERSION_BYTES:]
        if not version or not sealed:
            raise OpeningError
        ciphertext = f"vault:v{version}:{_text(sealed)}"
        question = {"ciphertext": ciphertext, "associated_data": _text(associated)}
        told = self._ask("decrypt", Secret(json.dumps(question)), "plaintext")
        try:
            return Secret(base64.b64decode(told.reveal(), validate=True))
        except ValueError:
            pass
        raise KeyringUnavailableError("an answer that is no base64")

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _ask(self, verb: str, question: Secret[str], member: str) -> Secret[str]:
        """Send a question, and give the member of its answer's data.

        Raises:
            OpeningError, UnknownKeyError, KeyringUnavailableError
        """
        status, told = self._post(verb, question)
        if status == HTTPStatus.FORBIDDEN and self._token.renew():
            status, told = self._post(verb, question)
        if status != HTTPStatus.OK:
            raise _failure(status, told.reveal())
        try:
            value = json.loads(told.reveal())["data"][member]
        except (ValueError, KeyError, TypeError):
            value = None
        if isinstance(value, str):
            return Secret(value)
        raise KeyringUnavailableError("an answer that is not Vault's")

    def _post(self, verb: str, question: Secret[str]) -> tuple[int, Secret[str]]:
        try:
            answer = self._client.post(
                self._path.format(verb=verb),
                content=question.reveal(),
                headers={"X-Vault-Token": self._token.value.reveal()},
            )
            return answer.status_code, Secret(answer.text)
        except httpx.HTTPError as error:
            cause = type(error).__name__
        # Raised here and not above: httpx's error carries the request, and with it the token.
        raise KeyringUnavailableError(cause)


def from_settings(key: str) -> TransitKey:
    """Make the master key of a name in the Vault that the environment names."""
    facts: Any = settings.VAULT
    return TransitKey(
        facts.address,
        key,
        Token(Secret(facts.token), facts.token_file),
        mount=facts.mount,
        namespace=facts.namespace,
        ca_file=facts.ca_file,
    )


def _failure(status: int, text: str) -> Exception:
    """Tell a ciphertext that does not open from a Vault that cannot be asked."""
    if status == HTTPStatus.BAD_REQUEST:
        said = text.lower()
        if any(words in said for words in _KEY_IS_GONE):
            return UnknownKeyError()
        if any(words in said for words in _DOES_NOT_OPEN):
            return OpeningError()
    return KeyringUnavailableError(f"status {status}")


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")
