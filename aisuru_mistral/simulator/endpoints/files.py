"""/v1/files: upload, list, describe, download, link and delete; refuses other workspaces' files.

A link (GET /v1/files/{id}/url) leads to the simulator itself and needs no key. Files that may not
be downloaded do not exist here.
"""

import time
from secrets import compare_digest

from aisuru_mistral.simulator.files import PURPOSES, SAMPLE_TYPES, StoredFile
from aisuru_mistral.simulator.multipart import Upload
from aisuru_mistral.simulator.resources import flag, missing, page_of, whole_number, words
from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.validation import (
    REQUIRED,
    Findings,
    Place,
    finding,
    integer,
    nullable,
    one_of,
    record,
)
from aisuru_mistral.simulator.wire import Reply, json_reply

HOUR = 3600
DEFAULT_HOURS = 24


def _upload(value: object, place: Place, findings: Findings) -> object:
    if not isinstance(value, Upload):
        text = "Value error, Expected UploadFile"
        findings.append(finding("value_error", place, text, str(type(value).__name__)))
    return value


BODY = record(
    {
        "file": (_upload, REQUIRED),
        "purpose": (one_of(*PURPOSES), "fine-tune"),
        "expiry": (nullable(integer(least=1)), None),
        "visibility": (one_of("workspace", "user"), "workspace"),
    },
    extra=True,
)


def upload(call: Call) -> Reply:
    """Keep a file."""
    body = call.body
    given: Upload = body["file"]
    expiry = body.get("expiry")
    file = StoredFile(
        name=given.name,
        data=given.data,
        purpose=body["purpose"],
        sample_type=SAMPLE_TYPES[body["purpose"]],
        content_type=given.content_type,
        visibility=body["visibility"],
        expires_at=None if expiry is None else int(time.time()) + expiry * HOUR,
    )
    call.state.files.put(call.key, file.id, file)
    return json_reply(200, file.described())


def list_files(call: Call) -> Reply:
    """The files that the query asks for, newest first."""
    found = call.state.files.all(call.key)[::-1]
    for name, field in (
        ("purpose", "purpose"),
        ("sample_type", "sample_type"),
        ("source", "source"),
        ("mimetypes", "content_type"),
    ):
        wanted = words(call, name)
        if wanted:
            found = [file for file in found if getattr(file, field) in wanted]
    for part in words(call, "search"):
        found = [file for file in found if part in file.name]
    total = len(found) if flag(call, "include_total", default=True) else None
    data = [file.described() for file in page_of(call, found)]
    return json_reply(200, {"data": data, "object": "list", "total": total})


def describe(call: Call) -> Reply:
    """One file, without its content."""
    file = call.state.files.find(call.key, call.tail)
    if file is None:
        return missing("File", call.tail)
    return json_reply(200, {**file.described(), "deleted": False})


def download(call: Call) -> Reply:
    """The content."""
    file = call.state.files.find(call.key, call.tail)
    return missing("File", call.tail) if file is None else _content(file)


def link(call: Call) -> Reply:
    """Where the content can be had without a key."""
    file = call.state.files.find(call.key, call.tail)
    if file is None:
        return missing("File", call.tail)
    host = call.sent.get(b"host", b"127.0.0.1").decode("latin-1")
    signature = file.described()["signature"]
    until = int(time.time()) + whole_number(call, "expiry", DEFAULT_HOURS) * HOUR
    url = f"http://{host}/sim/files/{file.id}?expires={until}&signature={signature}"
    return json_reply(200, {"url": url})


def follow(call: Call) -> Reply:
    """The content, for who has the link."""
    file = call.state.files.anybodys(call.tail)
    given = call.parameters.get("signature", [""])[-1]
    if file is None or not compare_digest(given, file.described()["signature"]):
        return missing("File", call.tail)
    return _content(file)


def delete(call: Call) -> Reply:
    """Forget a file."""
    if call.state.files.remove(call.key, call.tail) is None:
        return missing("File", call.tail)
    return json_reply(200, {"id": call.tail, "object": "file", "deleted": True})


def _content(file: StoredFile) -> Reply:
    return Reply(200, file.data, content_type=b"application/octet-stream")


ROUTES = (
    Route("POST", "/v1/files", upload, "resources", schema=BODY, multipart=True),
    Route("GET", "/v1/files", list_files, "resources"),
    Route("GET", "/v1/files/", describe, "resources"),
    Route("DELETE", "/v1/files/", delete, "resources"),
    Route("GET", "/v1/files/{id}/content", download, "resources"),
    Route("GET", "/v1/files/{id}/url", link, "resources"),
    Route("GET", "/sim/files/", follow, "control"),
)
