"""Decides whether a model may be called by a key right now; refuses to answer in its place.

The order is Mistral's as far as it is known: the model, the plan, the money, the rate.
"""

from aisuru_mistral.simulator.catalogue import Model
from aisuru_mistral.simulator.limits import RateLimits
from aisuru_mistral.simulator.routing import Call
from aisuru_mistral.simulator.wire import Reply


def admitted_model(call: Call, name: str, *capabilities: str, family: str = "") -> Model | Reply:
    """The model, or the refusal that answers instead; an admitted request is counted.

    The model must have one of the capabilities, or be of the family. A call that may not happen
    leaves no trace in windows and bill.
    """
    key = call.key
    call.request.model = name
    model = call.state.catalogue.find(key.organization, name)
    if model is None or not _fits(model, capabilities, family) or model.card.get("archived"):
        return call.refuse("model_unknown", model=name)
    refusal = _refusal_by_plan(call, model)
    if refusal is not None:
        return call.refuse(refusal, model=name)
    if model.id in key.organization.zero_quota_models:
        reply = call.refuse("rate_limited")
        reply.headers += RateLimits.no_quota_headers()
        return reply
    if not call.batch and not call.state.rate_limits.admit(key):
        reply = call.refuse("rate_limited")
        reply.headers += call.state.rate_limits.headers(key, 0)
        return reply
    return model


def _refusal_by_plan(call: Call, model: Model) -> str | None:
    organization = call.key.organization
    if model.id in organization.denied_models:
        return "model_tier_denied"
    if model.labs and not organization.labs:
        return "labs_not_enabled"
    if call.state.has_overspent(call.key):
        return "workspace_spending_limit"
    return None


def _fits(model: Model, capabilities: tuple[str, ...], family: str) -> bool:
    return model.family == family or any(model.can(capability) for capability in capabilities)
