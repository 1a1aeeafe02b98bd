"""What a caller, a key or the whole simulator may dictate about an answer.

Refuses words it does not know.

The same names serve three sources, the more specific winning: request headers (`x-sim-chunk-delay:
0.1`), the `directives` of a key, `SimulatorState.directives`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

PREFIX = b"x-sim-"
MAXIMUM_SECONDS = 600.0


class BadDirective(ValueError):  # noqa: N818 - reads as what happened
    """A directive is unknown or its value cannot be read."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Dictated usage numbers; None leaves the counted one."""

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None


@dataclass(frozen=True, slots=True)
class Directives:
    """None means that nothing is dictated.

    Attributes:
        error: name of an error or fault, or "none" to suppress the one of the key.
        delay: seconds before the answer begins.
        chunk_delay: seconds before each chunk of a stream.
        chunk_tokens: tokens in each content chunk (1).
        answer_tokens: length of the answer in tokens, or "max" for all of max_tokens.
        usage: dictated usage numbers.
        omit_usage: leave `usage` out of a stream's last chunk.
        cut_after: break the connection after so many content chunks.
        fail_after: end with finish_reason "error" and no usage after so many content chunks.
        split: send a stream in pieces of so many bytes.
        keep_alive: a comment line before every so-many-th chunk.
        service_tier: what `usage.service_tier` says ("priority" or "standard").
        pages: pages of every OCR document.
        audio_seconds: length of every recording.
        connectors: calls of built-in tools, by name.
        batch_seconds: how long a batch job created by the request takes.
        validation: shape of 422 bodies, "plain" ({"detail": …}) or "wrapped".
    """

    error: str | None = None
    delay: float | None = None
    chunk_delay: float | None = None
    chunk_tokens: int | None = None
    answer_tokens: int | str | None = None
    usage: Usage | None = None
    omit_usage: bool | None = None
    cut_after: int | None = None
    fail_after: int | None = None
    split: int | None = None
    keep_alive: int | None = None
    service_tier: str | None = None
    pages: int | None = None
    audio_seconds: int | None = None
    connectors: Mapping[str, int] | None = None
    batch_seconds: float | None = None
    validation: str | None = None

    def over(self, weaker: "Directives") -> "Directives":
        """These, completed by the weaker ones."""
        if weaker is NOTHING:
            return self
        if self is NOTHING:
            return weaker
        return dataclasses.replace(weaker, **self.given())

    def given(self) -> dict[str, Any]:
        """What is dictated, by name."""
        pairs = ((item.name, getattr(self, item.name)) for item in dataclasses.fields(self))
        return {name: value for name, value in pairs if value is not None}


NOTHING = Directives()


def from_headers(headers: Mapping[bytes, bytes]) -> Directives:
    """The directives among request headers.

    Raises:
        BadDirective: an x-sim- header is unknown or malformed.
    """
    given = {
        name[len(PREFIX) :].decode("latin-1").replace("-", "_"): value.decode("latin-1")
        for name, value in headers.items()
        if name.startswith(PREFIX)
    }
    return from_mapping(given) if given else NOTHING


def from_mapping(given: Mapping[str, Any]) -> Directives:
    """Directives from texts or JSON values.

    Raises:
        BadDirective: a name is unknown or a value malformed.
    """
    read: dict[str, Any] = {}
    for name, value in given.items():
        reader = _READERS.get(name)
        if reader is None:
            raise BadDirective(f"unknown directive {name!r}; known: {', '.join(sorted(_READERS))}")
        try:
            read[name] = None if value is None else reader(value)
        except (TypeError, ValueError) as error:
            raise BadDirective(f"directive {name!r} does not take {value!r}") from error
    return Directives(**read)


def _seconds(value: Any) -> float:
    seconds = float(value)
    if not 0 <= seconds <= MAXIMUM_SECONDS:
        raise ValueError(value)
    return seconds


def _natural(value: Any) -> int:
    number = int(value)
    if number < 0:
        raise ValueError(value)
    return number


def _positive(value: Any) -> int:
    number = int(value)
    if number < 1:
        raise ValueError(value)
    return number


def _flag(value: Any) -> bool:
    word = str(value).lower()
    if word not in {"1", "true", "0", "false"}:
        raise ValueError(value)
    return word in {"1", "true"}


def _answer_tokens(value: Any) -> int | str:
    return "max" if value == "max" else _natural(value)


def _usage(value: Any) -> Usage:
    return Usage(**_numbers(value))


def _numbers(value: Any) -> dict[str, int]:
    if isinstance(value, Mapping):
        return {str(name): _natural(number) for name, number in value.items()}
    pairs = {}
    for part in str(value).split(","):
        name, _, number = part.partition("=")
        pairs[name.strip()] = _natural(number)
    return pairs


def _one_of(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(value)
        return str(value)

    return read


_READERS: dict[str, Callable[[Any], Any]] = {
    "error": str,
    "delay": _seconds,
    "chunk_delay": _seconds,
    "chunk_tokens": _positive,
    "answer_tokens": _answer_tokens,
    "usage": _usage,
    "omit_usage": _flag,
    "cut_after": _natural,
    "fail_after": _natural,
    "split": _positive,
    "keep_alive": _positive,
    "service_tier": _one_of("standard", "priority"),
    "pages": _natural,
    "audio_seconds": _natural,
    "connectors": _numbers,
    "batch_seconds": _seconds,
    "validation": _one_of("plain", "wrapped"),
}
