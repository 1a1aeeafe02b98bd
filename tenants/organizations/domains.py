"""Domains of mail providers: anybody can have an address there, so no organization can own them.

The list holds the providers that people in Italy and elsewhere use most, certified mail (PEC)
included. A missing one only means that strangers may *ask* an organization to join; an
administrator still decides.
"""

from functools import cache
from pathlib import Path

_LIST = Path(__file__).parent / "data" / "mail_providers.txt"


@cache
def _providers() -> frozenset[str]:
    return frozenset(_LIST.read_text(encoding="ascii").split())


def is_public(domain: str) -> bool:
    """Tell whether a domain, in its one spelling, is a mail provider's or a part of one."""
    labels = domain.split(".")
    return any(".".join(labels[start:]) in _providers() for start in range(len(labels)))
