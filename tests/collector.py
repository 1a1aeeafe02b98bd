"""An OpenTelemetry collector as far as senders of spans see it: OTLP over HTTP, on loopback."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """Takes spans at its one address, from whoever has its token if it wants one."""

    def __init__(self, token: str | None = None) -> None:
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = HTTPStatus.OK
                if self.path != "/v1/traces":
                    status = HTTPStatus.NOT_FOUND
                elif token and self.headers["Authorization"] != f"Bearer {token}":
                    status = HTTPStatus.UNAUTHORIZED
                else:
                    collector.bodies.append(body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def spans(self):
        return [
            span
            for body in list(self.bodies)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scoped in resource.scope_spans
            for span in scoped.spans
        ]


@contextmanager
def collecting(token: str | None = None) -> Iterator[Collector]:
    """Serve for a while."""
    made = Collector(token)
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join(5)
