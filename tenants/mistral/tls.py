"""The certificates that Mistral's addresses are checked against; nothing of the environment's."""

import ssl
from functools import cache

import httpx


@cache
def trusted() -> ssl.SSLContext:
    """Load the certificates that come with httpx, once per process: it takes a tenth of a second.

    No store of the system is asked, so that an image without a certificate store works the same.
    """
    context = httpx.create_ssl_context(trust_env=False)
    context.set_alpn_protocols(["http/1.1"])
    return context
