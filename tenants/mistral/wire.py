"""From Mistral's JSON to frozen dataclasses; extra members pass, wrong types are refused.

An error names the place and the expected type and never quotes what was there: the body may hold
the key, a prompt or an answer. Absent, zero and positive usage are three different things.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum, unique
from typing import Any, NamedTuple

import orjson

from tenants.mistral.delivered import weigh_delivered
from tenants.mistral.errors import WireError

_MAX_COUNT = 2**48
_MAX_TEXT = 512
_MAX_ROWS = 10_000
# What neither a database column nor a log line can take.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@unique
class Quantity(StrEnum):
    """Whether an answer told its usage, and whether it told of any."""

    ABSENT = "absent"
    ZERO = "zero"
    POSITIVE = "positive"


@unique
class ModelType(StrEnum):
    """Whose a model is: Mistral's, or trained by the key's organization."""

    BASE = "base"
    FINE_TUNED = "fine-tuned"


class Usage(NamedTuple):
    """The `usage` of an answer; None where Mistral did not tell.

    `prompt_tokens` contain the cached ones, but none that connectors brought in, and none of sound,
    whose seconds are billed; `completion_tokens` contain reasoning.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    prompt_audio_seconds: int | None = None
    connector_tokens: int | None = None
    connector_calls: int | None = None
    service_tier: str | None = None
    audio_tokens: int | None = None

    @property
    def untold(self) -> int:
        """What the total has beyond its parts, where both input and output are told.

        Of a recording whose seconds are told, it is the sound, unless that is told by itself.
        """
        if self.prompt_audio_seconds and self.audio_tokens is None:
            return 0
        told = (self.prompt_tokens, self.completion_tokens)
        parts = (*told, self.connector_tokens, self.audio_tokens)
        return max((self.total_tokens or 0) - sum(part or 0 for part in parts), 0)

    @property
    def is_enough(self) -> bool:
        """Whether nothing has to be estimated from what was delivered."""
        is_told = self.quantity is Quantity.POSITIVE and not self.lacks_output
        return is_told and self.prompt_audio_seconds != 0

    @property
    def lacks_prompt(self) -> bool:
        """Whether nothing tells of the input, not even a total."""
        return self.prompt_tokens is None and not (self.total_tokens or self.prompt_audio_seconds)

    @property
    def lacks_output(self) -> bool:
        """Whether nothing tells of the output, not even a total."""
        return self.completion_tokens is None and not self.total_tokens

    @property
    def quantity(self) -> Quantity:
        """Absent, zero or positive; a total alone is absent: it tells nothing that has a price."""
        counts = (
            self.prompt_tokens,
            self.completion_tokens,
            self.cached_tokens,
            self.prompt_audio_seconds,
            self.connector_tokens,
        )
        if any(counts):
            return Quantity.POSITIVE
        if self.total_tokens:
            return Quantity.ABSENT
        return Quantity.ZERO if 0 in (*counts, self.total_tokens) else Quantity.ABSENT


@dataclass(frozen=True, slots=True)
class OcrUsage:
    """The `usage_info` of an OCR answer."""

    pages_processed: int
    doc_size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What metering needs of a whole (not streamed) answer.

    `model` is the snapshot that answered, where Mistral names it. `delivered` weighs the
    text, reasoning and tool arguments that the caller received, in thirds of a token.
    """

    usage: Usage
    ocr_usage: OcrUsage | None
    model: str | None
    delivered: int


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One row of `GET /v1/models`; every alias is a row of its own, rows of one model share a name.

    `deprecated_at` may lie in the past while the model still answers. `root` is the base model of a
    fine-tuned one; `members` are the row as it came.
    """

    id: str
    type: ModelType
    name: str | None
    billing_name: str | None
    aliases: tuple[str, ...]
    capabilities: frozenset[str]
    max_context_length: int | None
    deprecated_at: datetime | None
    replacement: str | None
    root: str | None
    archived: bool
    owned_by: str | None
    members: dict[str, Any] = field(hash=False, repr=False)

    @property
    def canonical_name(self) -> str:
        """The name that all rows of one model share."""
        return self.billing_name or self.name or self.id


@dataclass(frozen=True, slots=True)
class Named:
    """Something of Mistral's that has an id and, mostly, a name."""

    id: str
    name: str | None


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a key belongs to, by `GET /v1/users/me`."""

    user_id: str
    email: str | None
    organization: Named | None
    workspace: Named | None
    api_key: Named | None


def read_json(body: bytes) -> object:
    """Parse a body.

    Raises:
        WireError: no JSON.
    """
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        broken = True
    else:
        broken = False
    # Raised here and not above: the parser's error carries the whole body.
    if broken:
        raise WireError("body", "JSON")
    return document


def read_usage(value: object, where: str = "usage") -> Usage:
    """Read a usage object of chat, embeddings, audio, conversations or responses; None is absent.

    The cached count has had three spellings, the Responses API has names of its own. Of input and
    output the one that is not told is what the other leaves of the total.

    Raises:
        WireError: wrong types, negative or absurd counts, or more cached than prompt tokens.
    """
    if value is None:
        return Usage()
    usage = _Object(value, where)
    prompt = usage.count("prompt_tokens", "input_tokens")
    cached = _read_detail(usage, "cached_tokens")
    if cached is None:
        cached = usage.count("num_cached_tokens")
    audio = _read_detail(usage, "audio_tokens")
    if cached is not None and prompt is not None and cached > prompt:
        raise WireError(f"{where}.cached_tokens", "at most prompt_tokens")
    completion = usage.count("completion_tokens", "output_tokens")
    total, connectors = usage.count("total_tokens"), usage.count("connector_tokens")
    if total and (prompt is None) is not (completion is None):
        left = total - (prompt or 0) - (completion or 0) - (connectors or 0) - (audio or 0)
        if left > 0:
            prompt, completion = (left, completion) if prompt is None else (prompt, left)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total,
        cached_tokens=cached,
        prompt_audio_seconds=usage.count("prompt_audio_seconds"),
        connector_tokens=connectors,
        connector_calls=_read_connectors(usage),
        service_tier=usage.text("service_tier"),
        audio_tokens=audio,
    )


def read_answer(body: bytes) -> Answer:
    """Read what metering needs of a whole answer of any inference endpoint.

    Raises:
        WireError: no JSON object, or a usage of a wrong shape.
    """
    answer = _Object(read_json(body), "body")
    ocr = answer.part("usage_info")
    return Answer(
        usage=read_usage(answer.member("usage")),
        ocr_usage=OcrUsage(ocr.required_count("pages_processed"), ocr.count("doc_size_bytes"))
        if ocr
        else None,
        model=answer.text("model"),
        delivered=weigh_delivered(answer.members),
    )


def read_models(body: bytes) -> tuple[ModelRow, ...]:
    """Read the answer of `GET /v1/models`.

    Raises:
        WireError: not that shape.
    """
    return tuple(
        _read_model(_Object(row, f"data[{index}]"))
        for index, row in enumerate(_Object(read_json(body), "body").rows("data"))
    )


def read_identity(body: bytes) -> Identity:
    """Read the answer of `GET /v1/users/me`.

    Raises:
        WireError: not that shape.
    """
    user = _Object(read_json(body), "body")
    return Identity(
        user_id=user.required_text("id"),
        email=user.text("email"),
        organization=_read_named(user.part("organization")),
        workspace=_read_named(user.part("workspace")),
        api_key=_read_named(user.part("api_key")),
    )


def _read_detail(usage: "_Object", what: str) -> int | None:
    """Find a count of some of the input under the first spelling of its details that tells one."""
    for name in ("prompt_tokens_details", "prompt_token_details", "input_tokens_details"):
        details = usage.part(name)
        told = details.count(what) if details else None
        if told is not None:
            return told
    return None


def _read_connectors(usage: "_Object") -> int | None:
    """Add up how often each connector was called."""
    connectors = usage.part("connectors")
    if connectors is None:
        return None
    return sum(connectors.count(name) or 0 for name in connectors.members)


def _read_model(row: "_Object") -> ModelRow:
    root = row.text("root")
    capabilities = row.part("capabilities")
    identifier = row.required_text("id")
    # A published sample spells the member TYPE, so the id and the root decide as well.
    tuned = row.text("type") == ModelType.FINE_TUNED or identifier.startswith("ft:") or bool(root)
    return ModelRow(
        id=identifier,
        type=ModelType.FINE_TUNED if tuned else ModelType.BASE,
        name=row.text("name"),
        billing_name=row.text("billing_model_name"),
        aliases=row.texts("aliases"),
        capabilities=capabilities.flags() if capabilities else frozenset(),
        max_context_length=row.count("max_context_length"),
        deprecated_at=row.instant("deprecation"),
        replacement=row.text("deprecation_replacement_model"),
        root=root,
        archived=row.flag("archived"),
        owned_by=row.text("owned_by"),
        members=row.members,
    )


def _read_named(value: "_Object | None") -> Named | None:
    return Named(value.required_text("id"), value.text("name")) if value else None


class _Object:
    """A JSON object and its place, read member by member; null and absent are the same."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise WireError(where, "an object")
        self.members: dict[str, Any] = value
        self._where = where

    def member(self, name: str) -> object:
        return self.members.get(name)

    def part(self, name: str) -> "_Object | None":
        value = self.members.get(name)
        return None if value is None else _Object(value, self._place(name))

    def rows(self, name: str) -> list[object]:
        value = self.members.get(name)
        if not isinstance(value, list) or len(value) > _MAX_ROWS:
            raise WireError(self._place(name), f"a list of at most {_MAX_ROWS}")
        return value

    def text(self, name: str) -> str | None:
        value = self.members.get(name)
        return None if value is None else self._checked(value, name)

    def required_text(self, name: str) -> str:
        return self._checked(self.members.get(name) or None, name)

    def texts(self, name: str) -> tuple[str, ...]:
        if self.members.get(name) is None:
            return ()
        return tuple(self._checked(value, name) for value in self.rows(name))

    def count(self, *names: str) -> int | None:
        """Read the first of these members that is there, a count."""
        for name in names:
            value = self.members.get(name)
            if value is not None:
                if type(value) is not int or not 0 <= value <= _MAX_COUNT:
                    raise WireError(self._place(name), "a count")
                return value
        return None

    def required_count(self, name: str) -> int:
        value = self.count(name)
        if value is None:
            raise WireError(self._place(name), "a count")
        return value

    def flag(self, name: str) -> bool:
        value = self.members.get(name)
        if value is not None and not isinstance(value, bool):
            raise WireError(self._place(name), "true or false")
        return bool(value)

    def flags(self) -> frozenset[str]:
        """Read an object of switches: the names of those that are on."""
        return frozenset(
            self._checked(name, "name") for name, value in self.members.items() if value is True
        )

    def instant(self, name: str) -> datetime | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            instant = None
        if instant is None:
            raise WireError(self._place(name), "an ISO 8601 instant")
        return instant if instant.tzinfo else instant.replace(tzinfo=UTC)

    def _checked(self, value: object, name: str) -> str:
        if not isinstance(value, str) or len(value) > _MAX_TEXT or _CONTROL.search(value):
            raise WireError(self._place(name), f"text of at most {_MAX_TEXT} characters")
        return value

    def _place(self, name: str) -> str:
        return f"{self._where}.{name}"
