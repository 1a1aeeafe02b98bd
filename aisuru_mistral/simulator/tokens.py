"""Counts tokens by a rule that anyone can do by hand; refuses to be a tokenizer.

One token for each started 4 characters (code points) of a text, nothing for an empty one.

    prompt of a chat = 3
                     + for each message: 4 + its texts + its tool calls (name, then arguments)
                     + 256 for an image, 512 for audio, 1024 for a document or file
                     + the `tools` array as compact JSON, when there are tools
                     + 48 with `safe_prompt`
    prompt of FIM    = 3 + prompt + suffix
    embeddings, moderations = the texts, nothing else

The prompt is rendered so that each part begins at a token's boundary: a block of 64 tokens of the
prompt cache is a slice of 256 characters.
"""

import zlib
from typing import Any

import orjson

CHARACTERS_PER_TOKEN = 4
PROMPT_TOKENS = 3
MESSAGE_TOKENS = 4
SAFE_PROMPT_TOKENS = 48
ATTACHMENT_TOKENS = {
    "image_url": 256,
    "input_audio": 512,
    "document_url": 1024,
    "file": 1024,
    "reference": 0,
}

_START = "<s>".ljust(PROMPT_TOKENS * CHARACTERS_PER_TOKEN)
_SAFE = "[safe]".ljust(SAFE_PROMPT_TOKENS * CHARACTERS_PER_TOKEN)
_ROLES = {
    role: f"[{role}]".ljust(MESSAGE_TOKENS * CHARACTERS_PER_TOKEN)
    for role in ("system", "user", "assistant", "tool")
}


def count(text: str) -> int:
    """Tokens of one text."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def count_prompt(body: dict[str, Any]) -> int:
    """Prompt tokens of a chat request body, before any cache."""
    return rendered_tokens(render_chat(body))


def rendered_tokens(rendered: str) -> int:
    """Tokens of a rendered prompt, whose length is a whole number of tokens."""
    return len(rendered) // CHARACTERS_PER_TOKEN


def render_chat(body: dict[str, Any]) -> str:
    """The prompt of a chat request as one string."""
    parts = [_START]
    if body.get("safe_prompt"):
        parts.append(_SAFE)
    if body.get("tools"):
        parts.append(_padded(orjson.dumps(body["tools"]).decode()))
    for message in body["messages"]:
        parts.append(_ROLES[message.get("role", "user")])
        parts.extend(_content(message.get("content")))
        for tool_call in message.get("tool_calls") or ():
            function = tool_call["function"]
            arguments = function["arguments"]
            if not isinstance(arguments, str):
                arguments = orjson.dumps(arguments).decode()
            parts.append(_padded(function["name"]))
            parts.append(_padded(arguments))
    return "".join(parts)


def render_fim(prompt: str, suffix: str) -> str:
    """The prompt of a fill-in-the-middle request as one string."""
    return _START + _padded(prompt) + _padded(suffix)


def text_of(content: Any) -> str:
    """The plain text of a message's content, attachments and thinking left out."""
    if isinstance(content, str):
        return content
    return " ".join(chunk["text"] for chunk in content or () if chunk.get("type", "text") == "text")


def _content(content: Any) -> list[str]:
    if content is None:
        return []
    if isinstance(content, str):
        return [_padded(content)]
    parts: list[str] = []
    for chunk in content:
        kind = chunk.get("type", "text")
        if kind == "text":
            parts.append(_padded(chunk["text"]))
        elif kind == "thinking":
            thoughts = (str(inner.get("text", "")) for inner in chunk["thinking"])
            parts.extend(_padded(thought) for thought in thoughts)
        else:
            size = ATTACHMENT_TOKENS.get(kind, 0) * CHARACTERS_PER_TOKEN
            # The whole attachment is in the cached prefix: another attachment is another prefix.
            mark = f"[{kind} {zlib.crc32(orjson.dumps(chunk)):x}]"
            parts.append(mark.ljust(size)[:size])
    return parts


def _padded(text: str) -> str:
    return text + " " * (-len(text) % CHARACTERS_PER_TOKEN)
