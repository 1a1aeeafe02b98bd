"""POST /v1/fim/completions: code between a prompt and a suffix.

Refuses models without that capability.
"""

from aisuru_mistral.simulator import schemas, tokens
from aisuru_mistral.simulator.admission import admitted_model
from aisuru_mistral.simulator.catalogue import FIM
from aisuru_mistral.simulator.completions import Completion
from aisuru_mistral.simulator.generation import Wish
from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.wire import Reply, StreamReply


def complete(call: Call) -> Reply | StreamReply:
    """Fill in the middle."""
    body = call.body
    model = admitted_model(call, body["model"], FIM)
    if isinstance(model, Reply):
        return model
    prompt = tokens.render_fim(body["prompt"], body.get("suffix") or "")
    if tokens.rendered_tokens(prompt) > model.context:
        return call.refuse("prompt_too_large", model=body["model"])
    completion = Completion(
        call=call,
        model=model,
        requested_model=body["model"],
        prompt=prompt,
        choices=[Wish.of(body, prompt, call.directives).prose(0)],
    )
    return completion.reply(stream=body["stream"], cache_key=body.get("prompt_cache_key"))


ROUTES = (Route("POST", "/v1/fim/completions", complete, "inference", schema=schemas.FIM),)
