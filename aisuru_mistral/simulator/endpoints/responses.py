"""POST /v1/responses and /v1/responses/input_tokens: a chat in OpenAI's newer words.

Refuses to remember: no `previous_response_id`, no `store`. Not in Mistral's OpenAPI file; shapes as
in mistralai 3.7.0. The input counts and is cached as the same chat would be (tokens.py); what was
thought before is not read again.
"""

import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import orjson
import uuid_utils

from aisuru_mistral.simulator import schemas, tokens
from aisuru_mistral.simulator.admission import admitted_model
from aisuru_mistral.simulator.catalogue import CHAT
from aisuru_mistral.simulator.completions import Choice, Completion
from aisuru_mistral.simulator.generation import chat_choices
from aisuru_mistral.simulator.ledger import Line
from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.validation import (
    REQUIRED,
    anything,
    boolean,
    either,
    integer,
    list_of,
    mapping,
    nullable,
    number,
    one_of,
    record,
    string,
)
from aisuru_mistral.simulator.wire import Reply, StreamReply, json_reply, named_event

_KINDS = {"input_text": "text", "output_text": "text", "input_image": "image_url"}
_ROLES = {role: role for role in ("system", "user", "assistant")} | {"developer": "system"}
_READ = {
    "model": (string, REQUIRED),
    "input": (either({"str": string, "list[Item]": list_of(mapping)}), REQUIRED),
    "instructions": schemas.OPTIONAL_STRING,
    "parallel_tool_calls": (boolean, True),
    "previous_response_id": (nullable(string), None),
    "truncation": (one_of("disabled", literal=True), "disabled"),
    "tools": (list_of(mapping), None),
    "tool_choice": (either({"str": string, "ToolChoiceFunction": mapping}), None),
    "reasoning": (nullable(mapping), None),
    "conversation": (anything, None),
    "prompt": (anything, None),
    "text": (nullable(mapping), None),
}
BODY = record(
    {
        **_READ,
        "stream": (boolean, False),
        "background": (boolean, False),
        "store": (nullable(boolean), None),
        "max_output_tokens": (nullable(integer(least=1)), None),
        "temperature": (nullable(number(least=0, most=1.5)), None),
        "top_p": (nullable(number(above=0, most=1)), None),
        "metadata": (nullable(mapping), None),
        "prompt_cache_key": schemas.OPTIONAL_STRING,
        "max_tool_calls": (nullable(integer()), None),
        "moderation": (anything, None),
        "top_logprobs": (nullable(integer()), None),
    },
    extra=True,
)
COUNT_BODY = record(_READ, extra=True)


def respond(call: Call) -> Reply | StreamReply:
    """Answer."""
    body = call.body
    model = admitted_model(call, body["model"], CHAT)
    if isinstance(model, Reply):
        return model
    chat = as_chat(body)
    if not chat["messages"]:
        return call.refuse("bad_message_order")
    prompt = tokens.render_chat(chat)
    if tokens.rendered_tokens(prompt) > model.context:
        return call.refuse("prompt_too_large", model=body["model"])
    choice = chat_choices(chat, prompt, call.directives)[0]
    completion = Completion(call, model, body["model"], prompt, [choice])
    usage, line = completion.begin(body.get("prompt_cache_key"))
    answer = _Answer(call, choice, usage)
    if body["stream"]:
        return StreamReply(answer.events(line))
    line.completion_tokens += usage["completion_tokens"]
    reply = json_reply(200, answer.whole())
    reply.headers = call.state.rate_limits.headers(call.key, usage["total_tokens"])
    return reply


def count_input(call: Call) -> Reply:
    """The tokens an input would have; costs nothing."""
    model = admitted_model(call, call.body["model"], CHAT)
    if isinstance(model, Reply):
        return model
    amount = tokens.count_prompt(as_chat(call.body))
    return json_reply(200, {"object": "response.input_tokens", "input_tokens": amount})


def as_chat(body: dict[str, Any]) -> dict[str, Any]:
    """The same request in the words of /v1/chat/completions."""
    given = body["input"]
    messages: list[dict[str, Any]] = []
    if body.get("instructions"):
        messages.append({"role": "system", "content": body["instructions"]})
    if isinstance(given, str):
        messages.append({"role": "user", "content": given})
    else:
        messages += [message for item in given for message in _messages(item)]
    wanted = (body.get("text") or {}).get("format")
    wanted = wanted if isinstance(wanted, dict) else {}
    kind = wanted.get("type")
    effort = (body.get("reasoning") or {}).get("effort")
    tool_choice = body.get("tool_choice")
    if isinstance(tool_choice, dict):
        tool_choice = {"function": {"name": tool_choice.get("name", "")}}
    schema = {"schema": wanted.get("schema", {})} if kind == "json_schema" else None
    return {
        "model": body["model"],
        "messages": messages,
        "tools": [_function(tool) for tool in body.get("tools") or () if "name" in tool],
        "tool_choice": tool_choice,
        "response_format": {"type": kind or "text", "json_schema": schema},
        "reasoning_effort": effort,
        "max_tokens": body.get("max_output_tokens"),
    }


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    parameters = tool.get("parameters")
    return {
        "type": "function",
        "function": {
            "name": str(tool["name"]),
            "parameters": parameters if isinstance(parameters, dict) else {},
        },
    }


def _messages(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind = item.get("type", "message")
    if kind == "message":
        yield {
            "role": _ROLES.get(str(item.get("role")), "user"),
            "content": _content(item.get("content")),
        }
    elif kind == "function_call":
        names = ("name", "arguments")
        function = {name: str(item.get(name, "")) for name in names}
        yield {"role": "assistant", "tool_calls": [{"function": function}]}
    elif kind == "function_call_output":
        output = item.get("output")
        text = output if isinstance(output, str) else orjson.dumps(output).decode()
        yield {"role": "tool", "content": text}


def _content(content: Any) -> Any:
    if not isinstance(content, list):
        return str(content or "")
    return [
        {**chunk, "type": _KINDS.get(str(chunk.get("type")), "reference"), "text": _text(chunk)}
        for chunk in content
        if isinstance(chunk, dict)
    ]


def _text(chunk: dict[str, Any]) -> str:
    return str(chunk.get("text", ""))


class _Answer:
    """A response object and the stream that builds it up."""

    def __init__(self, call: Call, choice: Choice, usage: dict[str, Any]) -> None:
        self._call = call
        self._choice = choice
        self._usage = usage
        self._id = f"resp_{uuid_utils.uuid4().hex}"
        self._numbers = count()
        self._created = int(time.time())

    def whole(self) -> dict[str, Any]:
        """The finished response."""
        cut = self._choice.finish_reason == "length"
        return {
            **self._head("incomplete" if cut else "completed"),
            "output": self._output("incomplete" if cut else "completed"),
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "completed_at": int(time.time()),
            "usage": self._spent(),
        }

    def events(self, line: Line) -> Iterator[tuple[bytes, int]]:
        """The events, each billed when it is taken; a whole stream costs what its usage says."""
        yield self._event("response.created", response=self._head("in_progress")), 0
        yield self._event("response.in_progress", response=self._head("in_progress")), 0
        whole = self.whole()
        for at, item in enumerate(whole["output"]):
            empty: dict[str, Any] = {"arguments": ""} if "arguments" in item else {"content": []}
            begun = {**item, "status": "in_progress", **empty}
            yield self._event("response.output_item.added", output_index=at, item=begun), 0
            for event, spent in self._pieces(at, item):
                line.completion_tokens += spent
                yield event, spent
            yield self._event("response.output_item.done", output_index=at, item=item), 0
        line.completion_tokens += self._usage["completion_tokens"] - self._choice.tokens
        if self._call.directives.omit_usage:
            whole["usage"] = None
        yield self._event(f"response.{whole['status']}", response=whole), 0

    def _head(self, status: str) -> dict[str, Any]:
        body = self._call.body
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "model": body["model"],
            "output": [],
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "metadata": body.get("metadata") or {},
            "parallel_tool_calls": body["parallel_tool_calls"],
            "temperature": body.get("temperature"),
            "top_p": body.get("top_p"),
            "tool_choice": body.get("tool_choice") or "auto",
            "tools": body.get("tools") or [],
            "max_output_tokens": body.get("max_output_tokens"),
            "truncation": "disabled",
            "usage": None,
        }

    def _spent(self) -> dict[str, Any]:
        usage = self._usage
        thought = tokens.count(self._choice.thinking)
        return {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {
                "cached_tokens": usage["prompt_tokens_details"]["cached_tokens"],
                "cache_write_tokens": 0,
            },
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": thought},
            "total_tokens": usage["total_tokens"],
        }

    def _output(self, status: str) -> list[dict[str, Any]]:
        choice = self._choice
        suffix = self._id.removeprefix("resp_")
        if choice.tool_call:
            function = choice.tool_call["function"]
            call = {
                "id": f"fc_{suffix}",
                "type": "function_call",
                "status": status,
                "call_id": choice.tool_call["id"],
                "name": function["name"],
                "arguments": function["arguments"],
            }
            return [call]
        message = {
            "id": f"msg_{suffix}",
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [{"type": "output_text", "text": choice.text, "annotations": []}],
        }
        if not choice.thinking:
            return [message]
        thought = {"type": "reasoning_text", "text": choice.thinking}
        reasoning = {"id": f"rs_{suffix}", "type": "reasoning", "summary": [], "content": [thought]}
        return [reasoning, message]

    def _pieces(self, at: int, item: dict[str, Any]) -> Iterator[tuple[bytes, int]]:
        shared = {"item_id": item["id"], "output_index": at}
        if item["type"] == "function_call":
            kind = "response.function_call_arguments"
            arguments = self._event(f"{kind}.delta", **shared, delta=item["arguments"])
            yield arguments, self._choice.tokens
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield self._event(f"{kind}.done", **shared, **done), 0
            return
        shared["content_index"] = 0
        part = item["content"][0]
        kind = f"response.{part['type']}"
        more: dict[str, Any] = {"logprobs": []} if part["type"] == "output_text" else {}
        empty = {**part, "text": ""}
        yield self._event("response.content_part.added", **shared, part=empty), 0
        own = Choice(part["text"], tokens.count(part["text"]), "stop")
        for delta, spent in own.deltas(self._call.directives.chunk_tokens or 1):
            yield self._event(f"{kind}.delta", **shared, **more, delta=delta["content"]), spent
        yield self._event(f"{kind}.done", **shared, **more, text=part["text"]), 0
        yield self._event("response.content_part.done", **shared, part=part), 0

    def _event(self, kind: str, **fields: Any) -> bytes:
        number = next(self._numbers)
        return named_event(kind, {"type": kind, "sequence_number": number, **fields})


ROUTES = (
    Route("POST", "/v1/responses", respond, "inference", schema=BODY),
    Route("POST", "/v1/responses/input_tokens", count_input, "inference", schema=COUNT_BODY),
)
