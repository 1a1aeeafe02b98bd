"""Turns made-up choices into the answer, the stream and the bill of a completion.

Refuses to make anything up.

Shared by the endpoints that answer with chat.completion objects. Shapes as recorded from Mistral in
2025 and 2026: the first chunk carries role and empty content, every later one the filler key `p`,
the last one finish_reason and usage together with the last piece of text.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import uuid_utils

from aisuru_mistral.simulator.catalogue import Model
from aisuru_mistral.simulator.directives import Usage
from aisuru_mistral.simulator.ledger import Line
from aisuru_mistral.simulator.routing import Call
from aisuru_mistral.simulator.tokens import CHARACTERS_PER_TOKEN, rendered_tokens
from aisuru_mistral.simulator.wire import Header, Reply, StreamReply, json_reply

DONE = b"data: [DONE]\n\n"
_FILLER = "abcdefghijklmnopqrstuvwxyz0123456789"
_NOTHING_DICTATED = Usage()


@dataclass(slots=True)
class Choice:
    """One answer: text, thinking before it, or a tool call. `tokens` is what it costs."""

    text: str
    tokens: int
    finish_reason: str
    thinking: str = ""
    tool_call: dict[str, Any] | None = None

    def message(self) -> dict[str, Any]:
        """As a message of an answer in one piece."""
        calls = [self.tool_call] if self.tool_call else None
        return {"role": "assistant", "tool_calls": calls, "content": self._content()}

    def deltas(self, size: int) -> Iterator[tuple[dict[str, Any], int]]:
        """As deltas of a stream, `size` tokens each, with the tokens that each carries."""
        if self.tool_call:
            yield {"tool_calls": [self.tool_call]}, self.tokens
            return
        for piece, tokens in pieces(self.thinking, size):
            yield {"content": [_thinking(piece)]}, tokens
        for piece, tokens in pieces(self.text, size):
            yield {"content": piece}, tokens

    def _content(self) -> str | list[dict[str, Any]]:
        if not self.thinking:
            return self.text
        return [_thinking(self.thinking), {"type": "text", "text": self.text}]


@dataclass(slots=True)
class Completion:
    """A finished generation, ready to be answered and billed."""

    call: Call
    model: Model
    requested_model: str
    prompt: str
    choices: list[Choice]
    service_tier: str | None = None
    audio_seconds: int = 0

    def begin(self, cache_key: str | None) -> tuple[dict[str, Any], Line]:
        """Bill the prompt: the usage of the whole answer, and the line its tokens go to."""
        usage, line_tier = self._usage(cache_key)
        call = self.call
        line = call.line(self.model.id, line_tier)
        line.calls += 1
        line.prompt_tokens += usage["prompt_tokens"]
        line.cached_tokens += usage["prompt_tokens_details"]["cached_tokens"]
        if self.audio_seconds:
            usage["prompt_audio_seconds"] = self.audio_seconds
            line.audio_seconds += self.audio_seconds
        call.use(usage["total_tokens"])
        return usage, line

    def reply(self, *, stream: bool, cache_key: str | None) -> Reply | StreamReply:
        """Bill the prompt, and answer in one piece or as a stream."""
        usage, line = self.begin(cache_key)
        call = self.call
        key = call.key
        limits = call.state.rate_limits
        headers = self._headers()
        if not stream:
            line.completion_tokens += usage["completion_tokens"]
            reply = json_reply(200, self._object(usage))
            reply.headers = headers + limits.headers(key, usage["total_tokens"])
            return reply
        if call.state.rate_limit_headers_on_streams:
            headers += limits.headers(key, usage["total_tokens"])
        return StreamReply(events=self._events(usage, line), headers=headers)

    def _usage(self, cache_key: str | None) -> tuple[dict[str, Any], str]:
        call = self.call
        dictated = call.directives.usage or _NOTHING_DICTATED
        owner = (call.key.workspace.id, self.model.id, cache_key)
        cached = call.state.prompt_cache.read_through(owner, self.prompt)
        prompt = rendered_tokens(self.prompt) if dictated.prompt is None else dictated.prompt
        cached = cached if dictated.cached is None else dictated.cached
        completion = dictated.completion
        if completion is None:
            completion = self._tokens()
        usage: dict[str, Any] = {
            "prompt_tokens": prompt,
            "total_tokens": prompt + completion,
            "completion_tokens": completion,
            "prompt_tokens_details": {"cached_tokens": min(cached, prompt)},
        }
        tier = call.directives.service_tier or self.service_tier
        if tier is not None:
            usage["service_tier"] = tier
        return usage, tier or "standard"

    def _tokens(self) -> int:
        return sum(choice.tokens for choice in self.choices)

    def _headers(self) -> list[Header]:
        if self.model.deprecation is None:
            return []
        return [(b"x-model-deprecation-timestamp", self.model.deprecation.encode())]

    def _object(self, usage: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": uuid_utils.uuid4().hex,
            "created": int(time.time()),
            "model": self.requested_model,
            "usage": usage,
            "object": "chat.completion",
            "choices": [
                {
                    "index": index,
                    "finish_reason": choice.finish_reason,
                    "message": choice.message(),
                }
                for index, choice in enumerate(self.choices)
            ],
        }

    def _events(self, usage: dict[str, Any], line: Line) -> Iterator[tuple[bytes, int]]:
        """The events, each billed when it is taken; a whole stream costs what its usage says."""
        shared = {
            "id": uuid_utils.uuid4().hex,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": self.requested_model,
        }
        # Opened up to the list of choices once; each chunk adds its own end.
        start = b"data: " + orjson.dumps(shared)[:-1] + b',"choices":'
        directives = self.call.directives
        last = len(self.choices) - 1
        fail_after = directives.fail_after
        sent = 0
        for index, choice in enumerate(self.choices):
            yield _chunk(start, index, {"role": "assistant", "content": ""}, None), 0
            deltas = list(choice.deltas(directives.chunk_tokens or 1)) or [({"content": ""}, 0)]
            for at, (delta, tokens) in enumerate(deltas):
                filler = _FILLER[: 3 + (sent * 7 + index) % 33]
                sent += 1
                if fail_after is not None and sent > fail_after:
                    yield _chunk(start, index, {"content": ""}, "error", p=filler), 0
                    yield DONE, 0
                    return
                line.completion_tokens += tokens
                final = at == len(deltas) - 1
                extra: dict[str, Any] = {}
                if final and index == last:
                    line.completion_tokens += usage["completion_tokens"] - self._tokens()
                    if not directives.omit_usage:
                        extra["usage"] = usage
                reason = choice.finish_reason if final else None
                yield _chunk(start, index, delta, reason, **extra, p=filler), tokens
        yield DONE, 0


def _chunk(
    start: bytes, index: int, delta: dict[str, Any], finish_reason: str | None, **extra: Any
) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason}
    end = orjson.dumps(extra)[1:] if extra else b"}"
    separator = b"," if extra else b""
    return start + orjson.dumps([choice]) + separator + end + b"\n\n"


def _thinking(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def pieces(text: str, size: int) -> Iterator[tuple[str, int]]:
    """The text in pieces of so many tokens, each with its tokens."""
    step = size * CHARACTERS_PER_TOKEN
    for at in range(0, len(text), step):
        piece = text[at : at + step]
        yield piece, -(-len(piece) // CHARACTERS_PER_TOKEN)
