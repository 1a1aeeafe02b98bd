"""Batch jobs on their way to Mistral: whose files they read, and the most that their lines can use.

A job's hold stands until the job is metered (``spend.batches``), however long Mistral takes. What
the lines of a file can use was counted when the file passed on its way up; a file whose lines
nobody counted is refused.
"""

from collections.abc import Collection, Mapping
from typing import Any

import orjson

from tenants.common.problems import Invalid
from tenants.gateway import bounding, conversations, references, requests, weighing
from tenants.gateway.aftermaths import read
from tenants.gateway.bounding import LONGEST_RECORDING
from tenants.gateway.endpoints import Endpoint, Kind
from tenants.gateway.requests import Aftermath, Request
from tenants.gateway.scanning import COUNTED
from tenants.gateway.shelf import Shelf
from tenants.gateway.tally import FORBIDDEN, Tally
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
#: What Mistral runs in batches; of anything else nobody knows what its lines cost.
ENDPOINTS = frozenset(
    {
        "/v1/chat/completions",
        "/v1/fim/completions",
        "/v1/embeddings",
        "/v1/moderations",
        "/v1/chat/moderations",
        "/v1/classifications",
        "/v1/chat/classifications",
        "/v1/ocr",
        "/v1/conversations",
        "/v1/audio/transcriptions",
    }
)
_USUAL_HOURS, _MOST_HOURS = 24, 24 * 7
_MOST_INLINE = 10_000
_LARGEST_COUNT = 2**31 - 1
_SILENT = ("embeddings", "moderations", "classifications")


async def creation(body: bytes, model: ModelFacts, owner: Owner, shelf: Shelf) -> Request:
    """Read a request for a job.

    Raises:
        NotFound: a file or agent is not the workspace's.
        Invalid: its lines were not counted, or can use more than can be counted.
    """
    whose = owner.organization_id
    document = await weighing.apart(whose, len(body), requests.read_object, body)
    agent_id = document.get("agent_id")
    facts: Mapping[str, Any] = {}
    if isinstance(agent_id, str):
        facts = await conversations.agent(shelf, owner, agent_id)
        changes = requests.named_model(document, model) if "model" in document else {}
    else:
        changes = requests.named_model(document, model)
    # Requests are counted as they were parsed, and so they are written.
    is_inline = bool(document.get("requests"))
    length = len(body)
    body = await weighing.apart(
        whose, length, requests.rewritten, document, body, changes, is_changed=is_inline
    )
    counted = await _files(document, owner, shelf)
    if is_inline:
        counted.append(await weighing.apart(whose, length, _inline, document))
    await _check_names(counted, model, owner, shelf)
    endpoint = document.get("endpoint")
    is_known = isinstance(endpoint, str) and endpoint in ENDPOINTS
    endpoint = endpoint if isinstance(endpoint, str) and is_metered(endpoint) else PATH
    hours = _hours(document.get("timeout_hours"))
    is_agent = isinstance(agent_id, str)
    agents = {*_named("names_agents", counted), *([agent_id] if isinstance(agent_id, str) else [])}
    asks_priority = bounding.asks_priority(document) or any(one["asks_priority"] for one in counted)
    return Request(
        Endpoint(endpoint, Kind.BATCH),
        body,
        _bound(endpoint, counted, None if is_agent else model.context_length, is_agent=is_agent),
        (Modifier.BATCH, *((Modifier.PRIORITY,) if asks_priority else ())),
        target=PATH,
        priced_as=str(facts.get("model", "")) if is_agent else None,
        calls_connectors=is_agent
        or not is_known
        or any(one["calls_connectors"] for one in counted),
        aftermath=JobKept(shelf, owner, endpoint, hours, agents),
        names_files=_named("names_files", counted),
        is_stream=False,
    )


class JobKept(Aftermath):
    """Writes down a job that was made, with its agents, and lets its hold stand."""

    def __init__(
        self, shelf: Shelf, owner: Owner, endpoint: str, hours: int, agents: Collection[str]
    ) -> None:
        super().__init__()
        self._shelf = shelf
        self._owner = owner
        self._endpoint = endpoint
        self._hours = hours
        self._agents = agents

    async def whole(self, body: bytes) -> bytes:
        """Find the job in the answer."""
        job_id = read(body).get("id")
        if isinstance(job_id, str) and self.intent is not None:
            # Whatever fails from here on may have come after the job was written down: its hold is
            # left to the metering, or to the sweep of holds that nobody will settle.
            self.keeps_hold = True
            await self._shelf.keep_job(
                self._owner, self.intent, job_id, self._endpoint, hours=self._hours
            )
            # With which model they answer shows when one is called by itself.
            agents = {agent_id: {"model": ""} for agent_id in self._agents}
            await self._shelf.keep(self._owner, ResourceKind.AGENT, agents)
        return body


async def _files(
    document: Mapping[str, Any], owner: Owner, shelf: Shelf
) -> list[Mapping[str, Any]]:
    ids = document.get("input_files") or []
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise Invalid.field("/input_files", "invalid_value", "`input_files` is a list of ids.")
    found = await shelf.require(owner, ResourceKind.FILE, ids)
    for one in ids:
        _refuse_uncounted(one, found[one].facts)
    return [found[one].facts for one in ids]


def _refuse_uncounted(mistral_id: str, facts: Mapping[str, Any]) -> None:
    if facts.get(COUNTED) and facts["lines"]:
        return
    if "fault" in facts:
        why = f"line {facts['line']} {facts['fault']}. Mend it, and upload the file again."
    else:
        why = (
            "upload it as a .jsonl file in UTF-8 with the purpose `batch`, one JSON object with a"
            " `body` a line, as the only file of its form."
        )
    raise Invalid.field(
        "/input_files",
        "batch_not_counted",
        f"What the lines of the file {mistral_id} can use is not known: {why}",
    )


def _inline(document: Mapping[str, Any]) -> dict[str, Any]:
    lines = document["requests"]
    if not isinstance(lines, list) or len(lines) > _MOST_INLINE:
        raise Invalid.field(
            "/requests", "invalid_value", f"`requests` is a list of at most {_MOST_INLINE}."
        )
    tally = Tally()
    for number, line in enumerate(lines):
        try:
            tally.add(line, len(orjson.dumps(line)))
        except Invalid as problem:
            what = f"This request cannot be counted: {problem.detail}"
            raise Invalid.field(f"/requests/{number}", problem.code, what) from None
    return tally.facts()


async def _check_names(counted: Counts, model: ModelFacts, owner: Owner, shelf: Shelf) -> None:
    """Check what the lines name, but for files: those are looked up with the request's own.

    Raises:
        NotFound: it is not the workspace's, or cannot have been made through a model token.
        Forbidden: another model than the token's.
    """
    for noun, word in FORBIDDEN.items():
        for mistral_id in _named(word, counted):
            raise references.missing(noun, mistral_id)
    for name in _named("names_models", counted):
        requests.named_model({"model": name}, model)
    for mistral_id in _named("names_agents", counted):
        await conversations.agent(shelf, owner, mistral_id)


def _hours(told: object) -> int:
    """Read for how long Mistral works on a job, told as a number or as text."""
    if told is None:
        return _USUAL_HOURS
    number = told if isinstance(told, int | float | str) else ""
    try:
        return min(max(int(float(number)), 1), _MOST_HOURS)
    except (ValueError, OverflowError):
        return _MOST_HOURS


def _named(word: str, counted: Counts) -> list[str]:
    return sorted({name for one in counted for name in one.get(word, ())})


def _bound(endpoint: str, counted: Counts, context: int | None, *, is_agent: bool) -> Bound:
    def total(name: str) -> int:
        return sum(one[name] for one in counted)

    lines = total("lines")
    if endpoint == "/v1/ocr":
        return Bound(
            0,
            context_length=0,
            generates=False,
            pages=total("pages"),
            annotated_pages=total("annotated_pages"),
        )
    if endpoint == "/v1/audio/transcriptions":
        # Files, and what addresses lead to: nobody knows how long.
        seconds = lines * LONGEST_RECORDING
        return Bound(0, context_length=0, generates=False, audio_seconds=seconds)
    plain = 0 if is_agent else total("plain_lines")
    read = (lines - plain + total("more_contexts")) * (context or LONGEST_CONTEXT)
    if plain:
        read += total("plain_bytes") + plain * TEMPLATE_TOKENS
    is_turn = endpoint == "/v1/conversations"
    caps, uncapped = ("turn_caps", "uncapped_turns") if is_turn else ("output_caps", "uncapped")
    return Bound(
        min(read, _LARGEST_COUNT + 1),
        context_length=_LARGEST_COUNT + 1,
        max_tokens=total(caps) + total(uncapped) * DEFAULT_OUTPUT_TOKENS,
        generates=not any(word in endpoint for word in _SILENT),
        audio_seconds=total("audio_seconds"),
        perhaps_seconds=total("perhaps_seconds"),
    )
