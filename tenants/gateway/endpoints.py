"""The endpoints that are served, as data; a path that is not in the table does not exist here."""

from collections.abc import Mapping
from dataclasses import dataclass

_SAMPLING = ("temperature", "max_tokens")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One POST endpoint of Mistral's inference API.

    Attributes:
        path: at Mistral's, the same as here; the bill's category follows from it.
        generates: answers with tokens, which have an output cap and may be streamed. The whole
            request then has to fit into one context; elsewhere each text has its own.
        defaults: which of a model's defaults the endpoint has a member for.
    """

    path: str
    generates: bool = False
    defaults: tuple[str, ...] = ()


_ALL = (
    Endpoint("/v1/chat/completions", generates=True, defaults=(*_SAMPLING, "safe_prompt")),
    Endpoint("/v1/fim/completions", generates=True, defaults=_SAMPLING),
    Endpoint("/v1/embeddings"),
    Endpoint("/v1/moderations"),
    Endpoint("/v1/chat/moderations"),
    Endpoint("/v1/classifications"),
    Endpoint("/v1/chat/classifications"),
)

ENDPOINTS: Mapping[str, Endpoint] = {endpoint.path: endpoint for endpoint in _ALL}
MODELS = "/v1/models"
