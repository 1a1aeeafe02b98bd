"""POST /v1/moderations and /v1/chat/moderations: a text is about a category when it names it.

Refuses models that do not moderate. A chat is judged as one text: its messages, one after the
other; its tokens are the sum of theirs.
"""

from typing import Any

import uuid_utils

from aisuru_mistral.simulator import schemas
from aisuru_mistral.simulator.admission import admitted_model
from aisuru_mistral.simulator.inputs import billed_reply, chat_texts, texts_of
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


def moderate_chats(call: Call) -> Reply:
    """Judge each chat."""
    model = admitted_model(call, call.body["model"], "moderation", family="moderation")
    if isinstance(model, Reply):
        return model
    given: list[Any] = call.body["input"]
    chats = given if given and isinstance(given[0], list) else [given]
    texts = [chat_texts(chat) for chat in chats]
    payload = {
        "id": uuid_utils.uuid4().hex,
        "model": call.body["model"],
        "results": [_judged(" ".join(each)) for each in texts],
    }
    return billed_reply(call, model, [text for each in texts for text in each], payload)


def _judged(text: str) -> dict[str, dict[str, bool] | dict[str, float]]:
    words = text.lower()
    flags = {category: category.split("_", 1)[0] in words for category in CATEGORIES}
    scores = {
        category: CERTAIN if flag else (seed_of(category, text) % 1000) / 100_000
        for category, flag in flags.items()
    }
    return {"categories": flags, "category_scores": scores}


ROUTES = (
    Route("POST", "/v1/moderations", moderate, "inference", schema=schemas.CLASSIFICATION),
    Route(
        "POST",
        "/v1/chat/moderations",
        moderate_chats,
        "inference",
        schema=schemas.CHAT_MODERATION,
    ),
)
