"""Answers that are sent as they are made, whatever kind of server asks for them."""

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, StreamingHttpResponse


def response(
    request: HttpRequest, chunks: Iterator[bytes], *, media_type: str, file_name: str
) -> StreamingHttpResponse:
    """Stream chunks; under ASGI each is made in the request's own thread when it is sent.

    Django would gather a plain iterator whole before it sends the first byte there.

    Args:
        request: which.
        chunks: each step works for itself, in no transaction of another's.
        media_type: of the whole.
        file_name: what a browser saves it as; plain ASCII.
    """
    is_plain = isinstance(request, WSGIRequest)
    whole = StreamingHttpResponse(
        chunks if is_plain else _asynchronous(chunks), content_type=media_type
    )
    whole["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return whole


async def _asynchronous(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    following = sync_to_async(lambda: next(chunks, b""), thread_sensitive=True)
    while chunk := await following():
        yield chunk
