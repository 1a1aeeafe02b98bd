import os

import httpx

from tests.simulator.schema import check

FILES = "/v1/files"
LINES = b'{"body":{}}\n{"body":{}}\n'


def upload(client, data=LINES, name="lines.jsonl", **fields):
    answer = client.post(FILES, data=fields, files={"file": (name, data, "text/plain")})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_file_is_kept_byte_for_byte(alice):
    boundary = "x"
    for data in (os.urandom(100_000), b"", b"\r\n", b"\r\n--x\r", b"--x--", b"\n--x", b"a\r\n"):
        if b"\r\n--x" in data:
            boundary = "another"
        part = b'Content-Disposition: form-data; name="file"; filename="caf\xc3\xa9.bin"\r\n'
        mark = b"--" + boundary.encode()
        body = mark + b"\r\n" + part + b"\r\n" + data + b"\r\n" + mark + b"--\r\n"
        headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
        kept = alice.post(FILES, content=body, headers=headers).json()
        assert (kept["bytes"], kept["filename"]) == (len(data), "café.bin")
        content = alice.get(f"{FILES}/{kept['id']}/content")
        assert content.content == data
        assert content.headers["content-type"] == "application/octet-stream"


def test_a_file_is_described_listed_and_deleted(alice):
    kept = upload(alice, purpose="batch", expiry="2")
    check(kept, "CreateFileResponse")
    assert (kept["purpose"], kept["sample_type"], kept["num_lines"]) == (
        "batch",
        "batch_request",
        2,
    )
    assert kept["expires_at"] == kept["created_at"] + 7200
    one = alice.get(f"{FILES}/{kept['id']}").json()
    check(one, "GetFileResponse")
    assert not one["deleted"]
    gone = alice.delete(f"{FILES}/{kept['id']}").json()
    check(gone, "DeleteFileResponse")
    assert gone["deleted"]
    for path in ("", "/content", "/url"):
        assert alice.get(f"{FILES}/{kept['id']}{path}").status_code == 404
    assert alice.delete(f"{FILES}/{kept['id']}").status_code == 404


def test_lists_have_filters_and_pages(alice):
    names = ["a.jsonl", "b.pdf", "c.jsonl"]
    purposes = ["batch", "ocr", "fine-tune"]
    for name, purpose in zip(names, purposes, strict=True):
        upload(alice, name=name, purpose=purpose)

    def listed(**parameters):
        answer = alice.get(FILES, params=parameters).json()
        check(answer, "ListFilesResponse")
        return [file["filename"] for file in answer["data"]], answer["total"]

    assert listed() == (names[::-1], 3)
    assert listed(purpose="ocr") == (["b.pdf"], 1)
    assert listed(search="jsonl", page=1, page_size=1) == (["a.jsonl"], 2)
    assert listed(source="mistral") == ([], 0)
    assert listed(include_total="false") == (names[::-1], None)
    assert listed(page="x") == (names[::-1], 3)


def test_a_link_needs_no_key_but_its_signature(alice):
    kept = upload(alice)
    answer = alice.get(f"{FILES}/{kept['id']}/url", params={"expiry": 1}).json()
    check(answer, "GetSignedUrlResponse")
    with httpx.Client(verify=False) as stranger:  # noqa: S501 - plain HTTP
        assert stranger.get(answer["url"]).content == LINES
        assert stranger.get(answer["url"][:-1]).status_code == 404


def test_files_stay_in_their_workspace(alice, as_key):
    kept = upload(alice)
    assert as_key("valid_second").get(f"{FILES}/{kept['id']}").status_code == 200
    for name in ("valid_other_workspace", "valid_other_organization"):
        stranger = as_key(name)
        assert stranger.get(FILES).json()["data"] == []
        for path in ("", "/content", "/url"):
            assert stranger.get(f"{FILES}/{kept['id']}{path}").status_code == 404
        assert stranger.delete(f"{FILES}/{kept['id']}").status_code == 404
    assert alice.get(f"{FILES}/{kept['id']}/content").content == LINES


def test_forms_without_a_file_or_with_a_wrong_purpose_are_refused(alice):
    missing = alice.post(FILES, files={"purpose": (None, "batch")})
    assert missing.json()["detail"][0]["loc"] == ["body", "file"]
    no_file = alice.post(FILES, files={"file": (None, "text")})
    assert no_file.json()["detail"][0]["type"] == "value_error"
    wrong = alice.post(FILES, data={"purpose": "fun"}, files={"file": ("a", b"")})
    assert wrong.json()["detail"][0]["type"] == "enum"
    assert alice.get(FILES).json()["total"] == 0


def test_files_fail_as_dictated(alice):
    answer = alice.get(FILES, headers={"x-sim-error": "service_unavailable"})
    assert answer.status_code == 503
    assert alice.put(f"{FILES}/x").status_code == 405
