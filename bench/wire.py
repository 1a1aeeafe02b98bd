"""The bytes of the benchmark's one question and its answers; nothing here measures."""

import orjson

MODEL = "mistral-small-latest"
CHUNKS = 30
#: What a question has whose stream comes as a model writes it: a chunk each so many seconds.
SEED, PACE = 90_210, 0.01
SENTENCE = "The quick brown fox jumps over the lazy dog and goes home. "

_USAGE = {
    "prompt_tokens": 52,
    "completion_tokens": 30,
    "total_tokens": 82,
    "prompt_tokens_details": {"cached_tokens": 0},
}


def question(*, stream: bool, paced: bool = False) -> bytes:
    """Return a chat request of about one kilobyte; for a paced stream the stub takes its time."""
    asked: dict[str, object] = {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": SENTENCE * 6},
            {"role": "user", "content": SENTENCE * 8},
        ],
        "max_tokens": 64,
    }
    if paced:
        asked["random_seed"] = SEED
    return orjson.dumps({**asked, "stream": True} if stream else asked)


def _answer() -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": SENTENCE * 3, "tool_calls": None},
        "finish_reason": "stop",
    }
    return orjson.dumps(
        {
            "id": "0123456789abcdef0123456789abcdef",
            "object": "chat.completion",
            "created": 1_790_000_000,
            "model": MODEL,
            "choices": [choice],
            "usage": _USAGE,
        }
    )


def _event(number: int) -> bytes:
    last = number == CHUNKS - 1
    choice = {
        "index": 0,
        "delta": {"content": "" if last else "Lorem ipsum "},
        "finish_reason": "stop" if last else None,
    }
    event = {
        "id": "0123456789abcdef0123456789abcdef",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": MODEL,
        "choices": [choice],
    }
    return b"data: " + orjson.dumps({**event, "usage": _USAGE} if last else event) + b"\n\n"


_HEADERS = (
    b"mistral-correlation-id: 01234567-89ab-cdef-0123-456789abcdef\r\n"
    b"x-ratelimit-limit-req-minute: 900000\r\nx-ratelimit-remaining-req-minute: 899999\r\n"
)
_BODY = _answer()
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    + _HEADERS
    + b"content-length: %d\r\n\r\n" % len(_BODY)
    + _BODY
)
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    + _HEADERS
    + b"transfer-encoding: chunked\r\n\r\n"
)
_EVENTS = [_event(number) for number in range(CHUNKS)] + [b"data: [DONE]\n\n"]
STREAM_PARTS = [b"%x\r\n%b\r\n" % (len(event), event) for event in _EVENTS]
STREAM_END = b"0\r\n\r\n"


def request(path: str, body: bytes, token: str) -> bytes:
    """Return a whole HTTP/1.1 request."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n"
        f"accept: application/json\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
