"""POST /v1/chat/completions.

Refuses what mistral-common refuses: conversations that end in the wrong place.
"""

from typing import Any

from aisuru_mistral.simulator import audio, schemas, tokens
from aisuru_mistral.simulator.admission import admitted_model
from aisuru_mistral.simulator.catalogue import CHAT, Model
from aisuru_mistral.simulator.completions import Completion
from aisuru_mistral.simulator.generation import chat_choices
from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.wire import Reply, StreamReply

MAXIMUM_CHOICES = 128


def complete(call: Call) -> Reply | StreamReply:
    """Answer a conversation."""
    model = admitted_model(call, call.body["model"], CHAT)
    if isinstance(model, Reply):
        return model
    return answer(call, model, call.body)


def answer(call: Call, model: Model, body: dict[str, Any]) -> Reply | StreamReply:
    """What an admitted model says to a chat body."""
    messages = body["messages"]
    if not messages or (messages[-1]["role"] == "assistant" and not messages[-1].get("prefix")):
        return call.refuse("bad_message_order")
    if (body.get("n") or 1) > MAXIMUM_CHOICES:
        return call.refuse("bad_arguments")
    prompt = tokens.render_chat(body)
    if tokens.rendered_tokens(prompt) > model.context:
        return call.refuse("prompt_too_large", model=body["model"])
    completion = Completion(
        call=call,
        model=model,
        requested_model=body["model"],
        prompt=prompt,
        choices=chat_choices(body, prompt, call.directives),
        service_tier=_service_tier(call, body),
        audio_seconds=audio.seconds_in_chat(call, messages) if model.can("audio") else 0,
    )
    return completion.reply(stream=body["stream"], cache_key=body.get("prompt_cache_key"))


def _service_tier(call: Call, body: dict[str, Any]) -> str | None:
    """What usage tells.

    Nothing unless asked, priority where the organization has it and "auto" allows it.
    """
    asked = body.get("service_tier")
    if asked is None:
        return None
    return "priority" if asked == "auto" and call.key.organization.priority_tier else "standard"


ROUTES = (Route("POST", "/v1/chat/completions", complete, "inference", schema=schemas.CHAT),)
