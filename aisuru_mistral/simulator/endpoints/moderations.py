"""POST /v1/moderations: a text is about a category when it names it.

Refuses models that do not moderate.
"""

import uuid_utils

from aisuru_mistral.simulator import schemas
from aisuru_mistral.simulator.admission import admitted_model
from aisuru_mistral.simulator.inputs import billed_reply, texts_of
from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.text import seed_of
from aisuru_mistral.simulator.wire import Reply

# ModerationLLMV2CategoryThresholds of the OpenAPI file.
CATEGORIES = (
    "sexual",
    "hate_and_discrimination",
    "violence_and_threats",
    "dangerous",
    "criminal",
    "selfharm",
    "health",
    "financial",
    "law",
    "pii",
    "jailbreaking",
)
CERTAIN = 0.98


def moderate(call: Call) -> Reply:
    """Judge each text."""
    model = admitted_model(call, call.body["model"], "moderation", family="moderation")
    if isinstance(model, Reply):
        return model
    texts = texts_of(call.body)
    payload = {
        "id": uuid_utils.uuid4().hex,
        "model": call.body["model"],
        "results": [_judged(text) for text in texts],
    }
    return billed_reply(call, model, texts, payload)


def _judged(text: str) -> dict[str, dict[str, bool] | dict[str, float]]:
    words = text.lower()
    flags = {category: category.split("_", 1)[0] in words for category in CATEGORIES}
    scores = {
        category: CERTAIN if flag else (seed_of(category, text) % 1000) / 100_000
        for category, flag in flags.items()
    }
    return {"categories": flags, "category_scores": scores}


ROUTES = (Route("POST", "/v1/moderations", moderate, "inference", schema=schemas.CLASSIFICATION),)
