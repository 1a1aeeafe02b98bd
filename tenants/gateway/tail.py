"""Keeps the end of a stream, where Mistral tells the usage, and reads it when the stream is over.

Reading every event of a stream costs more than handing it on, and of nearly all of them nothing is
needed: the usage comes last. Only when it is missing, what the model delivered is counted, in what
is kept; of a longer stream the rest is taken to be like it, or for text where nothing can be told
of what is kept. Memory is bounded: the last so many
bytes, and the last few events however long they are, up to what the observer reads at all. Of a
last event that is longer (answers may repeat the whole request) the usage is dug out of its end,
if its end has come: of one that was cut off nobody knows where in it that would be.
"""

from collections import deque
from dataclasses import dataclass, replace

from tenants.gateway.digging import NEAR, dig, named_model
from tenants.mistral.errors import UpstreamFailure
from tenants.mistral.sse import StreamObserver
from tenants.mistral.told import read_told
from tenants.mistral.wire import Usage

_KEPT = 64 * 1024
_LONGEST_EVENT = 1024 * 1024
_EVENT_END, _RETURN = b"\n\n", b"\r"
_OTHER_ENDS = (b"\r\n\r\n", b"\r\r")
# Of the last events, of which the usage is one: after it come the end mark and perhaps a comment.
_WHOLE_EVENTS = 4
_USAGE = b'"usage"'
# An answer's usage lies in the answer, and a wrapped answer in its event. What a request said of
# its tools is repeated deeper.
_DEPTHS = (1, 2)


@dataclass(frozen=True, slots=True)
class Told:
    """What a stream has told when it ended or was left; ``delivered`` is in thirds of a token."""

    usage: Usage
    model: str | None
    delivered: int
    failure: UpstreamFailure | None


class StreamTail:
    """Follows one stream; neither method raises, whatever comes."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._chunks: deque[tuple[bytes, int]] = deque()
        self._most = kept
        self._length = 0
        self._ends = 0
        self._seen = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream, however they were cut."""
        # An end that was cut in two is not counted: then more is kept, never less.
        ends = chunk.count(_EVENT_END)
        if _RETURN in chunk:
            ends = max(ends, *map(chunk.count, _OTHER_ENDS))
        self._chunks.append((chunk, ends))
        self._ends += ends
        self._length += len(chunk)
        self._seen += len(chunk)
        while self._length > self._most and self._drop():
            pass

    def finish(self) -> Told:
        """Read the end of the stream; it may be called once."""
        tail = b"".join(chunk for chunk, _ in self._chunks)
        dropped = self._seen - len(tail)
        self._chunks.clear()
        if _RETURN in tail:  # inside of JSON none stands as it is
            tail = tail.replace(b"\r\n", b"\n").replace(_RETURN, b"\n")
        at = tail.rfind(_USAGE)
        if at >= 0:
            start = tail.rfind(_EVENT_END, 0, at) + 1
            told = _read(tail[start:])
            if told.usage.is_enough:
                return told if told.model else replace(told, model=named_model(tail))
            end = tail.find(_EVENT_END, at)
            has_no_start = not start and dropped > 0
            if end >= 0 and (has_no_start or end - start > _LONGEST_EVENT):
                usage = read_told(dig(tail[max(start, end - NEAR) : end], _USAGE, _DEPTHS))
                if usage.is_enough:
                    return Told(usage, None, 0, None)
        if dropped:  # it begins inside an event
            tail = tail[tail.find(_EVENT_END) + 1 :]
        told = _read(tail)
        if not dropped:
            return told
        # An event that was cut off says nothing of those before it.
        known = tail.rfind(_EVENT_END) + 1
        likely = told.delivered * dropped // known if told.delivered and known else dropped
        return Told(told.usage, told.model, told.delivered + likely, told.failure)

    def _drop(self) -> bool:
        """Drop the oldest chunk, if enough is left without it."""
        chunk, ends = self._chunks[0]
        left = self._length - len(chunk)
        is_enough = left >= self._most and self._ends - ends > _WHOLE_EVENTS
        if not is_enough and left < _LONGEST_EVENT:
            return False
        self._chunks.popleft()
        self._length = left
        self._ends -= ends
        return True


def _read(events: bytes) -> Told:
    observer = StreamObserver()
    observer.feed(events)
    outcome = observer.finish()
    return Told(outcome.usage, outcome.model, outcome.delivered, outcome.failure)
