"""The most that a request can use, read from its body: what is held is never less than the bill.

Everything here is an upper bound with a reason, or else it is said to be none and the difference is
posted as excess: the output of a request without a cap, and the pages of a document that is
elsewhere. What a request must not say is refused; what is merely wrong is Mistral's to judge.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tenants.common.problems import Invalid
from tenants.gateway.endpoints import Endpoint, Kind
from tenants.registry.snapshots import ModelFacts
from tenants.spend.pricing import TEMPLATE_TOKENS, Bound

type Document = Mapping[str, Any]

#: Mistral transcribes up to three hours at once (docs, audio transcription).
LONGEST_RECORDING = 3 * 3600
#: Speech of every common codec takes more bytes in a second.
BYTES_OF_A_SECOND = 500
#: Mistral reads documents of up to a thousand pages (docs, OCR).
MOST_PAGES = 1000
_BYTES_OF_A_PAGE = 64
_MOST_CHOICES = 128
_LARGEST_COUNT = 2**31 - 1
_TEXT_PARTS = frozenset({"text", "thinking", "input_text", "output_text", "reasoning_text"})
_PAGE_RANGE = re.compile(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?", re.ASCII)


def bound_of(endpoint: Endpoint, document: Document, model: ModelFacts, length: int) -> Bound:
    """Bound a request by its body, which is ``length`` bytes long.

    Raises:
        Invalid: a member that bounds it is of the wrong type.
    """
    return _BOUNDS[endpoint.kind](document, model, length)


def is_plain(messages: object) -> bool:
    """Tell whether messages consist of text alone."""
    return all(_kind(part) in _TEXT_PARTS for part in _parts(messages))


def looks_up(document: Document) -> bool:
    """Tell whether there are tools that bring text of their own into the context."""
    tools = document.get("tools")
    return isinstance(tools, list) and any(_kind(tool) != "function" for tool in tools)


def count(document: Document, name: str, most: int = _LARGEST_COUNT) -> int | None:
    """Read a member that is a whole number; None when absent.

    Raises:
        Invalid: it is something else, or beyond ``most``.
    """
    value = document.get(name)
    if value is None:
        return None
    if type(value) is not int or value > most:
        raise Invalid.field(
            f"/{name}", "invalid_value", f"`{name}` is a whole number up to {most}."
        )
    return value


def _chat(document: Document, model: ModelFacts, length: int) -> Bound:
    bound = Bound(
        length,
        context_length=model.context_length,
        max_tokens=count(document, "max_tokens"),
        choices=max(count(document, "n", _MOST_CHOICES) or 1, 1),
    )
    parts = [part for part in _parts(document.get("messages")) if _kind(part) not in _TEXT_PARTS]
    if parts or looks_up(document):
        return replace(bound, unbounded_input=True, audio_seconds=_seconds(parts))
    return bound


def _texts(_document: Document, _model: ModelFacts, length: int) -> Bound:
    # Each text has a context of its own: only the bytes bound them together.
    return Bound(length, context_length=length + TEMPLATE_TOKENS, generates=False)


def _responses(document: Document, model: ModelFacts, length: int) -> Bound:
    return Bound(
        length,
        unbounded_input=not is_plain(document.get("input")) or looks_up(document),
        context_length=model.context_length,
        max_tokens=count(document, "max_output_tokens"),
    )


def _ocr(document: Document, _model: ModelFacts, length: int) -> Bound:
    pages = _pages(document)
    is_annotated = any(
        isinstance(wanted := document.get(name), dict) and wanted.get("type", "text") != "text"
        for name in ("bbox_annotation_format", "document_annotation_format")
    )
    return Bound(
        length,
        context_length=0,
        generates=False,
        pages=0 if is_annotated else pages,
        annotated_pages=pages if is_annotated else 0,
    )


def _speech(document: Document, _model: ModelFacts, length: int) -> Bound:
    text = document.get("input")
    characters = len(text) if isinstance(text, str) else 0
    return Bound(length, context_length=0, generates=False, characters=characters)


def _unknown(_document: Document, model: ModelFacts, length: int) -> Bound:
    return Bound(length, unbounded_input=True, context_length=model.context_length)


def _nothing(_document: Document, _model: ModelFacts, length: int) -> Bound:
    return Bound(length, context_length=0, generates=False)


_BOUNDS: Mapping[Kind, Callable[[Document, ModelFacts, int], Bound]] = {
    Kind.CHAT: _chat,
    Kind.TEXTS: _texts,
    Kind.OCR: _ocr,
    Kind.SPEECH: _speech,
    Kind.RESPONSES: _responses,
    Kind.COUNT: _nothing,
    Kind.NEW: _unknown,
}


def _parts(messages: object) -> Iterator[object]:
    """Give the parts of every message whose content is no plain text."""
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            yield from content


def _kind(part: object) -> str:
    kind = part.get("type", "function") if isinstance(part, dict) else None
    return kind if isinstance(kind, str) else ""


def _seconds(parts: list[object]) -> int:
    """Bound the recordings among the parts of a chat."""
    total = 0
    for part in parts:
        if isinstance(part, dict) and part.get("type") == "input_audio":
            sound = part.get("input_audio")
            inline = isinstance(sound, str) and not sound.startswith(("http://", "https://"))
            total += seconds_of(len(str(sound)) if inline else None)
    return min(total, _LARGEST_COUNT)


def seconds_of(size: int | None) -> int:
    """Bound how long a recording of so many bytes can be; None: nobody knows how many."""
    if size is None:
        return LONGEST_RECORDING
    return min(-(-size // BYTES_OF_A_SECOND), LONGEST_RECORDING)


def _pages(document: Document) -> int:
    """Bound the pages: what is chosen, else what a document of this size may have."""
    chosen = document.get("pages")
    if isinstance(chosen, list):
        return min(len(chosen), MOST_PAGES)
    if isinstance(chosen, str):
        ranges = [_PAGE_RANGE.fullmatch(part) for part in chosen.split(",")[:MOST_PAGES]]
        if all(ranges):
            spans = [int(one[2] or one[1]) - int(one[1]) + 1 for one in ranges if one]
            return min(sum(max(span, 0) for span in spans), MOST_PAGES)
    source = document.get("document")
    if not isinstance(source, dict):
        return MOST_PAGES
    if source.get("type") == "image_url":
        return 1
    url = source.get("document_url")
    if isinstance(url, str) and url.startswith("data:"):
        return min(len(url) // _BYTES_OF_A_PAGE + 1, MOST_PAGES)
    return MOST_PAGES
