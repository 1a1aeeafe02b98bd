"""POST /v1/ocr: pages of made-up text; refuses to fetch a document.

How many pages a document has is written in documents.py. `pages` chooses among them ("0-2,5" or
[0, 2]); those are the pages processed. With any annotation format each of them is an annotated
page, and none a plain one, on the bill. Without a model it is mistral-ocr-latest.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from aisuru_mistral.simulator import documents, schemas
from aisuru_mistral.simulator.admission import admitted_model
from aisuru_mistral.simulator.documents import Document
from aisuru_mistral.simulator.resources import invalid, missing
from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.text import prose, seed_of, value_for
from aisuru_mistral.simulator.validation import (
    REQUIRED,
    boolean,
    either,
    integer,
    list_of,
    nullable,
    one_of,
    record,
    string,
    tagged,
)
from aisuru_mistral.simulator.wire import Header, Reply, json_reply

DEFAULT_MODEL = "mistral-ocr-latest"
SHOWN_PAGES = 1_000_000
DIMENSIONS = {"dpi": 200, "height": 2200, "width": 1700}
# A very small picture: what OCR cuts out of a page.
_IMAGE = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="
_CORNERS = {"top_left_x": 100, "top_left_y": 100, "bottom_right_x": 600, "bottom_right_y": 400}

BODY = record(
    {
        "id": (string, None),
        "model": (nullable(string), REQUIRED),
        "document": (
            tagged(
                "type",
                {
                    "file": schemas.chunk("file", file_id=string),
                    "document_url": schemas.DOCUMENT_URL,
                    "image_url": schemas.chunk(
                        "image_url",
                        image_url=either({"ImageURL": schemas.IMAGE_URL, "str": string}),
                    ),
                },
            ),
            REQUIRED,
        ),
        "pages": (nullable(either({"str": string, "list[int]": list_of(integer(least=0))})), None),
        "include_image_base64": (nullable(boolean), None),
        "image_limit": (nullable(integer()), None),
        "image_min_size": (nullable(integer()), None),
        "bbox_annotation_format": (nullable(schemas.RESPONSE_FORMAT), None),
        "document_annotation_format": (nullable(schemas.RESPONSE_FORMAT), None),
        "document_annotation_prompt": (nullable(string), None),
        "table_format": (nullable(one_of("markdown", "html")), None),
        "extract_header": (boolean, False),
        "extract_footer": (boolean, False),
        "include_blocks": (boolean, True),
        "confidence_scores_granularity": (nullable(one_of("word", "page", "block")), None),
    }
)


def read_document(call: Call) -> Reply:
    """Read the document."""
    body = call.body
    name = body["model"] or DEFAULT_MODEL
    model = admitted_model(call, name, "ocr")
    if isinstance(model, Reply):
        return model
    document = _document(call, body["document"])
    if isinstance(document, Reply):
        return document
    chosen = _chosen(body.get("pages"), document.pages)
    if chosen is None:
        return invalid("Invalid page range", param="pages")
    line = call.line(model.id)
    line.calls += 1
    if _annotates(body):
        line.annotated_pages += len(chosen)
    else:
        line.pages += len(chosen)
    payload = {
        "pages": [_page(body, index) for index in chosen],
        "model": name,
        "document_annotation": _annotation(body.get("document_annotation_format")),
        "usage_info": {"pages_processed": len(chosen), "doc_size_bytes": document.size},
    }
    reply = json_reply(200, payload)
    reply.headers = _headers(len(chosen))
    return reply


def _document(call: Call, given: dict[str, Any]) -> Document | Reply:
    if given["type"] == "file":
        file = call.state.files.find(call.key, given["file_id"])
        if file is None:
            return missing("File", given["file_id"])
        return documents.measured(call, file.name, file.data)
    url = given.get("document_url") or given.get("image_url")
    if isinstance(url, dict):
        url = url["url"]
    return documents.measured(call, str(url), None)


def _chosen(pages: str | list[int] | None, count: int) -> list[int] | None:
    """The pages to read, in their order; None when the choice cannot be read or is empty."""
    if pages is None:
        return list(range(count))
    if isinstance(pages, list):
        wanted: Iterable[int] = pages
    else:
        ranges = [part.strip().partition("-") for part in pages.split(",")]
        if not all(first.isdecimal() and (last or first).isdecimal() for first, _, last in ranges):
            return None
        # Bounded by the document: a range may say anything.
        wanted = (
            index
            for first, _, last in ranges
            for index in range(int(first), min(int(last or first), count - 1) + 1)
        )
    return sorted({index for index in wanted if index < count}) or None


def _annotates(body: dict[str, Any]) -> bool:
    formats = (body.get("document_annotation_format"), body.get("bbox_annotation_format"))
    return any(given is not None and given["type"] != "text" for given in formats)


def _annotation(response_format: dict[str, Any] | None) -> str | None:
    if response_format is None or response_format["type"] == "text":
        return None
    schema = (response_format.get("json_schema") or {}).get("schema", {"type": "object"})
    return orjson.dumps(value_for(schema, 0)).decode()


def _page(body: dict[str, Any], index: int) -> dict[str, Any]:
    text = prose(seed_of("page", str(index)))
    image_id = f"img-{index}.gif"
    image = {
        "id": image_id,
        **_CORNERS,
        "image_base64": _IMAGE if body.get("include_image_base64") else None,
        "image_annotation": _annotation(body.get("bbox_annotation_format")),
    }
    page = {
        "index": index,
        "markdown": f"# Page {index + 1}\n\n{text}\n\n![{image_id}]({image_id})",
        "images": [image],
        "tables": [],
        "hyperlinks": [],
        "header": f"Page {index + 1}" if body["extract_header"] else None,
        "footer": "The end" if body["extract_footer"] else None,
        "dimensions": DIMENSIONS,
        "confidence_scores": None,
    }
    if body["include_blocks"]:
        page["blocks"] = [{"type": "text", **_CORNERS, "content": text}]
    if body.get("confidence_scores_granularity"):
        page["confidence_scores"] = {
            "average_page_confidence_score": 0.98,
            "minimum_page_confidence_score": 0.9,
        }
    return page


def _headers(pages: int) -> list[Header]:
    return [
        (b"x-ratelimit-limit-ocr-pages-minute", b"%d" % SHOWN_PAGES),
        (b"x-ratelimit-remaining-ocr-pages-minute", b"%d" % (SHOWN_PAGES - pages)),
        (b"x-ratelimit-ocr-pages-query-cost", b"%d" % pages),
    ]


ROUTES = (Route("POST", "/v1/ocr", read_document, "inference", schema=BODY),)
