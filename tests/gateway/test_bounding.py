"""What bounds the price of a request: recordings, pages, choices, and forms that hide nothing."""

import base64
import gzip
import struct
import tracemalloc
import uuid
import wave
import zlib
from io import BytesIO

import pytest

from tenants.common.problems import Invalid
from tenants.gateway import bounding
from tenants.gateway.encodings import Unpacker, plain
from tenants.gateway.endpoints import Endpoint, Kind
from tenants.gateway.media import lasting, seconds_in
from tenants.gateway.multipart import Form
from tenants.gateway.references import files_in
from tenants.gateway.tally import Tally
from tenants.registry.snapshots import ModelFacts

CHAT = Endpoint("/v1/chat/completions", Kind.CHAT)
RESPONSES = Endpoint("/v1/responses", Kind.RESPONSES)
OCR = Endpoint("/v1/ocr", Kind.OCR)
LONGEST = 3 * 3600
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
        file.setsampwidth(1)
        file.setframerate(rate)
        file.writeframes(b"\0" * rate * seconds)
    return into.getvalue()


def header(*chunks: tuple[bytes, bytes, int]) -> bytes:
    """The beginning of a RIFF file: chunks with a length that may be a lie."""
    written = b"".join(kind + length.to_bytes(4, "little") + data for kind, data, length in chunks)
    return b"RIFF\xff\xff\xff\x7fWAVE" + written


def told(
    *, code=1, channels=2, samples=8000, rate=16_000, block=2, bits=8, more=b""
) -> tuple[bytes, bytes, int]:
    """A chunk that tells the format of samples."""
    data = struct.pack("<HHIIHH", code, channels, samples, rate, block, bits) + more
    return (b"fmt ", data, len(data))


DATA = (b"data", b"", 2**32 - 1)
ONE_MINUTE = 44 + 16_000 * 60
LONG = 16_000 * 60 // 32
#: 16 bits that count of the width, and what they are: integers.
EXTENSIBLE = struct.pack("<HHIH", 22, 16, 3, 1) + b"\0" * 14


@pytest.mark.parametrize(
    ("head", "size", "seconds"),
    [
        (wav(7)[:4096], len(wav(7)), 7),
        (wav(7)[:4096], len(wav(7)) + 1, 8),  # what the header says of its end is not believed
        (wav(7)[:4096], None, None),
        (wav(7)[:38], 38, None),
        (header(told(), DATA), ONE_MINUTE, 60),
        (header(told(rate=2**32 - 1), DATA), ONE_MINUTE, 60),  # nor the rate that it names
        (header(told(block=65_535), DATA), ONE_MINUTE, 60),
        (header(told(block=1), DATA), ONE_MINUTE, 120),
        (header(told(samples=1), DATA), ONE_MINUTE, 480_000),
        (header(told(code=3, bits=32, block=8, samples=2000), DATA), ONE_MINUTE, 60),
        (header(told(code=7), DATA), ONE_MINUTE, 60),
        # In integers may be S/PDIF: a second for each 16,000 bytes at least.
        (header(told(bits=24, block=6), DATA), 44 + 48_000 * 60, 180),
        (header(told(bits=32, block=8, samples=2_000_000_000), DATA), ONE_MINUTE, 60),
        # What may be compressed inside: a second for each 32 bytes.
        (header(told(bits=16, block=4), DATA), ONE_MINUTE, LONG),
        (header(told(bits=12, block=4), DATA), ONE_MINUTE, LONG),
        (header(told(bits=1600), DATA), ONE_MINUTE, LONG),
        (header(told(code=3, bits=16, block=4), DATA), ONE_MINUTE, LONG),
        (header(told(code=7, bits=16, block=4), DATA), ONE_MINUTE, LONG),
        (header(told(code=0xFFFE, more=EXTENSIBLE), DATA), ONE_MINUTE + 24, LONG),
        (header(told(bits=16, block=4, samples=2), DATA), ONE_MINUTE, LONG * 4),
        (header(told(samples=0), DATA), ONE_MINUTE, None),
        (header(told(code=0x55), DATA), ONE_MINUTE, None),  # an MP3 inside
        (header(told(), told(samples=2**31), DATA), ONE_MINUTE, None),
        (b"fLaC\0\0\0\x22" + b"\x10" * 34, 60_000, None),
        (b"ID3\x03" + b"\0" * 60, 60_000, None),
    ],
)
def test_a_recording_is_never_taken_for_shorter_than_its_bytes_allow(head, size, seconds):
    assert seconds_in(head, size) == seconds


@pytest.mark.parametrize(
    ("head", "size", "seconds"),
    [
        (wav(7)[:4096], len(wav(7)), 7),
        (header(told(bits=16, block=4), DATA), 44 + 32_000 * 60, 60),
        (header(told(bits=16, block=4), DATA), 44 + 32_000 * 60 + 1, 61),
        (header(told(code=0xFFFE, more=EXTENSIBLE), DATA), ONE_MINUTE + 24, 60),
        (header(told(bits=16, block=4), DATA), None, None),
        (header(told(code=0x55), DATA), ONE_MINUTE, None),
        (header(told(code=0xFFFE), DATA), ONE_MINUTE, None),
        (b"ID3\x03" + b"\0" * 60, 60_000, None),
    ],
)
def test_a_recording_lasts_what_its_samples_do(head, size, seconds):
    assert lasting(head, size) == seconds


#: Bytes of the shortest frames of AAC that FFmpeg was seen to decode inside of 16-bit samples.
@pytest.mark.parametrize("frame", [11, 9, 8])
def test_no_reader_hears_more_than_is_held_of_16_bits(frame):
    frames = 10_000
    head = header(told(bits=16, block=4), DATA)
    heard = frames * 1024 / 7350
    assert heard * 1.5 < (seconds_in(head, len(head) + frame * frames) or 0)


def chat_with(*sounds: object) -> list[dict[str, object]]:
    return [
        {"role": "user", "content": [{"type": "input_audio", "input_audio": s} for s in sounds]}
    ]


def encoded(data: bytes, kind: str = "") -> str:
    return (f"data:{kind};base64," if kind else "") + base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("sounds", "seconds"),
    [
        ([encoded(wav(7))], 8),
        ([encoded(wav(7), "audio/wav"), encoded(wav(60))], 8 + 61),
        ([encoded(wav(7), "audio/wav;seconds=9000")], LONGEST),  # to be read who knows how
        ([f"x,{encoded(wav(7))}"], LONGEST),
        (["A" * 5000], LONGEST),
        (["https://example.com/speech.mp3"], LONGEST),
        ([{"data": "AAAA", "format": "wav"}, None], 2 * LONGEST),
    ],
)
def test_recordings_in_a_chat_are_held_for_the_longest_that_they_can_be(sounds, seconds):
    bound = bounding.bound_of(CHAT, {"messages": chat_with(*sounds)}, MODEL, 100)
    assert seconds - len(sounds) <= bound.audio_seconds <= seconds


def test_recordings_in_responses_and_batches_are_held_too():
    messages = chat_with(encoded(wav(7)), "https://example.com/speech.mp3")
    bound = bounding.bound_of(RESPONSES, {"input": messages}, MODEL, 100)
    assert LONGEST + 7 <= bound.audio_seconds <= LONGEST + 8
    for name in ("messages", "inputs"):
        tally = Tally()
        tally.add({"body": {name: messages}}, 100)
        assert tally.facts()["audio_seconds"] == bound.audio_seconds


SIGNATURE = b"\x89PNG\r\n\x1a\n"
PDF = b"%PDF-1.7\n" + b"<</Type/Page>>\n" * 1000
JPEG = b"\xff\xd8\xff"
PNG = encoded(SIGNATURE + b"\0" * 99, "image/png")
#: Documents that begin as a picture, and may be read as more than one page.
PERHAPS_MORE = [
    *(
        {"type": kind, kind: encoded(start + rest, media)}
        for kind in ("document_url", "image_url")
        for start in (SIGNATURE, JPEG)
        for media, rest in (
            ("application/pdf", b""),
            ("image/tiff", b""),
            ("image/pngx", b""),
            ("image/png", PDF),
            ("image/png", b"\0" * 1000 + PDF),
            ("image/jpeg", PDF),
        )
    ),
    {"type": "image_url", "image_url": {"url": encoded(SIGNATURE + PDF, "application/pdf")}},
    {"type": "image_url", "image_url": encoded(SIGNATURE + b"\0\0\0\x08acTL", "image/png")},
    {"type": "image_url", "image_url": encoded(JPEG + b"\xe2\0\x08MPF\0", "image/jpeg")},
    {"type": "image_url", "image_url": PNG, "document_url": "https://example.com/a.pdf"},
    {"type": "image_url", "image_url": PNG, "file_id": "f"},
]


@pytest.mark.parametrize(
    ("document", "pages"),
    [
        ({"pages": [0, 1, 2]}, 3),
        ({"pages": "0-4, 7"}, 6),
        ({"pages": "9-1"}, 9),
        ({"pages": "1-0," * 1000 + "0-899"}, 1000),
        ({"pages": "0," * 9_999 + "0"}, 1000),
        # What can be read as no choice chooses nothing: the whole document is held.
        ({"pages": []}, 1000),
        ({"pages": ["0-999"]}, 1000),
        ({"pages": "0-4,all"}, 1000),
        ({"pages": "", "document": {"type": "image_url", "image_url": PNG}}, 1),
        ({"document": {"type": "image_url", "image_url": {"url": PNG}}}, 1),
        ({"document": {"type": "document_url", "document_url": PNG}}, 1),
        ({"document": {"type": "image_url", "image_url": encoded(JPEG, "image/jpeg")}}, 1),
        ({"document": {"type": "image_url", "image_url": encoded(JPEG, "image/jpg")}}, 1),
        # What has more pages than one, or may have.
        *(({"document": one}, 1000) for one in PERHAPS_MORE),
        ({"document": {"type": "image_url", "image_url": "https://example.com/a.png"}}, 1000),
        ({"document": {"type": "image_url", "image_url": encoded(b"II*\0", "image/png")}}, 1000),
        ({"document": {"type": "image_url", "image_url": PNG.replace(";", ";pages=9;")}}, 1000),
        (
            {"document": {"type": "image_url", "image_url": PNG[len("data:image/png;base64,") :]}},
            1000,
        ),
        (
            {"document": {"type": "document_url", "document_url": "https://x", "image_url": PNG}},
            1000,
        ),
        ({"document": {"type": "file", "file_id": "f", "image_url": PNG}}, 1000),
        ({"document": {"type": "document_url", "document_url": encoded(b"%PDF-1.7", "a/b")}}, 1000),
        ({"document": "https://example.com/a.pdf"}, 1000),
        ({}, 1000),
    ],
)
def test_pages_are_held_as_many_as_there_can_be(document, pages):
    assert bounding.bound_of(OCR, document, MODEL, 100).pages == pages


@pytest.mark.parametrize("document", PERHAPS_MORE)
def test_a_line_of_a_batch_holds_as_many_pages_as_a_request(document):
    tally = Tally()
    tally.add({"body": {"document": document}}, 100)
    assert tally.facts()["pages"] == 1000


def test_what_comes_compressed_is_read_up_to_a_bound_and_never_breaks_the_call():
    usage = b'{"usage": {"total_tokens": 5}}'
    assert plain(gzip.compress(usage), {"content-encoding": "gzip"}, 1000) == usage
    assert plain(zlib.compress(usage), {"content-encoding": "Deflate"}, 1000) == usage
    members = gzip.compress(usage[:9]) + gzip.compress(usage[9:])
    assert plain(members, {"content-encoding": "gzip"}, 1000) == usage
    pieces = Unpacker("gzip", 1000)
    assert b"".join(pieces.feed(bytes([octet])) for octet in members) == usage
    bare = zlib.compress(usage, wbits=-zlib.MAX_WBITS)
    assert plain(bare, {"content-encoding": "deflate"}, 1000) == usage
    assert plain(usage, {"content-encoding": "br"}, 1000) == usage
    assert plain(usage, {"content-encoding": "gzip"}, 1000) == b""
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


def test_a_form_of_many_long_fields_and_file_names_is_followed_without_keeping_them():
    """A character outside of the basic plane makes each of a text's characters four bytes."""
    value = "\N{GRINNING FACE}".encode() + b"x" * 60_000
    name = "\N{GRINNING FACE}".encode() + b"x" * 7_000
    tracemalloc.start()
    try:
        form = Form(b"b")
        for number in range(100):
            disposition = b'--b\r\ncontent-disposition: form-data; name="f%d' % number
            form.feed(disposition + b'"\r\n\r\n' + value + b"\r\n")
            form.feed(disposition + b'f"; filename="' + name + b'"\r\n\r\nx\r\n')
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert (len(form.fields), len(form.files)) == (100, 100)
    assert kept < 300_000, kept
    assert form.kept < 100


def test_what_waits_of_a_form_is_told_and_a_value_that_decides_is_short():
    form = Form(b"b")
    form.feed(b'--b\r\ncontent-disposition: form-data; name="note"\r\n\r\n' + b"x" * 50_000)
    assert form.kept == 50_000
    form.feed(b'\r\n--b\r\ncontent-disposition: form-data; name="model"\r\n\r\n')
    with pytest.raises(Invalid):
        form.feed(b"x" * 5_000)


def test_a_request_names_a_hundred_files_and_no_more():
    some = [{"type": "file", "file_id": f"f{number}"} for number in range(100)]
    assert len(files_in({"messages": [{"content": [*some, *some]}]})) == 100
    with pytest.raises(Invalid):
        files_in({"messages": [{"content": [*some, {"file_ids": ["one more"]}]}]})


@pytest.mark.parametrize(
    "disposition",
    [
        b'filename="a.jsonl"',
        b"filename*=UTF-8''a.jsonl",
        b"filename=\"a.jsonl\"; filename*=UTF-8''b.txt",
    ],
)
def test_a_part_with_any_file_name_is_a_file(disposition):
    form = Form(b"b")
    form.feed(b'--b\r\nContent-Disposition: form-data; name="file"; ' + disposition)
    form.feed(b"\r\n\r\nx\r\n--b--\r\n")
    assert (form.files, form.fields) == ({"file": 1}, {})
    assert form.file_name.endswith("a.jsonl")
