"""How mail leaves: ``EMAIL_URL`` as one of Django's mailers."""

from typing import Any
from urllib.parse import unquote, urlsplit


def mailer(url: str | None) -> dict[str, Any]:
    """Turn ``EMAIL_URL`` into one of Django's mailers; without it, mail goes to the console."""
    backends = "django.core.mail.backends"
    if url is None or url == "consolemail://":
        return {"BACKEND": f"{backends}.console.EmailBackend"}
    parts = urlsplit(url)
    if parts.scheme == "filemail":
        options: dict[str, Any] = {"file_path": unquote(parts.path)}
        return {"BACKEND": f"{backends}.filebased.EmailBackend", "OPTIONS": options}
    is_tls = parts.scheme == "smtps"
    options = {
        "host": parts.hostname or "localhost",
        "port": parts.port or (465 if is_tls else 25),
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "use_ssl": is_tls,
        # Whoever takes a password is asked for an encrypted line first.
        "use_tls": not is_tls and bool(parts.username),
        "timeout": 10,
    }
    return {"BACKEND": f"{backends}.smtp.EmailBackend", "OPTIONS": options}
