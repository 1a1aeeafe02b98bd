"""Addresses of scripts and styles: a file's digest is in its address, so browsers may keep it.

The files are served from the packages that carry them; nothing is collected or built.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.finders import AppDirectoriesFinder
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware

_LENGTH = 10


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
    """Serves them from memory of where they are; each in one piece, as they are small."""

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        """Answer a file, or that the browser has it already."""
        found = static_file.get_response(request.method, request.META)
        body = b""
        if found.file is not None:
            with found.file as file:
                body = file.read()
        response = HttpResponse(body, status=int(found.status))
        del response.headers["Content-Type"]
        for name, value in found.headers:
            response.headers[name] = value
        return response


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
