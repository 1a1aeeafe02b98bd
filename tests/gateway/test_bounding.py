"""What bounds the price of a request: recordings, pages, choices, and forms that hide nothing."""

import gzip
import uuid
import wave
import zlib
from io import BytesIO

import pytest

from tenants.common.problems import Invalid
from tenants.gateway import bounding
from tenants.gateway.encodings import Unpacker, plain
from tenants.gateway.endpoints import Endpoint, Kind
from tenants.gateway.media import seconds_in
from tenants.gateway.multipart import Form
from tenants.gateway.references import files_in
from tenants.gateway.scanning import BatchScan
from tenants.registry.snapshots import ModelFacts

CHAT = Endpoint("/v1/chat/completions", Kind.CHAT)
OCR = Endpoint("/v1/ocr", Kind.OCR)
MODEL = ModelFacts(
    id=uuid.uuid4(),
    name="Assistente",
    mistral_model="mistral-small-latest",
    canonical_model="mistral-small-2603",
    base_model=None,
    context_length=128_000,
    context_size=None,
    timeout=None,
    defaults={},
    is_retired=False,
)


def wav(seconds: int, rate: int = 8000) -> bytes:
    into = BytesIO()
    with wave.open(into, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(b"\0\0" * rate * seconds)
    return into.getvalue()


def flac(rate: int, samples: int) -> bytes:
    """The first bytes of a FLAC file: the block STREAMINFO, stereo, 16 bits."""
    packed = rate << 44 | 1 << 41 | 15 << 36 | samples
    sizes = b"\x10\0\x10\0" + b"\0" * 6
    return b"fLaC\0\0\0\x22" + sizes + packed.to_bytes(8) + b"\0" * 16


@pytest.mark.parametrize(
    ("head", "size", "seconds"),
    [
        (wav(7)[:4096], len(wav(7)), 7),
        (wav(7)[:4096], None, 7),
        # Written before its end was known, it says more than there is: what there is counts.
        (wav(7)[:40] + b"\xff\xff\xff\xff", 44 + 16000, 1),
        (wav(7)[:38], None, None),
        (flac(44_100, 44_100 * 60), None, 60),
        (flac(44_100, 44_100 * 60 + 1), 10, 61),
        (flac(192_000, 2**36 - 1), None, 357_914),
        (flac(44_100, 0), None, None),  # the encoder did not know
        (flac(0, 44_100), None, None),
        (flac(44_100, 44_100)[:41], None, None),
        (b"ID3\x03" + b"\0" * 60, None, None),
    ],
)
def test_a_recording_is_as_long_as_its_header_says(head, size, seconds):
    assert seconds_in(head, size) == seconds


def chat_with(*sounds: object) -> list[dict[str, object]]:
    return [
        {"role": "user", "content": [{"type": "input_audio", "input_audio": s} for s in sounds]}
    ]


@pytest.mark.parametrize(
    ("sounds", "seconds"),
    [
        (["A" * 5000], 10),
        (["A" * 5001, "A" * 500], 12),
        (["https://example.com/speech.mp3"], 3 * 3600),  # nobody knows how long
        ([{"data": "AAAA", "format": "wav"}, None], 2 * 3 * 3600),
    ],
)
def test_recordings_in_a_chat_are_held_for_the_longest_that_they_can_be(sounds, seconds):
    bound = bounding.bound_of(CHAT, {"messages": chat_with(*sounds)}, MODEL, 100)
    assert bound.audio_seconds == seconds


@pytest.mark.parametrize(
    ("document", "pages"),
    [
        ({"pages": [0, 1, 2]}, 3),
        ({"pages": "0-4, 7"}, 6),
        ({"pages": "9-1", "document": {"type": "image_url"}}, 0),
        # What cannot be read chooses nothing: the whole document is held.
        (
            {"pages": "0-4,all", "document": {"type": "document_url", "document_url": "https://x"}},
            1000,
        ),
        ({"pages": "", "document": {"type": "image_url"}}, 1),
        ({"document": "https://example.com/a.pdf"}, 1000),
        ({"document": {"type": "document_url", "document_url": "data:" + "A" * 640}}, 11),
        ({}, 1000),
    ],
)
def test_pages_are_held_as_many_as_there_can_be(document, pages):
    assert bounding.bound_of(OCR, document, MODEL, 100).pages == pages


def test_a_batch_is_held_for_the_most_choices_that_any_line_asks_for():
    scan = BatchScan()
    for chunk in (b'{"body": {"n": 2, "max_tokens": 5}}\n{"body": {"n"', b": 16}}\n"):
        scan.feed(chunk)
    assert (scan.facts()["lines"], scan.facts()["choices"]) == (2, 16)


def test_what_comes_compressed_is_read_up_to_a_bound_and_never_breaks_the_call():
    told = b'{"usage": {"total_tokens": 5}}'
    assert plain(gzip.compress(told), {"content-encoding": "gzip"}, 1000) == told
    assert plain(zlib.compress(told), {"content-encoding": "Deflate"}, 1000) == told
    assert plain(told, {"content-encoding": "br"}, 1000) == told
    assert plain(told, {"content-encoding": "gzip"}, 1000) == b""
    bomb = Unpacker("gzip", 100)
    assert bomb.feed(gzip.compress(b"\0" * 1_000_000)) == b"\0" * 100
    assert bomb.feed(b"more") == b""


HEAD = b'--b\r\ncontent-disposition: form-data; name="model"\r\n'


@pytest.mark.parametrize(
    "body",
    {
        "two lines of disposition": HEAD + b'content-disposition: form-data; name="x"\r\n\r\n',
        "an encoding of its own": HEAD + b"content-transfer-encoding: base64\r\n\r\n",
        "a line without a colon": HEAD + b"nonsense\r\n\r\n",
        "a name with a space": HEAD + b"x : y\r\n\r\n",
        "no end of the head": HEAD + b"x: " + b"y" * 20_000,
        "too long a field": HEAD + b"\r\n" + b"y" * 2_000_000,
        "no text": HEAD + b"\r\n\xff\xfe\r\n--b--",
        "too many parts": b"\r\n".join(
            b'--b\r\ncontent-disposition: form-data; name="a[]"\r\n\r\n' for _ in range(2000)
        ),
    }.values(),
)
def test_a_form_that_two_could_read_in_two_ways_is_refused(body):
    form = Form(b"b")
    with pytest.raises(Invalid):
        form.feed(body)


def test_a_form_may_come_byte_by_byte():
    form = Form(b"b")
    for byte in HEAD + b"\r\nvoxtral\r\n--b--\r\n":
        form.feed(bytes([byte]))
    assert form.is_over
    assert form.fields["model"].value == "voxtral"


def test_a_request_names_a_hundred_files_and_no_more():
    some = [{"type": "file", "file_id": f"f{number}"} for number in range(100)]
    assert len(files_in({"messages": [{"content": [*some, *some]}]})) == 100
    with pytest.raises(Invalid):
        files_in({"messages": [{"content": [*some, {"file_ids": ["one more"]}]}]})
