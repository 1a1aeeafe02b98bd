"""Batch jobs on their way to Mistral: whose files they read, and the most that their lines can use.

A job's hold stands until the job is metered (``spend.batches``), however long Mistral takes. What
the lines of a file can use was counted when the file passed on its way up; a file whose lines
nobody counted is refused.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from tenants.common.problems import Invalid
from tenants.gateway import conversations, requests
from tenants.gateway.aftermaths import read
from tenants.gateway.endpoints import Endpoint, Kind
from tenants.gateway.requests import Aftermath, Request
from tenants.gateway.scanning import BatchScan
from tenants.gateway.shelf import Shelf
from tenants.registry.models import ResourceKind
from tenants.registry.resources import Owner
from tenants.registry.snapshots import ModelFacts
from tenants.spend.calls import is_metered
from tenants.spend.pricing import (
    DEFAULT_OUTPUT_TOKENS,
    LONGEST_CONTEXT,
    TEMPLATE_TOKENS,
    Bound,
    Modifier,
)

type Counts = list[Mapping[str, Any]]

PATH = "/v1/batch/jobs"
#: What is set aside for a line whose document or recording nobody has measured.
PAGES_OF_A_LINE = 100
SECONDS_OF_A_LINE = 600
_USUAL_HOURS, _MOST_HOURS = 24, 24 * 7
_MOST_INLINE = 10_000
_LARGEST_COUNT = 2**31 - 1
_SILENT = ("/v1/embeddings", "/v1/moderations", "/v1/classifications")


async def creation(body: bytes, model: ModelFacts, owner: Owner, shelf: Shelf) -> Request:
    """Read a request for a job.

    Raises:
        NotFound: a file or agent is not the workspace's.
        Invalid: its lines were not counted, or can use more than can be counted.
    """
    document = requests.read_object(body)
    agent_id = document.get("agent_id")
    facts: Mapping[str, Any] = {}
    if isinstance(agent_id, str):
        facts = await conversations.agent(shelf, owner, agent_id)
        changes = requests.named_model(document, model) if "model" in document else {}
    else:
        changes = requests.named_model(document, model)
    body = requests.rewritten(document, body, changes)
    counted = [*await _files(document, owner, shelf), *_inline(document)]
    named = sorted({name for one in counted for name in one["names_files"]})
    endpoint = document.get("endpoint")
    endpoint = endpoint if isinstance(endpoint, str) and is_metered(endpoint) else PATH
    hours = document.get("timeout_hours")
    hours = min(hours, _MOST_HOURS) if type(hours) is int else _USUAL_HOURS
    return Request(
        Endpoint(endpoint, Kind.BATCH),
        body,
        _bound(endpoint, counted, _cap(document), model),
        (Modifier.BATCH, *requests.modifiers(document)),
        target=PATH,
        priced_as=str(facts.get("model", "")) if isinstance(agent_id, str) else None,
        calls_connectors=isinstance(agent_id, str) or any(map(_may_call_connectors, counted)),
        aftermath=JobKept(shelf, owner, endpoint, hours),
        names_files=named,
        is_stream=False,
    )


class JobKept(Aftermath):
    """Writes down a job that was made, and lets its hold stand."""

    def __init__(self, shelf: Shelf, owner: Owner, endpoint: str, hours: int) -> None:
        super().__init__()
        self._shelf = shelf
        self._owner = owner
        self._endpoint = endpoint
        self._hours = hours

    async def whole(self, body: bytes) -> bytes:
        """Find the job in the answer."""
        job_id = read(body).get("id")
        if isinstance(job_id, str) and self.intent is not None:
            await self._shelf.keep_job(
                self._owner, self.intent, job_id, self._endpoint, hours=self._hours
            )
            self.keeps_hold = True
        return body


async def _files(
    document: Mapping[str, Any], owner: Owner, shelf: Shelf
) -> list[Mapping[str, Any]]:
    ids = document.get("input_files") or []
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise Invalid.field("/input_files", "invalid_value", "`input_files` is a list of ids.")
    found = await shelf.require(owner, ResourceKind.FILE, ids)
    counted = [found[one].facts for one in ids]
    if not all(one.get("is_plain") for one in counted):
        raise Invalid.field(
            "/input_files",
            "batch_not_counted",
            "What the lines of this file can use was not counted: upload it as a .jsonl file with"
            " the purpose `batch`, written without escaped ASCII letters.",
        )
    return counted


def _inline(document: Mapping[str, Any]) -> Counts:
    lines = document.get("requests") or []
    if not isinstance(lines, list) or len(lines) > _MOST_INLINE:
        raise Invalid.field(
            "/requests", "invalid_value", f"`requests` is a list of at most {_MOST_INLINE}."
        )
    if not lines:
        return []
    scan = BatchScan()
    for line in lines:
        scan.feed(orjson.dumps(line) + b"\n")
    return [scan.facts()]


def _may_call_connectors(one: Mapping[str, Any]) -> bool:
    """Tell of counted lines; of those counted by an older version any unbounded part may be one."""
    may: bool = one.get("calls_connectors", one["unbounded_parts"] > 0)
    return may


def _cap(document: Mapping[str, Any]) -> int:
    """Read the output cap of lines that have none of their own."""
    args = document.get("completion_args")
    cap = args.get("max_tokens") if isinstance(args, dict) else None
    return cap if type(cap) is int and cap >= 0 else DEFAULT_OUTPUT_TOKENS


def _bound(endpoint: str, counted: Counts, cap: int, model: ModelFacts) -> Bound:
    lines = sum(one["lines"] for one in counted)
    if endpoint == "/v1/ocr":
        # Whether a line asks for annotations was not looked at: an annotated page is the dearer.
        return Bound(0, context_length=0, generates=False, annotated_pages=lines * PAGES_OF_A_LINE)
    if endpoint == "/v1/audio/transcriptions":
        seconds = lines * SECONDS_OF_A_LINE
        return Bound(0, context_length=0, generates=False, audio_seconds=seconds)
    context = model.context_length or LONGEST_CONTEXT
    read = sum(one["bytes"] + one["unbounded_parts"] * context for one in counted)
    written = 0
    for one in counted:
        uncapped = 0 if one["capped_lines"] == one["lines"] else one["lines"]
        written += (one["output_caps"] + uncapped * cap) * one["choices"]
    return Bound(
        min(read + lines * TEMPLATE_TOKENS, _LARGEST_COUNT + 1),
        context_length=_LARGEST_COUNT + 1,
        max_tokens=written,
        generates=not any(endpoint.startswith(one) for one in _SILENT)
        and "moderations" not in endpoint
        and "classifications" not in endpoint,
    )
