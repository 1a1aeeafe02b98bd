"""The stub as an upstream of the soak: some of its streams are long, and wait for slow readers."""

import argparse
import asyncio

import uvloop

from bench import wire
from bench.stub import Stub

LONG = b"a long answer"
#: More than the buffers of all sockets between Mistral and a slow caller.
_PARTS, _CHUNK = 300, b"x" * 40_000


class Upstream(Stub):
    """The stub, with streams of twelve megabytes that wait for whoever reads them slowly."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._sending: asyncio.Task[None] | None = None

    def pause_writing(self) -> None:
        """Wait until the reader has taken what was written."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self._may_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop writing."""
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        """Answer as the stub does, or at length."""
        if LONG not in self._received + data:
            super().data_received(data)
            return
        self._received = b""
        self._sending = asyncio.create_task(self._long())

    async def _long(self) -> None:
        event = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % _CHUNK
        self._transport.write(wire.STREAM_HEAD)
        for _ in range(_PARTS):
            await self._may_write.wait()
            if self._transport.is_closing():
                return
            self._transport.write(b"%x\r\n%b\r\n" % (len(event), event))
        for part in (*wire.STREAM_PARTS, wire.STREAM_END):
            self._transport.write(part)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Serve on the port that is named."""
    parser = argparse.ArgumentParser(prog="bench.soak_upstream", description=__doc__)
    parser.add_argument("port", type=int)
    uvloop.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
