"""The inference endpoints that are served, as data; what follows from each is read off its row."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique

_SAMPLING = ("temperature", "max_tokens")


@unique
class Kind(StrEnum):
    """By what an endpoint is bounded before a call and metered after it."""

    CHAT = "chat"  # one context in, tokens out
    TEXTS = "texts"  # texts in, each with a context of its own, and no tokens out
    OCR = "ocr"  # pages
    SPEECH = "speech"  # the characters that are read out
    RESPONSES = "responses"  # a chat in other words
    COUNT = "count"  # counts tokens, and costs nothing
    TRANSCRIPTION = "transcription"  # the seconds of a recording
    CONVERSATION = "conversation"  # a chat that Mistral keeps, and its connectors
    BATCH = "batch"  # a job: what its lines use is metered when it is over
    PLACE = "place"  # manages what is kept at Mistral, and costs nothing
    DOWNLOAD = "download"  # the same, and may be larger than memory
    NEW = "new"  # nobody here knows it, nor what it costs


#: What Mistral does for nothing, whatever the model.
FREE = frozenset({Kind.COUNT, Kind.PLACE, Kind.DOWNLOAD})
#: What Mistral's limits on a model do not count: the same, and batches.
BESIDE_MODELS = FREE | {Kind.BATCH}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One POST endpoint of Mistral's inference API.

    Attributes:
        path: at Mistral's, the same as here; the bill's category follows from it.
        kind: what bounds and what meters a call.
        defaults: which of a model's defaults the endpoint has a member for.
    """

    path: str
    kind: Kind = Kind.TEXTS
    defaults: tuple[str, ...] = ()


_ALL = (
    Endpoint("/v1/chat/completions", Kind.CHAT, (*_SAMPLING, "safe_prompt")),
    Endpoint("/v1/fim/completions", Kind.CHAT, _SAMPLING),
    Endpoint("/v1/embeddings"),
    Endpoint("/v1/moderations"),
    Endpoint("/v1/chat/moderations"),
    Endpoint("/v1/classifications"),
    Endpoint("/v1/chat/classifications"),
    Endpoint("/v1/ocr", Kind.OCR),
    Endpoint("/v1/audio/speech", Kind.SPEECH),
    Endpoint("/v1/responses", Kind.RESPONSES, ("temperature",)),
    Endpoint("/v1/responses/input_tokens", Kind.COUNT),
)

ENDPOINTS: Mapping[str, Endpoint] = {endpoint.path: endpoint for endpoint in _ALL}
MODELS = "/v1/models"
