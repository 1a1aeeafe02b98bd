"""POST /v1/embeddings, as floats, base64 or quantised.

Refuses texts longer than the model's context.
"""

import base64
import math
import sys
from array import array

import uuid_utils

from aisuru_mistral.simulator import schemas
from aisuru_mistral.simulator.admission import admitted_model
from aisuru_mistral.simulator.inputs import billed_reply, texts_of
from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.text import seed_of
from aisuru_mistral.simulator.tokens import count
from aisuru_mistral.simulator.wire import Reply

DIMENSIONS = {"mistral-embed-2312": 1024, "codestral-embed-2505": 1536}
LARGEST_DIMENSION = 3072
_SIGNED_BYTE = 127
# One table for all vectors: a text's vector is a window of it that the text's seed chooses.
_TABLE = [math.sin(at * at * 0.618) for at in range(LARGEST_DIMENSION + 4096)]


def embed(call: Call) -> Reply:
    """One vector for each text, the same for the same text."""
    body = call.body
    model = admitted_model(call, body["model"], family="embeddings")
    if isinstance(model, Reply):
        return model
    texts = texts_of(body)
    size = body.get("output_dimension") or DIMENSIONS[model.id]
    if size > LARGEST_DIMENSION:
        return call.refuse("bad_arguments")
    if any(count(text) > model.context for text in texts):
        return call.refuse("prompt_too_large", model=body["model"])
    data = [
        {
            "object": "embedding",
            "embedding": _encoded(
                _vector(model.id, text, size), body["output_dtype"], body["encoding_format"]
            ),
            "index": index,
        }
        for index, text in enumerate(texts)
    ]
    payload = {
        "id": uuid_utils.uuid4().hex,
        "object": "list",
        "data": data,
        "model": body["model"],
    }
    return billed_reply(call, model, texts, payload)


def _vector(model_id: str, text: str, size: int) -> list[float]:
    start = seed_of(model_id, text) % (len(_TABLE) - size)
    window = _TABLE[start : start + size]
    length = math.sqrt(math.sumprod(window, window))
    return [round(value / length, 8) for value in window]


def _encoded(vector: list[float], dtype: str, encoding: str) -> list[float] | list[int] | str:
    if dtype == "float":
        return _base64(array("f", vector)) if encoding == "base64" else vector
    numbers = _quantised(vector, dtype)
    if encoding != "base64":
        return numbers
    return _base64(array("b" if dtype in {"int8", "binary"} else "B", numbers))


def _quantised(vector: list[float], dtype: str) -> list[int]:
    if dtype in {"int8", "uint8"}:
        widest = max(abs(value) for value in vector)
        offset = _SIGNED_BYTE if dtype == "uint8" else 0
        return [round(value / widest * _SIGNED_BYTE) + offset for value in vector]
    offset = _SIGNED_BYTE + 1 if dtype == "binary" else 0
    bits = "".join("1" if value > 0 else "0" for value in vector)
    return [int(bits[at : at + 8].ljust(8, "0"), 2) - offset for at in range(0, len(bits), 8)]


def _base64(numbers: "array[float] | array[int]") -> str:
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


ROUTES = (Route("POST", "/v1/embeddings", embed, "inference", schema=schemas.EMBEDDINGS),)
