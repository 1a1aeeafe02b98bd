"""From which address a request comes, and whether that is in a network.

A header can say anything. So the address is that of the connection, unless ``TRUSTED_PROXY_COUNT``
proxies stand before us: each of them appends to ``X-Forwarded-For`` whom it heard, so the entry
that many places from the end is what the outermost of *ours* wrote. What comes before it was said
by the client. With fewer entries the request came around the proxies: its address is unknown, and
in no network.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

type Address = IPv4Address | IPv6Address

_WITH_PORT = re.compile(r"(?a:\[([0-9A-Fa-f:.]+)\]|(\d+\.\d+\.\d+\.\d+))(?::\d+)?")


def address_of(request: HttpRequest | Request) -> Address | None:
    """Tell where a request comes from; None when that cannot be told."""
    count: int = settings.TRUSTED_PROXY_COUNT
    if count == 0:
        return read_address(request.META.get("REMOTE_ADDR", ""))
    said = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    return read_address(said[-count].strip()) if len(said) >= count else None


def read_address(text: str) -> Address | None:
    """Read an address, with or without a port; one of IPv4 in the clothes of IPv6 is IPv4."""
    found = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address((found[1] or found[2]) if found else text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def read_network(text: str) -> str | None:
    """Read a network as CIDR, or one address, into its one spelling; None if it is none."""
    try:
        return str(ip_network(text)) if "%" not in text else None
    except ValueError:
        return None


def is_within(address: Address | None, networks: Iterable[str]) -> bool:
    """Tell whether an address lies in one of these networks."""
    return address is not None and any(address in ip_network(one) for one in networks)
