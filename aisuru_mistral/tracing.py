"""OpenTelemetry, where ``OTEL_EXPORTER_OTLP_ENDPOINT`` says where spans go; else it is not loaded.

A trace begins with the caller's ``traceparent`` if it sends one, and goes on through Celery in the
headers of a task. It is never told to Mistral. Of an exception only the kind is kept: its text may
quote what was sent.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from celery import signals

from aisuru_mistral.env import Traces
from tenants.common import tracing
from tenants.common.tracing import Span

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider

_HEADER = "traceparent"


class OpenTelemetry:
    """A tracer that makes OpenTelemetry's spans."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import propagate, trace  # noqa: PLC0415 - only where it is wanted
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

        self._trace = trace
        self._tracer = provider.get_tracer("aisuru_mistral")
        self._propagate = propagate
        self._status, self._error = Status, StatusCode.ERROR

    @contextmanager
    def open(self, name: str, parent: str | None) -> Iterator[Span]:
        """Open a span as the current one."""
        context = self._propagate.extract({_HEADER: parent}) if parent else None
        with self._tracer.start_as_current_span(
            name, context, record_exception=False, set_status_on_exception=False
        ) as made:
            try:
                yield made
            except BaseException as error:
                made.set_status(self._status(self._error, type(error).__name__))
                raise

    def ids(self) -> dict[str, str]:
        """Name the current span as W3C writes it."""
        context = self._trace.get_current_span().get_span_context()
        if not context.is_valid:
            return {}
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

    def inject(self, headers: dict[str, Any]) -> None:
        """Write the current span into the headers of a task."""
        self._propagate.inject(headers)


class Tasks:
    """Carries a trace from whoever sends a task to whoever works on it.

    Args:
        tracer: makes the spans.
    """

    def __init__(self, tracer: OpenTelemetry) -> None:
        self._tracer = tracer
        self._open: dict[str, AbstractContextManager[Span]] = {}

    def connect(self) -> None:
        """Listen to Celery, for as long as this object lives."""
        signals.before_task_publish.connect(self.sent)
        signals.task_prerun.connect(self.begun)
        signals.task_postrun.connect(self.ended)

    def sent(self, headers: dict[str, Any] | None = None, **_: Any) -> None:
        """Let a task know where it comes from."""
        if headers is not None:
            self._tracer.inject(headers)

    def begun(self, task_id: str, task: Any, **_: Any) -> None:
        """Open the span of a task."""
        parent = (task.request.headers or {}).get(_HEADER) or task.request.get(_HEADER)
        opened = self._tracer.open(f"task {task.name}", parent)
        opened.__enter__()
        self._open[task_id] = opened

    def ended(self, task_id: str, state: str = "", **_: Any) -> None:
        """Close it."""
        opened = self._open.pop(task_id, None)
        if opened is not None:
            opened.__exit__(None, None, None)


_tasks: list[Tasks] = []


def exporter(traces: Traces, patience: float | None = None) -> "OTLPSpanExporter":
    """Make what sends spans; variables that are none of ours it reads itself.

    Args:
        traces: where they go.
        patience: seconds for all tries of one batch; None: as OpenTelemetry's variables say.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.util.re import parse_env_headers  # noqa: PLC0415

    headers = parse_env_headers(traces.headers, liberal=True) if traces.headers else None
    return OTLPSpanExporter(endpoint=traces.url, headers=headers, timeout=patience)


def configure(traces: Traces | None) -> None:
    """Start tracing in this process and in its tasks; None: nobody wants it."""
    if traces is None or tracing.is_on():
        return
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": traces.service_name}))
    provider.add_span_processor(BatchSpanProcessor(exporter(traces)))
    tracer = OpenTelemetry(provider)
    tracing.start(tracer)
    _tasks[:] = [Tasks(tracer)]
    _tasks[0].connect()
