"""Addresses of scripts and styles: a file's digest is in its address, so browsers may keep it.

The files are served from the packages that carry them; nothing is collected or built.
"""

import gzip
import hashlib
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.finders import AppDirectoriesFinder
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from whitenoise.middleware import WhiteNoiseMiddleware

_LENGTH = 10
#: What becomes smaller.
_TEXT = ("text/", "application/json", "image/svg+xml")

#: Whose files are served: those of ours, htmx, passkeys, the rendered documentation, the desk.
_APPS = (
    "tenants.console",
    "tenants.support",
    "django_htmx",
    "allauth.mfa",
    "drf_spectacular_sidecar",
    "unfold",
)


class NeededFiles(AppDirectoriesFinder):
    """Finds the files that pages ask for; what else packages carry is not served."""

    def __init__(self) -> None:
        super().__init__(app_names=_APPS)


class Assets(WhiteNoiseMiddleware):  # type: ignore[misc]  # it comes without types
    """Serves them from memory of where they are; each in one piece, as they are small.

    Text is compressed once, when it is first asked for: there is no build that could have done it.
    An address with the right digest may be kept for a year, as what is behind it never changes.
    """

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        """Answer a file, or that the browser has it already."""
        found = static_file.get_response(request.method, request.META)
        body, path = b"", ""
        if found.file is not None:
            with found.file as file:
                path, body = str(file.name), file.read()
        response = HttpResponse(body, status=int(found.status))
        del response.headers["Content-Type"]
        for name, value in found.headers:
            response.headers[name] = value
        name = request.path.removeprefix(settings.STATIC_URL)
        if request.GET.get("v") and request.GET["v"] == _digest(name):
            response.headers["Cache-Control"] = "max-age=31536000, public, immutable"
        if response.headers.get("Content-Type", "").startswith(_TEXT):
            patch_vary_headers(response, ["Accept-Encoding"])
            if body and found.status == HTTPStatus.OK and _takes_gzip(request):
                response.content = _compressed(path)
                response.headers["Content-Encoding"] = "gzip"
                response.headers["Content-Length"] = str(len(response.content))
        return response


def _takes_gzip(request: HttpRequest) -> bool:
    said = request.headers.get("Accept-Encoding", "").replace(" ", "").lower().split(",")
    return any(one == "gzip" or (one.startswith("gzip;q=") and one != "gzip;q=0") for one in said)


@cache
def _compressed(path: str) -> bytes:
    """Compress a file; packages do not change while they serve."""
    return gzip.compress(Path(path).read_bytes(), compresslevel=9, mtime=0)


class VersionedFiles(StaticFilesStorage):
    """Adds the digest of a file to its address."""

    def url(self, name: str | None) -> str:
        """Write the address of a file."""
        address: str = super().url(name)
        return f"{address}?v={_digest(name)}" if name else address


@cache
def _digest(name: str) -> str:
    path = finders.find(name)
    if not isinstance(path, str):
        raise ValueError(f"no such file: {name}")  # noqa: TRY004 - as other storages do
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:_LENGTH]
