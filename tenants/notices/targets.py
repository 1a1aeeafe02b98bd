"""Where webhooks may be sent: public https addresses, and nothing inside of our own network.

An address is judged twice. What it says is judged when it is entered; what its name leads to is
judged with each attempt, and the connection is made to the very address that was judged, so that a
name that leads elsewhere a moment later (DNS rebinding) leads nowhere.

NotPublicError    the name leads to an address that is not public
UnresolvedError   it leads nowhere
"""

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from tenants.common.problems import Invalid
from tenants.common.text import normalise_domain

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST_URL = 2000
_PORTS = frozenset({443, 4443, 8443, 9443, 10443})
_FIRST_LOOPBACK_PORT = 1024
_VISIBLE = re.compile(r"[!-~]+")
_LOCAL_HOST = "localhost"
#: Names that never lead out of a network (RFC 6761, 6762, 8375, 9476).
_INSIDE = (".localhost", ".local", ".internal", ".home.arpa", ".alt", ".onion")
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")
#: Parts of 2000::/3 that carry an IPv4 address of anybody's choice, or are nobody's.
_REFUSED_V6 = tuple(
    ipaddress.ip_network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
_RELAYS_V4 = ipaddress.ip_network("192.88.99.0/24")


class NotPublicError(Exception):
    """A name, or an address, that leads into a network that is not public."""


class UnresolvedError(Exception):
    """A name that leads nowhere."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes.

    Attributes:
        scheme: ``https``, or ``http`` to loopback where that is allowed.
        host: a domain in its A-form, or an address without brackets.
        port: of TCP.
        path: with the query, as it is written into the request.
        is_loopback: it must lead to this very machine; any other must not.
    """

    scheme: str
    host: str
    port: int
    path: str
    is_loopback: bool

    @property
    def url(self) -> str:
        """The address in its one spelling."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        standard = {"https": 443, "http": 80}[self.scheme]
        port = "" if self.port == standard else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def read(url: str) -> Target:
    """Read and judge an address as it is written; nothing is resolved.

    Raises:
        Invalid: ``url_invalid``, ``url_not_https``, ``url_not_public``, ``url_port_refused``.
    """
    parts = _split(url)
    host, is_loopback = _host(parts)
    if parts.scheme != "https" and not (is_loopback and parts.scheme == "http"):
        detail = _("Webhooks are sent over https only.")
        raise Invalid.field("/url", "url_not_https", detail)
    port = parts.port or {"https": 443, "http": 80}[parts.scheme]
    allowed = port >= _FIRST_LOOPBACK_PORT if is_loopback else port in _PORTS
    if not allowed:
        detail = _("This port is not allowed. Use one of these: %(ports)s.")
        ports = ", ".join(map(str, sorted(_PORTS)))
        raise Invalid.field("/url", "url_port_refused", detail % {"ports": ports})
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port, path, is_loopback)


def resolve(target: Target) -> tuple[str, ...]:
    """Find the addresses that a target leads to, all of them fit to be connected to.

    One address that is not fit spoils them all: honest names have none.

    Raises:
        NotPublicError: as its name says.
        UnresolvedError: as its name says.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UnresolvedError from None
    addresses = tuple(dict.fromkeys(str(one[4][0]) for one in found))
    if not addresses:
        raise UnresolvedError
    for address in addresses:
        read_address = _address(address)
        fit = read_address is not None and (
            read_address.is_loopback if target.is_loopback else is_public(read_address)
        )
        if not fit:
            raise NotPublicError
    return addresses


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the internet's, and not a way of writing another one."""
    if isinstance(address, ipaddress.IPv4Address):
        return (
            address.is_global
            and not address.is_multicast
            and not address.is_reserved
            and address not in _RELAYS_V4
        )
    return (
        address in _GLOBAL_V6
        and not any(address in network for network in _REFUSED_V6)
        and address.scope_id is None
    )


def _split(url: str) -> SplitResult:
    """Take an address apart, and refuse whatever programs read in different ways."""
    try:
        parts = urlsplit(url)
        _port = parts.port
    except ValueError:
        raise _invalid() from None
    beyond_host = f"{parts.scheme}{parts.path}{parts.query}"
    if (
        len(url) > LONGEST_URL
        or "\\" in url
        or parts.scheme not in {"http", "https"}
        or not parts.hostname
        or "@" in parts.netloc
        or "#" in url
        or _port == 0
        or not _VISIBLE.fullmatch(beyond_host)
        or any(character.isspace() for character in url)
    ):
        raise _invalid()
    return parts


def _host(parts: SplitResult) -> tuple[str, bool]:
    """Bring the host into its one spelling, and tell whether it is this very machine."""
    name = (parts.hostname or "").lower()
    address = _address(name)
    is_loopback = name == _LOCAL_HOST or bool(address and address.is_loopback)
    if is_loopback and settings.WEBHOOK_LOOPBACK:
        return name, True
    if address is not None:
        if not is_public(address):
            raise _not_public()
        return str(address), False
    if is_loopback or f".{name.rstrip('.')}".endswith(_INSIDE):
        raise _not_public()
    domain = normalise_domain(name)
    if domain is None:
        raise _invalid()
    return domain, False


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _invalid() -> Invalid:
    detail = _(
        "This is not an address that webhooks can be sent to. Write it like"
        " https://example.com/webhooks, without user, password or fragment."
    )
    return Invalid.field("/url", "url_invalid", detail)


def _not_public() -> Invalid:
    detail = _("This address is not reachable from the internet. Use a public one.")
    return Invalid.field("/url", "url_not_public", detail)
