"""What Mistral says of a batch job, and the lines of the file that it wrote.

One line is one answer: `{"custom_id", "response": {"status_code", "body"}, "error"}`. Refuses to
keep what an answer says; only what it used comes out of here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tenants.mistral.delivered import weigh_delivered
from tenants.mistral.errors import WireError
from tenants.mistral.told import read_told
from tenants.mistral.wire import Usage

OVER = frozenset({"SUCCESS", "FAILED", "TIMEOUT_EXCEEDED", "CANCELLED"})
_SUCCESS = 200
_MOST_LINES = 10_000_000
_NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job as it stands; `is_over` when nothing more will happen.

    `succeeded_requests` is how many of its lines Mistral says it has answered. `outputs` are the
    lines that came with the job itself, where it was asked for them.
    """

    status: str
    output_file: str | None
    error_file: str | None
    total_requests: int
    succeeded_requests: int = 0
    outputs: "tuple[LineFacts, ...]" = ()

    @property
    def is_over(self) -> bool:
        """Tell whether its lines are final."""
        return self.status in OVER


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What one answered line used.

    Attributes:
        usage: as Mistral told it.
        model: that answered, where Mistral names it.
        delivered: what the model has produced, in thirds of a token, where that is needed: where
            usage does not tell of all; bytes of a line that cannot be read.
        pages: that Mistral says it has read.
        listed_pages: that are in the answer of OCR; None where no list of them can be read.
        is_annotated: pages were annotated.
    """

    usage: Usage = _NO_USAGE
    model: str | None = None
    delivered: int = 0
    pages: int | None = None
    listed_pages: int | None = None
    is_annotated: bool = False


def read_job(document: object) -> JobFacts:
    """Read the description of a job.

    Raises:
        WireError: not that shape.
    """
    if not isinstance(document, dict) or not isinstance(document.get("status"), str):
        raise WireError("status", "text")
    files = [document.get(name) for name in ("output_file", "error_file")]
    output, errors = (one if isinstance(one, str) and one else None for one in files)
    rows = document.get("outputs")
    return JobFacts(
        document["status"][:32],
        output,
        errors,
        _count(document.get("total_requests")),
        _count(document.get("succeeded_requests")),
        tuple(line for line in map(_read_row, rows) if line) if isinstance(rows, list) else (),
    )


def read_line(line: bytes) -> LineFacts | None:
    """Read one line; None for one that was refused, which costs nothing."""
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        return LineFacts(delivered=len(line))
    return _read_row(document, len(line))


def _read_row(document: object, length: int = 0) -> LineFacts | None:
    response = document.get("response") if isinstance(document, dict) else None
    if not isinstance(response, dict) or response.get("status_code") != _SUCCESS:
        return None
    body = response.get("body")
    if not isinstance(body, dict):
        return LineFacts(delivered=length)
    usage = read_told(body.get("usage"))
    told, listed = body.get("usage_info"), body.get("pages")
    pages = told.get("pages_processed") if isinstance(told, dict) else None
    return LineFacts(
        usage,
        _model(body),
        0 if usage.is_enough else weigh_delivered(body),
        pages if type(pages) is int and pages >= 0 else None,
        len(listed) if isinstance(listed, list) else None,
        _is_annotated(body),
    )


def _count(value: object) -> int:
    return min(value, _MOST_LINES) if type(value) is int and value > 0 else 0


def _model(body: Mapping[str, Any]) -> str | None:
    outputs = body.get("outputs")
    for part in (body, *(outputs if isinstance(outputs, list) else ())):
        model = part.get("model") if isinstance(part, dict) else None
        if isinstance(model, str):
            return model
    return None


def _is_annotated(body: Mapping[str, Any]) -> bool:
    if body.get("document_annotation") is not None:
        return True
    pages = body.get("pages")
    for page in pages if isinstance(pages, list) else ():
        images = page.get("images") if isinstance(page, dict) else None
        for image in images if isinstance(images, list) else ():
            if isinstance(image, dict) and image.get("image_annotation") is not None:
                return True
    return False
