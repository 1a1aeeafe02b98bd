"""Forms have one reading: what two readers could read in two ways is refused, and only that."""

import asyncio
import json
import shutil
import subprocess
import sys
import urllib.parse

import aiohttp
import httpx
import pytest
from mistralai.client import Mistral
from openai import OpenAI

from tenants.common.problems import Invalid
from tenants.gateway.encoded import Pairs
from tenants.gateway.multipart import Form, boundary_of
from tests.gateway import tenancy
from tests.mistral.far_side import answering

MODEL = "voxtral-mini-latest"
PATH = "/v1/audio/transcriptions"
HEARD = {
    "model": MODEL,
    "text": "x",
    "language": "it",
    "segments": [],
    "usage": {"prompt_audio_seconds": 1, "prompt_tokens": 1, "total_tokens": 1},
}
NAMED = b'Content-Disposition: form-data; name="note"'
FILE = b'Content-Disposition: form-data; name="file"; filename="a.wav"'


def read(head: bytes, content: bytes = b"abc") -> Form:
    form = Form(b"B")
    form.feed(b"--B\r\n" + head + b"\r\n\r\n" + content + b"\r\n--B--\r\n")
    assert form.is_over
    return form


@pytest.mark.parametrize(
    "head",
    [
        NAMED,
        FILE,
        NAMED + b"\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: 3",
        NAMED + b"\r\nContent-Type: text/plain;charset=ISO-8859-1\r\n"
        b"Content-Transfer-Encoding: 8bit",
        NAMED + b"\r\ncontent-type: application/json\r\nX-Other: y",
        FILE + b'\r\nContent-Type: audio/webm; codecs="opus"',
        b'Content-Disposition: form-data; name="file"; filename="c:\\a\xc3\xa8.wav"',
        b"content-disposition: form-data; name=\"file\"; filename*=utf-8''%C3%A8.wav",
        b'content-disposition: form-data; name="expires_after[anchor]"',
        # As .NET writes them.
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=model",
        b"Content-Disposition: form-data; name=file; filename=a-b.wav; filename*=utf-8''a-b.wav",
        b'Content-Disposition: form-data; name=file; filename="=?utf-8?B?w6g=?="',
        # A file is no text to whoever reads the form.
        *(
            FILE + b"\r\nContent-Type: " + told
            for told in (
                b"audio/wav; charset=binary",
                b"text/csv; charset=windows-1252",
                b"text/plain; charset=utf-16",
                b"message/rfc822",
                b"csv",
                b"*/*",
            )
        ),
        FILE + b"\r\nContent-MD5: kAFQmDzST7DWlj99KOF/cg==\r\nContent-Description: A talk"
        b"\r\nContent-Language: it",
    ],
)
def test_what_clients_write_is_read(head):
    form = read(head)
    assert len(form.fields) + len(form.files) == 1


ODD_NAMES = ["_charset_", "_CHARSET_", "Model", "model[]", "file-id", "fileId", "file_url.x"]
ODD_NAMES += ["model[0]", "FILE_ID", "file[]", "model-", "purpose_"]


@pytest.mark.parametrize(
    ("head", "content"),
    [
        *((b'content-disposition: form-data; name="%b"' % n.encode(), b"x") for n in ODD_NAMES),
        # What is a file to some, and a field to others.
        (b'content-disposition: form-data; name="file_id"; filename=""', b"x"),
        (b"content-disposition: form-data; name=\"model\"; filename*=utf-8''a", b"x"),
        (NAMED + b"\r\ncontent-type: application/octet-stream", b"x"),
        # Escapes, and words in other charsets.
        (b'content-disposition: form-data; name="file"; filename="a\\"; name=\\"model"', b"x"),
        (b'content-disposition: form-data; name="file"; filename="a\\"', b"x"),
        (b"content-disposition: form-data; name=\"file\"; filename*=punycode''a", b"x"),
        (b'content-disposition: form-data; name*0="no"; name*1="te"', b"x"),
        (b"content-disposition: form-data; name*=utf-8''note", b"x"),
        (b'content-disposition: form-data; name="n\\ote"', b"x"),
        (b'content-disposition: form-data; name="note"; name="model"', b"x"),
        (b'content-disposition: form-data; name="model', b"x"),
        (b'content-disposition: form-data; name=model"', b"x"),
        (b"content-disposition: form-data; name=fi le; filename=a", b"x"),
        (b'content-disposition: form-data; name=file; filename=a";b', b"x"),
        (b"content-disposition: form-data; name=fi\xc3\xa8le; filename=a", b"x"),
        (b'content-disposition: form-data; filename="a"; name="file"', b"x"),
        (NAMED + b"\r\ncontent-type: text/plain; charset=utf-16", b"x"),
        (NAMED + b"\r\ncontent-type: text/plain; charset=utf-7", b"x"),
        (NAMED + b"\r\ncontent-type: text/plain; charset=utf-8; charset=utf-7", b"x"),
        (NAMED + b"\r\ncontent-type: text/plain; charset=iso-8859-1", b"\xc3\xa8"),
        (FILE + b"\r\ncontent-type: multipart/mixed; boundary=c", b"x"),
        (FILE + b"\r\ncontent-type: Multipart /form-data; boundary=c", b"x"),
        (FILE + b"\r\ncontent-transfer-encoding: base64", b"x"),
        (NAMED + b"\r\ncontent-type: message/rfc822", b"x"),
        # Heads that say more than what they are.
        (NAMED + b'\r\n;\r\n name="model"', b"x"),
        (NAMED + b"\r\n x: y", b"x"),
        (NAMED + b"\r\nx\0: y", b"x"),
        (NAMED + b"\r\ncontent-type: text/plain\r\ncontent-type: text/html", b"x"),
        (NAMED + b"\r\ncontent-encoding: gzip", b"x"),
        (NAMED + b"\r\ncontent-transfer-encoding: quoted-printable", b"x"),
        (NAMED + b"\r\ncontent-length: 1", b"abc"),
        (NAMED + b"\r\ncontent-length: 0x3", b"abc"),
        (FILE + b"\r\ncontent-length: 2", b"abc"),
        # Boundaries after half a line break, or none.
        (NAMED, b"a\n--B\r\n"),
        (NAMED, b"a\r--B\r\n"),
        (FILE, b"a\n--B\n" + NAMED + b"\n\nx"),
        (FILE, b"--B\r\n" + NAMED),
        (FILE, b"--B--"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(head, content):
    with pytest.raises(Invalid):
        read(head, content)


@pytest.mark.parametrize(
    ("head", "why"),
    [
        # As Go writes a quotation mark, and a name that ends in a backslash.
        (b'Content-Disposition: form-data; name="file"; filename="a\\"q.txt"', "escaped quotation"),
        (b'Content-Disposition: form-data; name="file"; filename="a\\\\"', "ends in a backslash"),
        (b'Content-Disposition: form-data; name="no\\"te"', "no plain name"),
        *(
            (b'Content-Disposition: form-data; name="file"\r\nContent-Type: ' + told, "`filename`")
            for told in (b"application/octet-stream", b"text/html", b"csv")
        ),
    ],
)
def test_a_refusal_names_what_a_client_can_mend(head, why):
    with pytest.raises(Invalid, match=why):
        read(head)


def test_a_boundary_inside_of_a_line_is_content_however_the_form_is_cut():
    content = b"-" * 7 + b"x--B" * 50 + b"--" + b"y\r\n-B\r\n--" + b"-B" * 9
    body = b"--B\r\n" + FILE + b"\r\n\r\n" + content + b"\r\n--B--"
    for size in (1, 2, 3, 5, 7, len(body)):
        seen = bytearray()
        form = Form(b"B", seen.extend)
        for start in range(0, len(body), size):
            form.feed(body[start : start + size])
        assert (form.is_over, bytes(seen)) == (True, content)


@pytest.mark.parametrize("near", [b"-", b"\n--", b"x---"])
def test_a_file_that_is_all_boundaries_takes_no_step_for_each(near):
    calls: list[object] = []

    def count(_frame: object, event: str, called: object) -> None:
        if event == "c_call":
            calls.append(called)

    form = Form(b"-")
    form.feed(b"---\r\n" + FILE + b"\r\n\r\nx")
    content = near * (1024 * 1024 // len(near))
    sys.setprofile(count)
    try:
        for start in range(0, len(content), 65_536):
            form.feed(content[start : start + 65_536])
    finally:
        sys.setprofile(None)
    assert len(calls) < 1000


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=b; charset=punycode",
        "multipart/form-data; boundary=b; Charset=utf-7",
        "multipart/form-data; boundary=b; charset*=utf-8''punycode",
        "multipart/form-data; charset=utf-8; boundary=b; charset=punycode",
        "multipart/form-data; boundary=b; charset=us-ascii",
        "application/x-www-form-urlencoded; charset=utf-16",
        "application/json; charset=us-ascii; charset=utf-16",
        "application/json; charset=utf-16",
    ],
)
def test_no_charset_but_utf_8_is_taken(scripted, made_up, content_type):
    tenant = tenancy.make(made_up, mistral_model=MODEL)
    before = len(scripted.far_side.requests)
    for path in (PATH, "/v1/files", "/v1/chat/completions"):
        refused = httpx.post(
            f"{scripted.url}{path}",
            content=b"{}",
            headers=tenant.headers | {"content-type": content_type},
            trust_env=False,
            timeout=30,
        )
        assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_charset")
    assert len(scripted.far_side.requests) == before


@pytest.mark.parametrize("charset", ["us-ascii", "ISO-8859-1", '"Us-Ascii"'])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/conversations"])
def test_json_may_tell_another_charset_if_it_is_ascii(scripted, made_up, path, charset):
    """Mistral is not told of it: a body that is written anew need not be ASCII any more."""
    tenant = tenancy.make(made_up)
    scripted.script = answering(200, {"conversation_id": "conv-9", "choices": [], "outputs": []})
    headers = tenant.headers | {"content-type": f"application/json; charset={charset}"}

    def send(body: bytes) -> httpx.Response:
        return httpx.post(
            f"{scripted.url}{path}", content=body, headers=headers, trust_env=False, timeout=30
        )

    assert send(b'{"messages": [], "inputs": "\\u00e8"}').is_success
    assert json.loads(scripted.received.body)["inputs"] == "è"
    assert scripted.received.headers["content-type"] == "application/json"
    refused = send('{"messages": [], "inputs": "è"}'.encode())
    assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_charset")


@pytest.mark.parametrize(
    ("told", "passed"),
    [
        ("multipart/form-data; boundary=b; charset=utf-8", "multipart/form-data; boundary=b"),
        # As many clients in Java and C# write it.
        ("multipart/form-data; charset=UTF-8; boundary=b", "multipart/form-data; boundary=b"),
        ('multipart/form-data;charset="utf-8";boundary="b"', "multipart/form-data; boundary=b"),
        ('Multipart/Form-Data;boundary="b"', "multipart/form-data; boundary=b"),
        ('multipart/form-data; boundary="=_b:"', 'multipart/form-data; boundary="=_b:"'),
    ],
)
def test_of_the_type_of_a_form_only_its_boundary_goes_on(scripted, made_up, told, passed):
    tenant = tenancy.make(made_up, mistral_model=MODEL)
    scripted.script = answering(200, HEARD)
    boundary = boundary_of(told.encode())
    part = b"--%b\r\n" % boundary
    body = part + FILE + b"\r\n\r\nx\r\n--%b--\r\n" % boundary
    answer = httpx.post(
        f"{scripted.url}{PATH}",
        content=body,
        headers=tenant.headers | {"content-type": told},
        trust_env=False,
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    assert scripted.received.headers["content-type"] == passed
    assert scripted.received.body.endswith(body)


@pytest.mark.parametrize("name", [*ODD_NAMES, "file_id\0", "", "%zz", "f%", "a" * 101])
def test_names_of_forms_without_files_are_as_plain(name):
    value = "x" if name else ""
    quoted = name if "%" in name else urllib.parse.quote(name)
    with pytest.raises(Invalid):
        Pairs(f"{quoted}={value}&language=it".encode())


def test_sdks_send_lists_beside_a_recording(scripted, made_up):
    tenant = tenancy.make(made_up, mistral_model=MODEL)
    scripted.script = answering(200, HEARD)
    words = {"context_bias": ["Ada", "Babbage"], "timestamp_granularities": ["segment"]}
    with Mistral(api_key=tenant.token, server_url=scripted.url) as client:
        file = {"file_name": 'a "b" è.wav', "content": b"RIFF"}
        assert client.audio.transcriptions.complete(model=MODEL, file=file, **words).text
    assert scripted.received.body.count(b'name="context_bias"') == 2
    with OpenAI(api_key=tenant.token, base_url=f"{scripted.url}/v1", max_retries=0) as client:
        answer = client.audio.transcriptions.create(
            model=MODEL,
            file=("a.wav", b"x"),
            include=["logprobs"],
            timestamp_granularities=["word"],
        )
        assert answer.text == "x"


def test_aiohttp_writes_forms_that_are_read(scripted, made_up):
    tenant = tenancy.make(made_up, mistral_model=MODEL)
    scripted.script = answering(200, HEARD)

    async def send() -> str:
        form = aiohttp.FormData()
        form.add_field("model", MODEL)
        form.add_field("file", b"RIFF", filename="è b.wav", content_type="audio/wav")
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{scripted.url}{PATH}", data=form, headers=tenant.headers) as answer,
        ):
            return await answer.text()

    assert json.loads(asyncio.run(send()))["text"] == "x"


@pytest.mark.skipif(shutil.which("curl") is None, reason="it is curl's form")
def test_curl_writes_forms_that_are_read(scripted, made_up, tmp_path):
    tenant = tenancy.make(made_up, mistral_model=MODEL)
    scripted.script = answering(200, HEARD)
    (tmp_path / "a b.wav").write_bytes(b"RIFF" * 5000)
    asked = ["-F", f"file=@{tmp_path}/a b.wav", "-F", f"model={MODEL}", "-F", "language=it"]
    headers = ["-H", f"Authorization: Bearer {tenant.token}"]
    done = subprocess.run(
        ["curl", "-s", "--noproxy", "*", f"{scripted.url}{PATH}", *headers, *asked],
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["text"] == "x"


FETCH = """
const [address, token, model] = process.argv.slice(1);
const form = new FormData();
form.append("model", model);
form.append("language", "it");
form.append("file", new Blob(["RIFF"], { type: "audio/webm;codecs=opus" }), 'a "b" è.webm');
const answer = await fetch(address, {
  method: "POST", body: form, headers: { authorization: `Bearer ${token}` },
});
console.log(await answer.text());
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="it is Node's form")
def test_fetch_writes_forms_that_are_read(scripted, made_up):
    tenant = tenancy.make(made_up, mistral_model=MODEL)
    scripted.script = answering(200, HEARD)
    command = ["node", "--input-type=module", "-e", FETCH]
    done = subprocess.run(
        [*command, f"{scripted.url}{PATH}", tenant.token, MODEL], capture_output=True, check=True
    )
    assert json.loads(done.stdout)["text"] == "x"
