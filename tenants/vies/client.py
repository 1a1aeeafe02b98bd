"""Asks the European Commission's VIES whether a VAT number is registered, and nothing else.

VIES asks the member state's own register, which is often away: that is no answer, not a bad one.
Source: the REST interface at ec.europa.eu/taxation_customs/vies, `check-vat-number`.
"""

from dataclasses import dataclass
from enum import StrEnum

import httpx
from django.conf import settings

from tenants.common import scope

_TIMEOUT = httpx.Timeout(20, connect=5)
_LARGEST = 65_536


class Registration(StrEnum):
    """What VIES says of a number."""

    REGISTERED = "registered"
    NOT_REGISTERED = "not_registered"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Answer:
    """What VIES says, and why it says nothing; the reason is VIES's own word."""

    registration: Registration
    reason: str = ""


def check(*, country: str, number: str) -> Answer:
    """Ask about a number without its prefix, with no transaction open; never raises for the wire.

    Raises:
        ScopeError: a database transaction is open.
    """
    scope.assert_no_transaction()
    body = {"countryCode": country, "vatNumber": number}
    try:
        with (
            httpx.Client(timeout=_TIMEOUT, trust_env=True, follow_redirects=False) as client,
            client.stream("POST", f"{settings.VIES_API_URL}/check-vat-number", json=body) as answer,
        ):
            raw = b""
            for piece in answer.iter_bytes():
                raw += piece
                if len(raw) > _LARGEST:
                    return Answer(Registration.UNKNOWN, "too_large")
            return _read(httpx.Response(answer.status_code, content=raw))
    except httpx.HTTPError as error:
        return Answer(Registration.UNKNOWN, type(error).__name__)


def _read(answer: httpx.Response) -> Answer:
    try:
        body = answer.json()
    except ValueError:
        return Answer(Registration.UNKNOWN, f"http_{answer.status_code}")
    if not isinstance(body, dict):
        return Answer(Registration.UNKNOWN, "not_an_object")
    wrapped = body.get("errorWrappers")
    if isinstance(wrapped, list) and wrapped and isinstance(wrapped[0], dict):
        return Answer(Registration.UNKNOWN, str(wrapped[0].get("error"))[:64])
    said = body.get("userError")
    if answer.is_success and body.get("valid") is True:
        return Answer(Registration.REGISTERED)
    # A register that is away answers `valid: false` too; only its own word is an answer.
    if answer.is_success and body.get("valid") is False and said in {None, "INVALID"}:
        return Answer(Registration.NOT_REGISTERED)
    return Answer(Registration.UNKNOWN, str(said or f"http_{answer.status_code}")[:64])
