"""/v1/batch/jobs: create, list, describe, cancel, delete; refuses other workspaces' jobs.

A job runs by itself in the server's loop, in `state.batch_seconds` (or the directive
`batch_seconds` of the creating request): half of it QUEUED, then RUNNING, its requests spread over
the other half. Each request is answered by its endpoint, under the key that made the job, with the
directives of the creating request; it costs half and counts against no rate limit. Lines of the
output file: `{"id", "custom_id", "response": {"status_code", "body"}, "error": null}`; refused
requests stand in the error file in the same shape, with `error.message`.
"""

import asyncio
import logging
import time
from typing import Any

import orjson
import uuid_utils

from aisuru_mistral.simulator.batches import ENDPOINTS, STATUSES, BatchJob
from aisuru_mistral.simulator.endpoints.agents import ROUTES as AGENTS
from aisuru_mistral.simulator.endpoints.chat import ROUTES as CHAT
from aisuru_mistral.simulator.endpoints.classifications import ROUTES as CLASSIFICATIONS
from aisuru_mistral.simulator.endpoints.conversations import ROUTES as CONVERSATIONS
from aisuru_mistral.simulator.endpoints.embeddings import ROUTES as EMBEDDINGS
from aisuru_mistral.simulator.endpoints.fim import ROUTES as FIM
from aisuru_mistral.simulator.endpoints.moderations import ROUTES as MODERATIONS
from aisuru_mistral.simulator.endpoints.ocr import ROUTES as OCR
from aisuru_mistral.simulator.endpoints.transcriptions import ROUTES as TRANSCRIPTIONS
from aisuru_mistral.simulator.files import StoredFile
from aisuru_mistral.simulator.resources import flag, invalid, missing, page_of, words
from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.state import RecordedRequest
from aisuru_mistral.simulator.validation import (
    REQUIRED,
    anything,
    check_body,
    integer,
    list_of,
    mapping,
    nullable,
    one_of,
    record,
    string,
)
from aisuru_mistral.simulator.wire import Reply, json_reply

FREE_REQUESTS = 100
BODY = record(
    {
        "input_files": (nullable(list_of(string)), None),
        "requests": (
            nullable(
                list_of(
                    record(
                        {"custom_id": (nullable(string), None), "body": (mapping, REQUIRED)},
                        extra=True,
                    )
                )
            ),
            None,
        ),
        "endpoint": (one_of(*ENDPOINTS), REQUIRED),
        "model": (nullable(string), None),
        "agent_id": (nullable(string), None),
        "metadata": (nullable(mapping), None),
        "timeout_hours": (integer(least=1), 24),
        "completion_args": (anything, None),
    },
    extra=True,
)
_RUNNERS: dict[str, Route] = {
    route.path: route
    for routes in (
        AGENTS, CHAT, CLASSIFICATIONS, CONVERSATIONS, EMBEDDINGS, FIM, MODERATIONS, OCR,
        TRANSCRIPTIONS,
    )
    for route in routes
    if route.method == "POST"
}  # fmt: skip

logger = logging.getLogger(__name__)


def create(call: Call) -> Reply:
    """Begin a job."""
    body = call.body
    files: list[str] = body.get("input_files") or []
    requests: list[dict[str, Any]] = list(body.get("requests") or [])
    errors: list[dict[str, Any]] = []
    for identifier in files:
        file = call.state.files.find(call.key, identifier)
        if file is None:
            return missing("File", identifier)
        _read_lines(file, requests, errors)
    if not requests and not errors:
        return invalid("Either input_files or requests is required")
    if call.key.organization.free_plan and len(requests) > FREE_REQUESTS:
        return call.refuse("batch_too_big_for_free")
    job = BatchJob(
        endpoint=body["endpoint"],
        input_files=files,
        model=body.get("model"),
        agent_id=body.get("agent_id"),
        metadata=body.get("metadata"),
        requests=requests,
        errors=errors,
    )
    call.state.batches.put(call.key, job.id, job)
    if errors:
        job.end("FAILED")
    else:
        task = asyncio.get_running_loop().create_task(_run(call, job))
        call.state.background.add(task)
        task.add_done_callback(call.state.background.discard)
    return json_reply(200, job.described())


def list_jobs(call: Call) -> Reply:
    """The jobs that the query asks for, newest first unless it says otherwise."""
    found = call.state.batches.all(call.key)
    if words(call, "order_by") != ["created"]:
        found.reverse()
    for name in ("model", "agent_id", "status"):
        wanted = [word for word in words(call, name) if name != "status" or word in STATUSES]
        if wanted:
            found = [job for job in found if getattr(job, name) in wanted]
    data = [job.described() for job in page_of(call, found)]
    return json_reply(200, {"data": data, "object": "list", "total": len(found)})


def describe(call: Call) -> Reply:
    """One job; with `inline=true` its output too."""
    job = call.state.batches.find(call.key, call.tail)
    if job is None:
        return missing("Batch job", call.tail)
    return json_reply(200, job.described(inline=flag(call, "inline", default=False)))


def cancel(call: Call) -> Reply:
    """Stop a job; what is done stays done, and billed."""
    job = call.state.batches.find(call.key, call.tail)
    if job is None:
        return missing("Batch job", call.tail)
    if not job.is_over:
        job.status = "CANCELLATION_REQUESTED"
    return json_reply(200, job.described())


def delete(call: Call) -> Reply:
    """Forget a job that is over."""
    job = call.state.batches.find(call.key, call.tail)
    if job is None:
        return missing("Batch job", call.tail)
    if not job.is_over:
        return invalid("The job is still running")
    call.state.batches.remove(call.key, call.tail)
    return json_reply(200, {"id": job.id, "object": "batch", "deleted": True})


def _read_lines(
    file: StoredFile, requests: list[dict[str, Any]], errors: list[dict[str, Any]]
) -> None:
    for number, line in enumerate(file.data.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            request = orjson.loads(line)
        except orjson.JSONDecodeError:
            request = None
        if isinstance(request, dict) and isinstance(request.get("body"), dict):
            requests.append(request)
        else:
            errors.append({"message": f"Line {number} of {file.name} is no request", "count": 1})


async def _run(call: Call, job: BatchJob) -> None:
    try:
        await _work(call, job)
    except Exception:
        logger.exception("batch job %s failed", job.id)
        job.errors.append({"message": "Service unavailable.", "count": 1})
        job.end("FAILED")


async def _work(call: Call, job: BatchJob) -> None:
    state = call.state
    dictated = call.directives.batch_seconds
    half = (state.batch_seconds if dictated is None else dictated) / 2
    await asyncio.sleep(half)
    if job.status == "QUEUED":
        job.status = "RUNNING"
        job.started_at = int(time.time())
    for number, request in enumerate(job.requests):
        if job.status != "RUNNING" or state.batches.find(call.key, job.id) is not job:
            break
        _answer(call, job, number, request)
        await asyncio.sleep(half / len(job.requests))
    if state.batches.find(call.key, job.id) is not job:
        return
    job.output_file = _written(call, job, "output", job.results)
    job.error_file = _written(call, job, "error", job.failures)
    job.end("SUCCESS" if job.status == "RUNNING" else "CANCELLED")


def _answer(call: Call, job: BatchJob, number: int, request: dict[str, Any]) -> None:
    reply = _replied(call, job, request["body"])
    body = orjson.loads(reply.body)
    line = {
        "id": f"batch-{job.id[:8]}-{number}-{uuid_utils.uuid4().hex[:12]}",
        "custom_id": request.get("custom_id"),
        "response": {"status_code": reply.status, "body": body},
        "error": None,
    }
    if reply.status == 200:  # noqa: PLR2004 - OK
        job.results.append(line)
    else:
        job.failures.append({**line, "error": {"message": f"Request failed: {reply.status}"}})


def _replied(call: Call, job: BatchJob, body: dict[str, Any]) -> Reply:
    path = job.endpoint
    wanted = {**body, "stream": False} if body.get("stream") else dict(body)
    if job.agent_id is not None:
        wanted["agent_id"] = job.agent_id
        if path == "/v1/chat/completions":
            path = "/v1/agents/completions"
    elif job.model is not None:
        wanted["model"] = job.model
    route = _RUNNERS[path]
    identifier = str(uuid_utils.uuid7())
    inner = Call(
        state=call.state,
        request=RecordedRequest(0, time.time(), "POST", path, "none"),
        correlation_id=identifier,
        directives=call.directives,
        known_key=call.key,
        batch=True,
    )
    if route.schema is not None:
        wanted, findings = check_body(route.schema, wanted)
        if findings:
            return json_reply(422, {"detail": findings})
    inner.body = wanted
    reply = route.handler(inner)
    if not isinstance(reply, Reply):
        raise TypeError("a batch asks for no stream")
    return reply


def _written(call: Call, job: BatchJob, kind: str, lines: list[dict[str, Any]]) -> str | None:
    if not lines:
        return None
    file = StoredFile(
        name=f"batch-{kind}-{job.id}.jsonl",
        data=b"".join(orjson.dumps(line) + b"\n" for line in lines),
        purpose="batch",
        sample_type="batch_result" if kind == "output" else "batch_error",
        content_type="application/jsonl",
        source="mistral",
    )
    call.state.files.put(call.key, file.id, file)
    return file.id


ROUTES = (
    Route("POST", "/v1/batch/jobs", create, "resources", schema=BODY),
    Route("GET", "/v1/batch/jobs", list_jobs, "resources"),
    Route("GET", "/v1/batch/jobs/", describe, "resources"),
    Route("DELETE", "/v1/batch/jobs/", delete, "resources"),
    Route("POST", "/v1/batch/jobs/{id}/cancel", cancel, "resources"),
)
