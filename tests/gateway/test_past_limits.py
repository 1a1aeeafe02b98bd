"""Calls that look cheap and are not: what bytes do not bound does not pass a spending limit."""

import base64
import struct

import httpx
import pytest

from tests.gateway import tenancy
from tests.gateway.tenancy import post
from tests.gateway.test_transcriptions import form, send
from tests.keys.keyring import name_of

VOXTRAL, OCR = "voxtral-mini-latest", "mistral-ocr-latest"
TRANSCRIPTIONS = "/v1/audio/transcriptions"
SECOND = 16_000


def wave(seconds: int, told_rate: int = SECOND, bits: int = 8) -> bytes:
    """A WAV file whose header says what it likes of its rate."""
    samples = bytes(SECOND * seconds)
    head = struct.pack("<HHIIHH", 1, 1, SECOND * 8 // bits, told_rate, bits // 8, bits)
    return b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + head + b"data\xff\xff\xff\xff" + samples


FLAC = b"fLaC\0\0\0\x22" + b"\x10\0" * 5 + b"\x01\xf4\0\xf0\0\0\0\x01" + b"\0" * 60_000
RECORDINGS = {
    "a header of FLAC that says one sample": ("talk-9000-seconds.flac", FLAC),
    "few bytes of MP3": ("talk-9000-seconds.mp3", b"ID3\x03" + b"\0" * 600),
    "a WAV that says a high rate": ("a.wav", wave(200, 2**32 - 1)),
    "a WAV of what could be AAC": ("a.wav", wave(1, bits=16)),
}


@pytest.mark.parametrize("which", RECORDINGS)
def test_a_recording_that_may_be_long_is_refused_however_short_it_looks(
    gateway, mistral, made_up, which
):
    tenant = tenancy.make(made_up, mistral_model=VOXTRAL)
    tenant.limit("0.005")
    refused = heard(gateway, tenant, *RECORDINGS[which])
    assert (refused.status_code, refused.json()["code"]) == (402, "spending_limit_reached")
    assert "as plain WAV" in refused.json()["message"]
    asked = {call.path for call in mistral.state.calls(key=name_of(tenant.plain))}
    assert TRANSCRIPTIONS not in asked


def test_a_recording_beside_an_address_is_held_as_what_nobody_knows(gateway, made_up):
    tenant = tenancy.make(made_up, mistral_model=VOXTRAL)
    tenant.limit("0.005")
    refused = heard(gateway, tenant, "a.wav", wave(1), file_url="https://x.example/long.mp3")
    assert (refused.status_code, refused.json()["code"]) == (402, "spending_limit_reached")
    assert heard(gateway, tenant, "a.wav", wave(1)).is_success


def test_a_second_recording_after_the_first_does_not_reach_mistral_whole(scripted, made_up):
    tenant = tenancy.make(made_up, mistral_model=VOXTRAL)
    before = len(scripted.far_side.requests)
    parts = [("model", VOXTRAL.encode()), ("file=a.wav", wave(30)), ("other=b.wav", b"x")]
    refused = send(scripted.url, tenant.token, form(*parts))
    assert (refused.status_code, refused.json()["code"]) == (422, "field_too_late")
    assert len(scripted.far_side.requests) == before


def heard(gateway, tenant, name, content, **fields) -> httpx.Response:
    return httpx.post(
        f"{gateway.url}{TRANSCRIPTIONS}",
        files={"file": (name, content)},
        data={"model": VOXTRAL, **fields},
        headers=tenant.headers,
        trust_env=False,
        timeout=30,
    )


PDF = b"%PDF-1.7\n" + b"<</Type/Page>>" * 300
DOCUMENTS: dict[str, dict[str, object]] = {
    "spans that count nothing": {
        "pages": "1-0," * 1000 + "0-899",
        "document": {"type": "document_url", "document_url": "https://x/900-pages.pdf"},
    },
    "a picture elsewhere": {
        "document": {"type": "image_url", "image_url": "https://x/scan-900-pages.tiff"}
    },
    "a PDF of many pages in few bytes": {
        "document": {
            "type": "document_url",
            "document_url": "data:application/pdf;base64," + base64.b64encode(PDF).decode(),
        }
    },
    "a PDF that begins as a picture": {
        "document": {
            "type": "image_url",
            "image_url": "data:image/jpeg;base64,"
            + base64.b64encode(b"\xff\xd8\xff" + PDF).decode(),
        }
    },
}


@pytest.mark.parametrize("which", DOCUMENTS)
def test_a_document_that_may_be_long_is_refused_however_short_it_looks(
    gateway, mistral, made_up, which
):
    tenant = tenancy.make(made_up, mistral_model=OCR)
    tenant.limit("1.00")
    refused = post(gateway.url, tenant, "/v1/ocr", DOCUMENTS[which])
    assert (refused.status_code, refused.json()["code"]) == (402, "spending_limit_reached")
    assert "fewer `pages`" in refused.json()["message"]
    assert not [c for c in mistral.state.calls(key=name_of(tenant.plain)) if c.path == "/v1/ocr"]
    chosen = DOCUMENTS[which] | {"pages": "0-2"}
    assert post(gateway.url, tenant, "/v1/ocr", chosen).is_success


def test_a_recording_in_a_conversation_is_held_for_as_long_as_it_can_be(gateway, made_up):
    tenant = tenancy.make(made_up, mistral_model="voxtral-small-latest")
    tenant.limit("0.20")
    inputs = [{"role": "user", "content": [SOUND]}]
    refused = post(gateway.url, tenant, "/v1/conversations", {"inputs": inputs})
    assert (refused.status_code, refused.json()["code"]) == (402, "spending_limit_reached")
    plain = post(gateway.url, tenant, "/v1/conversations", {"inputs": "Hello"})
    assert plain.json().get("source") != "gateway", plain.text


SOUND = {"type": "input_audio", "input_audio": "https://x.example/long.mp3"}
