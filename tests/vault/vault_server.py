"""A stand-in for HashiCorp Vault on loopback: Transit's two verbs, real AES-GCM, Vault's words.

Statuses, messages and shapes are those of Vault's API documentation and of its Transit engine.
"""

import base64
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "hvs.CAESIJ4kq2m8Zt7Yw3Lr6Xn1Vb9Kd5Hp0Gs"
KEY = "aisuru-mistral"


class VaultServer:
    """One Vault with one Transit key, its versions, and moods.

    Attributes:
        mood: "" (well), "sealed", "standby", "broken", "hang", "garbage", "page", "odd",
            "too many".
        token: the only one that is not denied.
        asked: the verbs that were asked for, in order.
        least: the least version that may still decrypt.
    """

    def __init__(self) -> None:
        self.mood = ""
        self.token = TOKEN
        self.asked: list[str] = []
        self.versions = [os.urandom(32)]
        self.least = 1
        self.is_deleted = False
        self.namespace: str | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status, told = outer._answer(self.path, self.headers, body)
                octets = told if isinstance(told, bytes) else json.dumps(told).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(octets)))
                self.end_headers()
                self.wfile.write(octets)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:  # a caller that gave up is no news
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def rotate(self) -> None:
        """Make a new version of the key, as ``vault write -f transit/keys/…/rotate``."""
        self.versions.append(os.urandom(32))

    @contextmanager
    def feeling(self, mood: str) -> Iterator[None]:
        """Be in a mood for a while."""
        self.mood = mood
        try:
            yield
        finally:
            self.mood = ""

    def _answer(self, path: str, headers: Any, body: bytes) -> tuple[int, Any]:
        verb = path.split("/")[3]
        self.asked.append(verb)
        refusals = {
            "sealed": (503, _errors("Vault is sealed")),
            "standby": (307, {}),
            "broken": (500, _errors("internal error")),
            "garbage": (200, b"\xff\xfe no json"),
            "page": (200, {"data": {"ciphertext": 7, "plaintext": ["not text"]}}),
            "empty": (200, {"data": {"ciphertext": "vault:v1:", "plaintext": "%%%"}}),
            "odd": (400, _errors("missing client token")),
            "too many": (429, _errors("request path quota exceeded")),
        }
        if self.mood == "hang":
            time.sleep(5)
        if refusal := refusals.get(self.mood):
            return refusal
        if headers.get("X-Vault-Token") != self.token:
            return 403, _errors("permission denied")
        self.namespace = headers.get("X-Vault-Namespace")
        if path != f"/v1/transit/{verb}/{KEY}" or self.is_deleted:
            return 400, _errors("encryption key not found")
        asked = json.loads(body)
        associated = base64.b64decode(asked["associated_data"])
        if verb == "encrypt":
            return 200, {"data": self._encrypt(asked["plaintext"], associated)}
        return self._decrypt(asked["ciphertext"], associated)

    def _encrypt(self, plaintext: str, associated: bytes) -> dict[str, Any]:
        nonce, version = os.urandom(12), len(self.versions)
        cipher = AESGCM(self.versions[-1])
        sealed = nonce + cipher.encrypt(nonce, base64.b64decode(plaintext), associated)
        text = base64.b64encode(sealed).decode()
        return {"ciphertext": f"vault:v{version}:{text}", "key_version": version}

    def _decrypt(self, ciphertext: str, associated: bytes) -> tuple[int, Any]:
        _, named, text = ciphertext.split(":")
        version = int(named[1:])
        if version > len(self.versions):
            return 400, _errors("invalid ciphertext: version is too new")
        if version < self.least:
            too_old = "ciphertext or signature version is disallowed by policy (too old)"
            return 400, _errors(too_old)
        sealed = base64.b64decode(text)
        if len(sealed) < 12:
            return 400, _errors("invalid ciphertext: could not decode")
        try:
            plain = AESGCM(self.versions[version - 1]).decrypt(sealed[:12], sealed[12:], associated)
        except InvalidTag:
            return 400, _errors("cipher: message authentication failed")
        return 200, {"data": {"plaintext": base64.b64encode(plain).decode()}}


def _errors(*texts: str) -> dict[str, list[str]]:
    return {"errors": list(texts)}
