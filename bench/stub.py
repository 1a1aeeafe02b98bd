"""An upstream as fast as one event loop can be: fixed bytes for every question, on loopback."""

import argparse
import asyncio
from typing import cast

import uvloop

from bench import wire

_SEED = b'"random_seed":%d' % wire.SEED


class Stub(asyncio.Protocol):
    """Answers with one fixed JSON, or with a stream whose parts are separate writes."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Answer a request that is whole."""
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._received[:head_end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        total = head_end + 4 + length
        if len(self._received) < total:
            return
        body, self._received = self._received[head_end + 4 : total], self._received[total:]
        self.answer(body)

    def answer(self, body: bytes) -> None:
        """Answer one question."""
        if b'"stream":true' in body:
            self._transport.write(wire.STREAM_HEAD)
            if _SEED in body:
                asyncio.get_running_loop().call_later(wire.PACE, self._part, 0, wire.PACE)
            else:
                asyncio.get_running_loop().call_soon(self._part, 0)
        else:
            self._transport.write(wire.ANSWER)

    def _part(self, number: int, pace: float = 0.0) -> None:
        if self._transport.is_closing():
            return
        if number == len(wire.STREAM_PARTS):
            self._transport.write(wire.STREAM_END)
            return
        self._transport.write(wire.STREAM_PARTS[number])
        if pace:
            asyncio.get_running_loop().call_later(pace, self._part, number + 1, pace)
        else:
            asyncio.get_running_loop().call_soon(self._part, number + 1)


async def serve(port: int) -> None:
    """Serve until cancelled."""
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Serve on the port that is named."""
    parser = argparse.ArgumentParser(prog="bench.stub", description=__doc__)
    parser.add_argument("port", type=int)
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
