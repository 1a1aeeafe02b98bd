"""Traces, where a deployment wants them: from the caller through the gateway, nothing private."""

import threading

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from aisuru_mistral.tracing import OpenTelemetry, Tasks
from tenants.mistral.headers import forwarded
from tests.collector import collecting
from tests.gateway.server import GatewayServer
from tests.gateway.tenancy import eventually, post, question

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def collector():
    with collecting() as made:
        yield made


def test_a_call_is_traced_from_its_caller_to_mistral_and_nothing_private_is_told(
    collector, mistral, tenant
):
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "NO_PROXY": "127.0.0.1",
    }
    with GatewayServer(mistral.url, variables=variables) as gateway:
        answer = post(
            gateway.url,
            tenant,
            "/v1/chat/completions",
            question("a very private question"),
            traceparent=PARENT,
        )
        assert answer.status_code == 200
        eventually(lambda: {"gateway", "mistral"} <= {span.name for span in collector.spans()})
    found = {span.name: span for span in collector.spans() if span.trace_id.hex() == TRACE}
    assert found["gateway"].parent_span_id.hex() == "00f067aa0ba902b7"
    assert found["mistral"].parent_span_id == found["gateway"].span_id
    facts = {
        attribute.key: attribute.value.int_value or attribute.value.string_value
        for attribute in found["gateway"].attributes
    }
    assert facts == {
        "http.response.status_code": 200,
        "aim.request_id": answer.headers["x-request-id"],
    }
    told = b"".join(collector.bodies)
    assert b"private question" not in told
    assert tenant.token.encode() not in told
    assert forwarded([(b"traceparent", PARENT.encode())]) == forwarded([]), "not for Mistral"


@pytest.fixture
def memory():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return OpenTelemetry(provider), exporter


def named(exporter):
    return {span.name: span for span in exporter.get_finished_spans()}


def test_a_task_goes_on_with_the_trace_of_whoever_sent_it(memory):
    tracer, exporter = memory
    tasks = Tasks(tracer)
    tasks.connect()
    app = Celery("traced", broker="memory://", backend="cache+memory://")
    app.conf.task_default_queue = "traced"  # in-memory queues are the whole process's
    done = threading.Event()

    @app.task(name="some.task")
    def work():
        done.set()

    with start_worker(app, perform_ping_check=False):
        with tracer.open("request", PARENT):
            work.delay()
        assert done.wait(20)
        eventually(
            lambda: "task some.task" in {span.name for span in exporter.get_finished_spans()}
        )
    [task] = [span for span in exporter.get_finished_spans() if span.name == "task some.task"]
    assert f"{task.context.trace_id:032x}" == TRACE


def test_of_an_exception_only_its_kind_is_told(memory):
    tracer, exporter = memory
    with pytest.raises(ValueError, match="private"), tracer.open("work", None):
        raise ValueError("a private question")
    [span] = exporter.get_finished_spans()
    assert span.status.description == "ValueError"
    assert "private" not in span.to_json()
