"""A receiver of webhooks in a thread: keeps what came, answers what it is told to."""

import threading
import time
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    def verified(self, secret: str) -> Any:
        """Check it as a receiver does, and read it."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Say:
    """What to answer."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b"ok"
    drip: float = 0.0  # seconds between the bytes of an answer


class Receiver:
    """Serves on loopback; what is in ``answers`` is said first, then 200."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: deque[Say] = deque()
        self.always: Say | None = None
        self.handler = self._handler()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks?tenant=1"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def forget(self) -> None:
        self.received.clear()
        self.answers.clear()
        self.always = None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append(Received(self.path, headers, body))
                say = receiver.always or (receiver.answers.popleft() if receiver.answers else Say())
                try:
                    self.send_response(say.status)
                    for name, value in say.headers:
                        self.send_header(name, value)
                    self.send_header("content-length", str(len(say.body)))
                    self.end_headers()
                    if not say.drip:
                        self.wfile.write(say.body)
                    for octet in say.body if say.drip else b"":
                        self.wfile.write(bytes([octet]))
                        self.wfile.flush()
                        time.sleep(say.drip)
                except OSError:
                    pass  # it hung up

            def log_message(self, *_facts: object) -> None:
                """Say nothing."""

        return Handler
