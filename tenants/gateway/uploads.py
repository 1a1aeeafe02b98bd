"""Multipart bodies: handed on to Mistral as they arrive, and looked at meanwhile.

A form that tells its model before its file is never held as a whole, neither in memory nor on disk.
One that begins with its file waits in a temporary file, because nothing may be sent before it is
known which model it is for. What is refused half-way never reaches Mistral whole.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from tenants.common.problems import Invalid
from tenants.gateway.multipart import Form
from tenants.gateway.parts import broken
from tenants.gateway.spool import Spool

_PIECE = 256 * 1024
#: Fields that decide what a call costs or touches: none may come after the sending has begun.
_DECISIVE = frozenset({"model", "file_id", "file_url"})

type Read = Callable[[], Awaitable[bytes]]


class Watcher(Protocol):
    """Looks at the file of a form, a piece at a time.

    Attributes:
        kept: bytes that it remembers.
    """

    @property
    def kept(self) -> int: ...  # noqa: D102 - said above

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""

    async def catch_up(self, *, is_over: bool = False) -> None:
        """Look at what was taken, before more of the form is read; ``is_over``: it was all."""


class Upload:
    """A form on its way from the caller.

    Args:
        read: gives the next piece of the body, nothing at its end.
        form: follows it.
        length: of the body as the caller told it; None: not told.
        most: bytes.
        keep: has room for so many bytes in memory, or refuses.
        watcher: looks at the file, and may take its time.

    Attributes:
        fault: why the sending was broken off, if it was.
        length: of what is sent; None: not known.
    """

    def __init__(
        self,
        read: Read,
        form: Form,
        length: int | None,
        most: int,
        *,
        keep: Callable[[int], None],
        watcher: Watcher | None = None,
    ) -> None:
        self._keep = keep
        self._watcher = watcher
        self._read = read
        self._form = form
        self._most = most
        self._head = bytearray()
        self._read_so_far = 0
        self._spool: Spool | None = None
        self._settled: frozenset[str] = frozenset()
        self._is_read = False
        self.length = length
        self.fault: Exception | None = None

    @property
    def form(self) -> Form:
        """What has passed of it."""
        return self._form

    async def read_ahead(self, is_enough: Callable[[Form], bool]) -> None:
        """Read until enough is known, or the body is over.

        Raises:
            Problem: what the form or its reading is refused for.
        """
        while not is_enough(self._form):
            if not await self._more(self._head):
                break

    async def read_all(self, spool: Spool) -> None:
        """Read the whole body into a temporary file.

        Raises:
            Problem: there is no room for it now, or what the form is refused for.
        """
        spool.expect(self.length or 0)
        self._spool = spool
        piece, self._head = self._head, bytearray()
        while await self._more(piece):
            if len(piece) >= _PIECE:
                await spool.write(bytes(piece))
                piece.clear()
        await spool.write(bytes(piece))
        self.length = self._read_so_far
        self._refuse_cut()

    def set_field(self, boundary: bytes, name: str, value: str) -> None:
        """Put a value into a field that was read already, or the field in front of all others.

        Raises:
            Invalid: the field tells how long it is, and would be longer or shorter.
        """
        known = self._form.fields.get(name)
        text = value.encode()
        if known is not None:
            if known.is_measured and len(text) != known.end - known.start:
                raise broken(f"`{name}` has to be `{value}`, and its length is told already")
            start, end, new = known.start, known.end, text
        else:
            start = end = 0
            new = b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (
                boundary,
                name.encode(),
                text,
            )
        if self._spool is None:
            self._head[start:end] = new
        else:
            self._spool.replace(start, end, new)
        if self.length is not None:
            self.length += len(new) - (end - start)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give what is to be sent, piece by piece; what stops it stays in ``fault``."""
        self._settled = frozenset(self._form.fields) | frozenset(self._form.files)
        try:
            if self._spool is not None:
                async for piece in self._spool.pieces():
                    yield piece
                return
            # The last piece is held back: a form that turns out to be cut never arrives whole.
            held, self._head = bytes(self._head), bytearray()
            piece_read = bytearray()
            while await self._more(piece_read):
                self._refuse_late()
                if held:
                    yield held
                held, piece_read = bytes(piece_read), bytearray()
            self._refuse_cut()
            yield held
        except Exception as fault:
            self.fault = fault
            raise

    def close(self) -> None:
        """Let go of the temporary file."""
        if self._spool is not None:
            self._spool.close()

    def _refuse_late(self) -> None:
        late = (_DECISIVE & set(self._form.fields)) - self._settled
        if self._settled & set(self._form.files):  # the file was looked at, and not another one
            late |= set(self._form.files) - self._settled
        if late:
            raise Invalid.field(
                f"/{min(late)}", "field_too_late", f"Send `{min(late)}` before the file."
            )

    def _refuse_cut(self) -> None:
        if not self._form.is_over:
            raise Invalid("invalid_form", "The form ended before its last boundary.", status=400)

    async def _more(self, into: bytearray) -> bool:
        """Read one piece; False at the end of the body."""
        if self._is_read:
            return False
        piece = await self._read()
        if not piece:
            self._is_read = True
            if self._watcher is not None:
                await self._watcher.catch_up(is_over=True)
            return False
        self._read_so_far += len(piece)
        if self._read_so_far > self._most:
            raise Invalid(
                "body_too_large", f"The body is larger than {self._most} bytes.", status=413
            )
        self._form.feed(piece)
        into += piece
        held = len(into) + self._form.kept
        if self._watcher is None:
            self._keep(held)
            return True
        self._keep(held + self._watcher.kept)
        await self._watcher.catch_up()
        self._keep(held + self._watcher.kept)
        return True
