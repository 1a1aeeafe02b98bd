"""POST /v1/classifications and /v1/chat/classifications: how long and how polite a text is.

Refuses models that do not classify. A chat is one text, as in moderations.
"""

from typing import Any

import uuid_utils

from aisuru_mistral.simulator import schemas
from aisuru_mistral.simulator.admission import admitted_model
from aisuru_mistral.simulator.inputs import billed_reply, chat_texts, texts_of
from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.text import seed_of
from aisuru_mistral.simulator.wire import Reply

TARGETS = {"length": ("short", "long"), "tone": ("polite", "neutral", "rude")}


def classify(call: Call) -> Reply:
    """Scores of each text."""
    return _classified(call, [[text] for text in texts_of(call.body)])


def classify_chats(call: Call) -> Reply:
    """Scores of each chat."""
    given: Any = call.body["input"]
    chats = given if isinstance(given, list) else [given]
    return _classified(call, [chat_texts(chat["messages"]) for chat in chats])


def _classified(call: Call, things: list[list[str]]) -> Reply:
    model = admitted_model(call, call.body["model"], "classification")
    if isinstance(model, Reply):
        return model
    payload = {
        "id": uuid_utils.uuid4().hex,
        "model": call.body["model"],
        "results": [_scores(" ".join(texts)) for texts in things],
    }
    return billed_reply(call, model, [text for texts in things for text in texts], payload)


def _scores(text: str) -> dict[str, Any]:
    scores = {}
    for target, labels in TARGETS.items():
        weights = [1 + seed_of(target, label, text) % 100 for label in labels]
        scores[target] = {
            "scores": {
                label: round(weight / sum(weights), 6)
                for label, weight in zip(labels, weights, strict=True)
            }
        }
    return scores


ROUTES = (
    Route("POST", "/v1/classifications", classify, "inference", schema=schemas.CLASSIFICATION),
    Route(
        "POST",
        "/v1/chat/classifications",
        classify_chats,
        "inference",
        schema=schemas.CHAT_CLASSIFICATION,
    ),
)
