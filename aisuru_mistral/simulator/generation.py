"""Decides what a model would say: prose, JSON, thinking or a tool call, within max_tokens.

Refuses to bill it.

Everything derives from the request alone: the same body gives the same choices, whoever sends it
and when.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from aisuru_mistral.simulator.completions import Choice
from aisuru_mistral.simulator.directives import Directives
from aisuru_mistral.simulator.text import prose, prose_of, seed_of, short_id, value_for
from aisuru_mistral.simulator.tokens import CHARACTERS_PER_TOKEN, count, text_of

THINKING_TOKENS = 12
LONGEST_ANSWER = 131_072


@dataclass(slots=True)
class Wish:
    """What a request asks for, apart from its prompt."""

    seed: int
    max_tokens: int | None
    stop: tuple[str, ...]
    directives: Directives

    @classmethod
    def of(cls, body: dict[str, Any], prompt: str, directives: Directives) -> "Wish":
        """The wish of a checked chat or FIM body."""
        stop = body.get("stop") or ()
        return cls(
            seed=seed_of(body["model"], prompt, str(body.get("random_seed", ""))),
            max_tokens=body.get("max_tokens"),
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            directives=directives,
        )

    def prose(self, index: int) -> Choice:
        """A choice of prose, as long as dictated or as it comes."""
        seed = self.seed + index
        length = self.directives.answer_tokens
        if length == "max":
            length = self.max_tokens
        text = prose(seed)
        if length is not None:
            text = prose_of(seed, min(int(length), LONGEST_ANSWER))
        return self.cut(text)

    def cut(self, text: str, thinking: str = "") -> Choice:
        """A choice of this text, ended by a stop word or by max_tokens."""
        for word in self.stop:
            if word and word in text:
                text = text[: text.index(word)]
        thought, said = count(thinking), count(text)
        if self.max_tokens is None or thought + said <= self.max_tokens:
            return Choice(text, thought + said, "stop", thinking)
        thought = min(thought, self.max_tokens)
        said = self.max_tokens - thought
        return Choice(
            text=text[: said * CHARACTERS_PER_TOKEN],
            tokens=thought + said,
            finish_reason="length",
            thinking=thinking[: thought * CHARACTERS_PER_TOKEN],
        )


def chat_choices(body: dict[str, Any], prompt: str, directives: Directives) -> list[Choice]:
    """The choices of a chat request."""
    wish = Wish.of(body, prompt, directives)
    function = _called_function(body)
    return [_chat_choice(body, wish, function, index) for index in range(body.get("n") or 1)]


def _chat_choice(
    body: dict[str, Any], wish: Wish, function: dict[str, Any] | None, index: int
) -> Choice:
    if function is not None:
        return _tool_call(function, wish, index)
    response_format = body.get("response_format") or {}
    if response_format.get("type", "text") != "text":
        return wish.cut(_json_text(response_format, wish.seed + index))
    choice = wish.prose(index)
    if body.get("prompt_mode") or body.get("reasoning_effort") not in {None, "none"}:
        return wish.cut(choice.text, prose_of(wish.seed + index + 1, THINKING_TOKENS))
    return choice


def _json_text(response_format: dict[str, Any], seed: int) -> str:
    json_schema = response_format.get("json_schema")
    value = value_for(json_schema["schema"], seed) if json_schema else {"answer": prose(seed)}
    return orjson.dumps(value).decode()


def _called_function(body: dict[str, Any]) -> dict[str, Any] | None:
    """The function that the model decides to call.

    "any", "required" or a function's name force a call. "auto" calls the first function whose name
    stands in the last message, if a user wrote it.
    """
    functions: list[dict[str, Any]] = [
        tool["function"] for tool in body.get("tools") or () if "function" in tool
    ]
    choice = body.get("tool_choice") or "auto"
    if not functions or choice == "none":
        return None
    if isinstance(choice, dict):
        wanted = choice["function"]["name"]
        return next((each for each in functions if each["name"] == wanted), None)
    if choice in {"any", "required"}:
        return functions[0]
    last = body["messages"][-1]
    if last.get("role") != "user":
        return None
    text = text_of(last.get("content"))
    return next((each for each in functions if each["name"] in text), None)


def _tool_call(function: dict[str, Any], wish: Wish, index: int) -> Choice:
    seed = wish.seed + index
    arguments = orjson.dumps(value_for({"type": "object", **function["parameters"]}, seed)).decode()
    tokens = count(function["name"]) + count(arguments)
    reason = "tool_calls"
    if wish.max_tokens is not None and tokens > wish.max_tokens:
        room = max(0, wish.max_tokens - count(function["name"]))
        arguments = arguments[: room * CHARACTERS_PER_TOKEN]
        tokens, reason = wish.max_tokens, "length"
    call = {
        "id": short_id(seed),
        "function": {"name": function["name"], "arguments": arguments},
        "index": 0,
    }
    return Choice("", tokens, reason, tool_call=call)
