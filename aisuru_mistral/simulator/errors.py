"""Every refusal Mistral is known to give, by name, and answers that are broken on purpose.

Refuses to invent more.

`data/errors.json` is the table: name, status, body, and where it was seen. Faults are what no table
of bodies can hold: silence, a reset, half an answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from aisuru_mistral.simulator.wire import JSON, Fault, Header, Reply

DATA = Path(__file__).parent / "data" / "errors.json"

_HALF = b'{"id":"0123456789abcdef","object":"chat.completion","model":"mistral-small-latest","choi'
_GARBAGE = b"\x00\x01\xff\xfe this is not JSON \xc3\x28"
_PAGE = b"<!doctype html><title>Mistral</title><p>Please stand by"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One way of not answering; `body` holds the places {model}, {request_id}, {key}."""

    name: str
    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[Header, ...] = ()
    fault: Fault | None = None

    def reply(self, *, model: str = "", request_id: str = "", key: str = "") -> Reply:
        """The answer, its places filled in."""
        body = self.body
        if b"{" in body:
            for place, value in (("model", model), ("request_id", request_id), ("key", key)):
                body = body.replace(b"{%s}" % place.encode(), orjson.dumps(value)[1:-1])
        return Reply(
            status=self.status,
            body=body,
            content_type=self.content_type,
            headers=list(self.headers),
            fault=self.fault,
        )


def _read_row(row: Mapping[str, Any]) -> Refusal:
    text = row.get("body_text")
    return Refusal(
        name=row["name"],
        status=row["http_status"],
        body=orjson.dumps(row["body_example"]) if text is None else text.encode(),
        content_type=row.get("content_type", JSON.decode()).encode(),
        headers=tuple(
            (name.encode(), value.encode()) for name, value in row.get("headers", {}).items()
        ),
    )


ERRORS: dict[str, Refusal] = {
    row["name"]: _read_row(row) for row in orjson.loads(DATA.read_bytes())["errors"]
}
FAULTS: dict[str, Refusal] = {
    refusal.name: refusal
    for refusal in (
        Refusal("hang", 200, b"", fault="hang"),
        Refusal("reset", 200, b"", fault="reset"),
        Refusal("cut_body", 200, _HALF, fault="cut"),
        Refusal("garbage", 200, _GARBAGE),
        Refusal("cut_json", 200, _HALF),
        Refusal("empty_body", 200, b""),
        Refusal("html_page", 200, _PAGE, content_type=b"text/html"),
        Refusal("wrong_shape", 200, b'{"object":"surprise","data":{"a":[1,2,3]}}'),
    )
}
REFUSALS: dict[str, Refusal] = {**ERRORS, **FAULTS}
