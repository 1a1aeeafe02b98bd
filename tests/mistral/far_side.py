"""The far side of the wire: a loopback server that answers exactly the bytes a test wants."""

import json
import socket
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


type Script = Callable[[Request, socket.socket], None]


def answer(status: int, body: object, headers: dict[str, str] | None = None) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"HTTP/1.1 {status} X",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def answering(status: int, body: object, headers: dict[str, str] | None = None) -> Script:
    return lambda _, connection: connection.sendall(answer(status, body, headers))


def reset(connection: socket.socket) -> None:
    """Cut the connection without a goodbye."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


class FarSide:
    """Runs a script for every request, on as many connections as come; remembers the requests."""

    def __init__(self, script: Script) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        far_side = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                far_side.connections += 1
                self.request.settimeout(10)
                while (request := _read(self.request)) is not None:
                    far_side.requests.append(request)
                    try:
                        script(request, self.request)
                    except OSError:
                        return
                    if self.request.fileno() < 0:
                        return

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def free_address() -> str:
    """Give an address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def _read(connection: socket.socket) -> Request | None:
    received = b""
    try:
        while b"\r\n\r\n" not in received:
            received += (part := connection.recv(65536))
            if not part:
                return None
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        while len(body) < int(headers.get("content-length", "0")):
            body += (part := connection.recv(65536))
            if not part:
                return None
    except OSError:
        return None
    method, path, _ = first.split(" ")
    return Request(method, path, headers, body)
