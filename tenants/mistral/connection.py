"""One connection to Mistral: HTTP/1.1 over a transport of the event loop, one request at a time.

httptools (llhttp, Node's parser) reads what comes, strictly: an answer that can be read in two ways
is none. What is here is who waits for what, and how much may be kept and for how long: a head that
drips, trailers without end and chunks of one byte each take neither time nor memory beyond it.
"""

import asyncio
from typing import Final, cast, override

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

#: Bytes that have come and that nobody has taken: from here on no more are read.
MOST_KEPT: Final = 256 * 1024
#: What a part costs besides its bytes.
A_PART: Final = 64
#: Bytes in a row of which none is of the body: heads, trailers, what frames the chunks.
MOST_BARREN: Final = 256 * 1024

_FIRST, _SWITCHING, _FIRST_FINAL = 100, 101, 200


class Connection(asyncio.Protocol):
    """A connection, once it is made.

    Attributes:
        status: HTTP's, of the answer under way or of the last one; 0 until its head is here.
        headers: of that answer; names in lower case, of a repeated one the first.
        is_over: the answer has come whole, or nothing was asked yet.
    """

    __slots__ = (
        "_barren",
        "_change",
        "_deadline",
        "_ends_with_connection",
        "_idle",
        "_is_paused",
        "_is_reusable",
        "_kept",
        "_loop",
        "_parser",
        "_parts",
        "_room",
        "_timer",
        "_transport",
        "headers",
        "is_over",
        "status",
    )

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._parser: HttpResponseParser | None = None
        self.status = 0
        self.headers: dict[str, str] = {}
        self.is_over = True
        self._is_reusable = True
        self._ends_with_connection = False
        self._parts: list[bytes] = []
        self._kept = self._barren = 0
        self._is_paused = False
        self._idle = self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._change: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be sent or come."""
        return self._parser is None

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow: the last answer is here, and no byte beyond it."""
        return self.is_over and self._is_reusable and self._parser is not None and not self._parts

    def fileno(self) -> int:
        """Descriptor of its socket, to look whether the other side has closed it."""
        return int(self._transport.get_extra_info("socket").fileno())

    def begin(self, head: bytes, idle: float) -> None:
        """Send the head of a request with what is at hand of its body.

        Args:
            head: written as it is.
            idle: seconds in which the answer's head must come, and then each next byte of it.
        """
        self.status, self.headers, self.is_over = 0, {}, False
        if self._parser is None:
            return
        self._barren, self._idle = 0, idle
        self._deadline = self._loop.time() + idle
        self._watch()
        self._transport.write(head)

    async def write(self, data: bytes | memoryview) -> None:
        """Send more of the request, and wait until there is room for the next piece."""
        if self._parser is None:
            return
        self._transport.write(data)
        while self._room is not None and self._parser is not None:
            await self._room

    async def answered(self) -> None:
        """Wait for the head of the answer; `status` is 0 if the connection ended before."""
        while not self.status and self._parser is not None:
            await self._changed()

    async def next_part(self) -> bytes:
        """Give what has come of the body; nothing where it is over, or lost."""
        while not self._parts and not self.is_over and self._parser is not None:
            await self._changed()
        parts = self._parts
        if not parts:
            return b""
        taken = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._kept = 0
        if self._is_paused:
            self._is_paused = False
            self._deadline = self._loop.time() + self._idle
            if self._parser is not None:
                self._transport.resume_reading()
        return taken

    def close(self) -> None:
        """Cut the connection; what has come before can still be taken."""
        if self._parser is None:
            return
        self._parser = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport.abort()
        self._wake()
        self.resume_writing()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = HttpResponseParser(self)

    @override
    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            return
        if self.is_over:  # nobody has asked
            self.close()
            return
        self._barren += len(data)
        try:
            parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self.close()
        if not self._barren:  # the head is here, or more of the body
            self._deadline = self._loop.time() + self._idle
        if self._barren > MOST_BARREN and not self.is_over:
            self.close()
        self._wake()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        # While reading is paused, uvloop drops what came before an end of TLS without goodbye.
        is_end = exc is None and self._ends_with_connection and not self._is_paused
        if is_end and self.status and self._parser is not None:
            self.is_over = True
        self.close()

    @override
    def pause_writing(self) -> None:
        if self._room is None:
            self._room = self._loop.create_future()

    @override
    def resume_writing(self) -> None:
        if self._room is not None:
            if not self._room.done():
                self._room.set_result(None)
            self._room = None

    def on_message_begin(self) -> None:
        """Called by the parser: an answer begins."""
        if self.is_over:
            raise ValueError("an answer that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser: a header; one of the trailers tells nothing."""
        if not self.status:
            text = value.decode("utf-8", "surrogateescape")
            self.headers.setdefault(name.decode("latin-1").lower(), text)

    def on_headers_complete(self) -> None:
        """Called by the parser: the head is here; an interim one is waited out."""
        status = 0 if self._parser is None else self._parser.get_status_code()
        headers = self.headers
        if status < _FIRST or status == _SWITCHING:
            raise ValueError("no status of an answer, or another protocol that nobody asked for")
        if status < _FIRST_FINAL:
            headers.clear()
            return
        self.status = status
        self._barren = 0
        self._ends_with_connection = not (
            "content-length" in headers or "transfer-encoding" in headers
        )

    def on_body(self, part: bytes) -> None:
        """Called by the parser: some of the body."""
        self._barren = 0
        self._parts.append(part)
        self._kept += len(part) + A_PART
        if self._kept > MOST_KEPT and not self._is_paused and self._parser is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """Called by the parser: the answer is whole."""
        if self.status and self._parser is not None:
            self.is_over = True
            self._is_reusable = self._parser.should_keep_alive()

    def _wake(self) -> None:
        if self._change is not None and not self._change.done():
            self._change.set_result(None)

    async def _changed(self) -> None:
        self._change = self._loop.create_future()
        try:
            await self._change
        finally:
            self._change = None

    def _watch(self) -> None:
        """Have one timer that rings at the deadline or before: most rings only set it anew."""
        if self._timer is not None:
            if self._timer.when() <= self._deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self.is_over:
            return
        now = self._loop.time()
        if self._is_paused:  # it is not Mistral who is slow
            self._deadline = now + self._idle
        if self._deadline <= now:
            self.close()
        else:
            self._watch()
