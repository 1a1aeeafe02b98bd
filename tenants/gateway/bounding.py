"""The most that a request can use, read from its body: what is held is never less than the bill.

Everything here is an upper bound with a reason: what the bytes allow where they bound anything, and
else the most that Mistral takes. Only the output of a request without a cap has none: there the
difference is posted as excess. What a request must not say is refused; what is merely wrong is
Mistral's to judge.
"""

import base64
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tenants.common.problems import Invalid
from tenants.gateway import contents, media
from tenants.gateway.endpoints import Endpoint, Kind
from tenants.registry.snapshots import ModelFacts
from tenants.spend.pricing import LONGEST_CONTEXT, TEMPLATE_TOKENS, Bound

type Document = Mapping[str, Any]

#: Mistral transcribes up to three hours at once (docs, audio transcription).
LONGEST_RECORDING = 3 * 3600
#: Mistral reads documents of up to a thousand pages (docs, OCR).
MOST_PAGES = 1000
_MOST_SPANS = 10_000
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_PICTURE_ADDRESS = re.compile(r"data:image/(?:png|jpeg|jpg);base64,", re.ASCII)
#: Readers of PDF look for its beginning some way into a file; a PNG may be animated, a JPEG may
#: hold more pictures behind its first.
_MORE_THAN_ONE = re.compile(rb"%PDF|acTL|MPF\0")
_SOURCES = frozenset({"document_url", "image_url", "file_id"})
_DATA_ADDRESS = re.compile(r"data:[\w.+-]{1,100}/[\w.+-]{1,100};base64,", re.ASCII)
#: Letters of base64 that are decoded to see how something begins: whole groups of four.
_HEAD = 64 * 1024
_MOST_CHOICES = 128
LARGEST_COUNT = 2**31 - 1
#: Members that a model may read as values.
_VALUES = ("tools", "response_format", "text", "completion_args")
_USUAL_TIERS = (None, "default", "standard_only")
#: What is looked at, and never listened to.
_SILENT = frozenset(
    {
        "image_url",
        "input_image",
        "reference",
        "tool_reference",
        "tool.execution",
        "agent.handoff",
    }
)
_PDF = b"%PDF-"
_PAGE_RANGE = re.compile(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?", re.ASCII)


def bound_of(endpoint: Endpoint, document: Document, model: ModelFacts, length: int) -> Bound:
    """Bound a request by its body, which is ``length`` bytes long, as it came or as we write it.

    Raises:
        Invalid: a member that bounds it is of the wrong type.
    """
    return _BOUNDS[endpoint.kind](document, model, length)


def looks_up(document: Document) -> bool:
    """Tell whether there are tools that bring text of their own into the context."""
    tools = document.get("tools")
    return isinstance(tools, list) and any(_kind(tool) != "function" for tool in tools)


def count(document: Document, name: str, most: int = LARGEST_COUNT) -> int | None:
    """Read a member that is a whole number, like Mistral also as ``5.0``; None when absent.

    Raises:
        Invalid: it is something else, or beyond ``most``.
    """
    value = document.get(name)
    if value is None:
        return None
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or value > most:
        but = ", as a number, not text" if isinstance(value, str) else ""
        raise Invalid.field(
            f"/{name}", "invalid_value", f"`{name}` is a whole number up to {most}{but}."
        )
    return value


def cap_of(document: Document, name: str = "max_tokens") -> int | None:
    """Read how many tokens of output are allowed: none and fewer are no cap that Mistral knows.

    What is more than can be counted is counted as the most: the model's context ends it earlier.

    Raises:
        Invalid: it is no whole number.
    """
    cap = count(document, name, sys.maxsize)
    return None if cap is None or cap < 1 else min(cap, LARGEST_COUNT)


def _chat(document: Document, model: ModelFacts, length: int) -> Bound:
    seen = contents.look(document.get("messages"))
    others = seen.others
    bound = Bound(
        length + retold_in(document, seen),
        context_length=model.context_length,
        max_tokens=cap_of(document),
        choices=choices_of(document),
    )
    if others or looks_up(document):
        return with_others(replace(bound, unbounded_input=True), others)
    return bound


def retold_in(document: Document, seen: contents.Seen) -> int:
    """Bound by how much the values of a chat grow: its tools, and those in its messages.

    Raises:
        Invalid: they are nested too deeply.
    """
    return contents.retold(seen, *(document.get(name) for name in _VALUES))


def _texts(document: Document, model: ModelFacts, length: int) -> Bound:
    given = [document[name] for name in contents.TEXTS if name in document]
    seen = contents.look(*given)
    others = seen.others
    length += contents.retold(seen)
    # Each text has a context of its own: only the bytes bound them together.
    bound = Bound(length, context_length=length + TEMPLATE_TOKENS, generates=False)
    if not others:
        return bound
    contexts = sum(map(contents.texts_in, given)) * (model.context_length or LONGEST_CONTEXT)
    bound.context_length = min(contexts, LARGEST_COUNT + 1)
    return with_others(replace(bound, unbounded_input=True), others)


def _responses(document: Document, model: ModelFacts, length: int) -> Bound:
    seen = contents.look(document.get("input"))
    bound = Bound(
        length + retold_in(document, seen),
        unbounded_input=bool(seen.others) or looks_up(document),
        context_length=model.context_length,
        max_tokens=cap_of(document, "max_output_tokens"),
    )
    return with_others(bound, seen.others)


def _ocr(document: Document, _model: ModelFacts, length: int) -> Bound:
    pages, is_dearer = pages_of(document), is_annotated(document)
    return Bound(
        length,
        context_length=0,
        generates=False,
        pages=0 if is_dearer else pages,
        annotated_pages=pages if is_dearer else 0,
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


def _kind(part: object) -> str:
    kind = part.get("type", "function") if isinstance(part, dict) else None
    return kind if isinstance(kind, str) else ""


def choices_of(document: Document) -> int:
    """Read how many answers are asked for.

    Raises:
        Invalid: ``n`` is no whole number, or too large.
    """
    return max(count(document, "n", _MOST_CHOICES) or 1, 1)


def asks_priority(document: Document) -> bool:
    """Tell whether a call may be served, and billed, with priority: by any word but the usual."""
    return document.get("service_tier") not in _USUAL_TIERS


def with_others(bound: Bound, others: Sequence[Document]) -> Bound:
    """Widen a bound by the sounds among parts that are no text."""
    if not others:
        return bound
    heard, perhaps, spare = seconds_in(others)
    return replace(bound, audio_seconds=heard, perhaps_seconds=perhaps, spare_seconds=spare)


def seconds_in(others: Sequence[Document]) -> tuple[int, int, int]:
    """Bound the recordings among parts that are no text, and what else could be one.

    A document, a file or what nobody here knows is heard, if at all, by a model that hears. The
    third are those of the first that recordings do not last by their headers.
    """
    heard = perhaps = lasting = 0
    for part in others:
        if "input_audio" in part or part.get("type") == "input_audio":
            inline = _inline(part.get("input_audio"))
            for_sure = media.seconds_in(inline.head, inline.size) if inline else None
            likely = media.lasting(inline.head, inline.size) if inline else None
            heard += min(for_sure or LONGEST_RECORDING, LONGEST_RECORDING)
            lasting += min(likely or LONGEST_RECORDING, LONGEST_RECORDING)
        elif not _is_silent(part):
            perhaps += LONGEST_RECORDING
    heard = min(heard, LARGEST_COUNT)
    return heard, min(perhaps, LARGEST_COUNT), max(heard - lasting, 0)


def _is_silent(part: Document) -> bool:
    kind = part.get("type")
    if kind != "document_url":
        return isinstance(kind, str) and kind in _SILENT
    inline = _inline(part.get("document_url"))
    return inline is not None and inline.head.startswith(_PDF)


def pages_of(document: Document) -> int:
    """Bound the pages that OCR reads: what is chosen, else what the document can have.

    Bytes do not bound the pages of a PDF, whose objects are compressed and may be used again, nor
    those of a TIFF; and nobody knows what an address leads to. One page is only what calls itself a
    PNG or a JPEG, begins as one, and has nothing by which it could be read as more.
    """
    chosen = _chosen(document.get("pages"))
    if chosen is not None:
        return min(chosen, MOST_PAGES)
    source = document.get("document")
    return 1 if isinstance(source, dict) and _is_one_picture(source) else MOST_PAGES


def _is_one_picture(source: Document) -> bool:
    kind = source.get("type")
    if kind not in ("image_url", "document_url") or _SOURCES & source.keys() != {kind}:
        return False
    given = source[kind]
    url = given.get("url") if isinstance(given, dict) else given
    if not isinstance(url, str) or not _PICTURE_ADDRESS.match(url):
        return False
    inline = _inline(url)
    return (
        inline is not None
        and inline.head.startswith(_PICTURES)
        and _MORE_THAN_ONE.search(inline.head) is None
    )


def is_annotated(document: Document) -> bool:
    """Tell whether OCR shall annotate what it reads, which is dearer."""
    for name in ("bbox_annotation_format", "document_annotation_format"):
        wanted = document.get(name)
        if isinstance(wanted, dict) and wanted.get("type", "text") != "text":
            return True
    return False


def _chosen(pages: object) -> int | None:
    """Bound how many pages a choice names; None where it can be read as none or as all."""
    if isinstance(pages, list):
        return len(pages) if pages and all(type(page) is int for page in pages) else None
    if not isinstance(pages, str) or pages.count(",") >= _MOST_SPANS:
        return None
    total = 0
    for part in pages.split(","):
        span = _PAGE_RANGE.fullmatch(part)
        if span is None:
            return None
        total += abs(int(span[2] or span[1]) - int(span[1])) + 1
    return total


@dataclass(frozen=True, slots=True)
class _Inline:
    """What a request brings along: how it begins, and how many bytes it can have at most."""

    head: bytes
    size: int


def _inline(given: object) -> _Inline | None:
    """Read the beginning of what is given in base64, bare or as a data address; None of all else.

    An address with parameters, or with letters that are not base64's, could be read in another way:
    it is none.
    """
    if not isinstance(given, str):
        return None
    start = 0
    if given.startswith("data:"):
        found = _DATA_ADDRESS.match(given)
        if found is None:
            return None
        start = found.end()
    try:
        head = base64.b64decode(given[start : start + _HEAD], validate=True)
    except ValueError:
        return None
    return _Inline(head, (len(given) - start) * 3 // 4 + 1)
