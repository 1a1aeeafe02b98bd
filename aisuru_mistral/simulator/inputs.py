"""Bills endpoints that only read texts (embeddings, moderations); refuses those that generate.

Their usage has prompt tokens and no completion tokens.
"""

from typing import Any

from aisuru_mistral.simulator.catalogue import Model
from aisuru_mistral.simulator.directives import Usage
from aisuru_mistral.simulator.routing import Call
from aisuru_mistral.simulator.tokens import count, text_of
from aisuru_mistral.simulator.wire import Reply, json_reply


def texts_of(body: dict[str, Any]) -> list[str]:
    """The input as a list."""
    given = body["input"]
    return [given] if isinstance(given, str) else given


def chat_texts(messages: list[dict[str, Any]]) -> list[str]:
    """The texts of a chat, one for each message."""
    return [text_of(message.get("content")) for message in messages]


def billed_reply(call: Call, model: Model, texts: list[str], payload: dict[str, Any]) -> Reply:
    """Bill the texts and answer with the payload and its usage."""
    dictated = call.directives.usage or Usage()
    prompt = dictated.prompt
    if prompt is None:
        prompt = sum(count(text) for text in texts)
    line = call.line(model.id)
    line.calls += 1
    line.prompt_tokens += prompt
    call.use(prompt)
    usage = {"prompt_tokens": prompt, "total_tokens": prompt, "completion_tokens": 0}
    reply = json_reply(200, {**payload, "usage": usage})
    reply.headers = call.state.rate_limits.headers(call.key, prompt)
    return reply
