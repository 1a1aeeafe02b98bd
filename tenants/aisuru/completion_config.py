"""The JSON that AIsuru's `CompletionConfig` takes for one of our models; builds it, sends nothing.

Field names and meanings are those of the public client `@memori.ai/memori-api-client` 6.18
(`src/types.ts`). Identifiers and owners are AIsuru's to give and are never written. The Mistral key
has no place here: `api_key` is the model token of our gateway.

*Which address goes into `endPoint`.* The client says only "URL of the Completion Provider API
end-point", and what AIsuru's backend appends to it was never seen. So it ends in `/v1`, which is
right for whoever appends `/chat/completions`; for whoever appends `/v1/chat/completions`, as
Mistral's SDK does, the gateway takes `/v1/v1/…` for `/v1/…`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum, unique
from urllib.parse import urlsplit

from tenants.common.secrets import Secret


@unique
class Flavour(StrEnum):
    """Which of AIsuru's providers speaks to our gateway; the values are AIsuru's own."""

    MISTRAL = "Mistral"
    CUSTOM_OPENAI = "Custom_OpenAI"


@unique
class Purpose(StrEnum):
    """What AIsuru may use a model for."""

    QUESTION_ANSWERING = "question_answering"
    IMPORT_EXPORT = "import_export"
    DEEP_THOUGHT = "deep_thought"


_SWITCHES = {
    Purpose.QUESTION_ANSWERING: "questionAnsweringEnabled",
    Purpose.IMPORT_EXPORT: "importExportEnabled",
    Purpose.DEEP_THOUGHT: "deepThoughtEnabled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionConfig:
    """A model as AIsuru sees it; refuses what AIsuru would refuse.

    Args:
        flavour: Mistral's API, or OpenAI's as Mistral also serves it.
        name: unique among AIsuru's configurations.
        model: the Mistral model.
        gateway_url: the public root of our gateway, without `/v1`.
        purposes: at least one.
        token: the model token; None where it cannot be shown again.
        description: for people.
        context_size: tokens.
        timeout: as AIsuru counts it; its unit is not documented.
        visible_to_tenant: whether other users of the tenant may choose it.
        use_as_default: whether new agents start with it; needs `visible_to_tenant`.

    Raises:
        ValueError: no purpose, or a default that the tenant cannot see, or no http(s) address.
    """

    flavour: Flavour
    name: str
    model: str
    gateway_url: str
    purposes: Collection[Purpose]
    token: Secret[str] | None = None
    description: str = ""
    context_size: int | None = None
    timeout: int | None = None
    visible_to_tenant: bool = False
    use_as_default: bool = False

    def __post_init__(self) -> None:
        if not self.purposes:
            raise ValueError("a model needs at least one purpose")
        if self.use_as_default and not self.visible_to_tenant:
            raise ValueError("a default model must be visible to its tenant")
        if urlsplit(self.gateway_url).scheme not in {"http", "https"}:
            raise ValueError("the gateway needs an absolute http or https address")

    @property
    def end_point(self) -> str:
        """The gateway's base address, with `/v1`."""
        return self.gateway_url.rstrip("/").removesuffix("/v1") + "/v1"

    def as_json(self) -> dict[str, object]:
        """Write the object; with a token it holds its plaintext and must not be kept or logged.

        `modelName` repeats `model`: both are members of AIsuru's type.
        """
        optional: dict[str, object] = {
            "description": self.description or None,
            "contextSize": self.context_size,
            "timeout": self.timeout,
            "apiKey": self.token.reveal() if self.token else None,
        }
        return {
            "configName": self.name,
            "provider": self.flavour.value,
            "model": self.model,
            "modelName": self.model,
            "endPoint": self.end_point,
            **{switch: purpose in self.purposes for purpose, switch in _SWITCHES.items()},
            "visibleToTenantUsers": self.visible_to_tenant,
            "visibleToOtherUsers": False,
            "useAsDefault": self.use_as_default,
            **{name: value for name, value in optional.items() if value is not None},
        }
