"""Addresses of Mistral's API, built from a configured root; refuses paths that could leave it."""

import re
from functools import lru_cache
from urllib.parse import unquote, urlsplit

_VERSION = "/v1"
# What a path and query may consist of (RFC 3986), without fragments.
_PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@/%?]*")


def service_root(url: str) -> str:
    """Bring a configured address into the form without a final slash and without `/v1`.

    Both spellings are in use (the `mistralai` SDK wants the root, `openai` wants `/v1`), and mixing
    them up gives calls to `/v1/v1`. A path prefix, as of a proxy, stays.

    Raises:
        ValueError: no absolute http(s) address, or one with a login, query or fragment.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("give an absolute http or https address")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("the address may have no login, query or fragment")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix(_VERSION)}"


@lru_cache(maxsize=1024)
def join(root: str, path: str) -> str:
    """Append a path (with its query, both already encoded) to a root.

    Raises:
        ValueError: the path does not begin with a slash, has foreign characters or dot segments.
    """
    segments = unquote(path.partition("?")[0]).split("/")
    if not _PATH.fullmatch(path) or {".", ".."} & set(segments):
        raise ValueError("not a path of the API")
    return root + path
