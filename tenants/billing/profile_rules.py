"""What a billing profile must hold, by country: Italy's electronic invoices ask for more.

Each breach is told at its member. An Italian profile names the recipient's code at the exchange
system (SdI, seven letters or digits) or a certified address (PEC); others have neither.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from django.utils.translation import gettext as _

from tenants.billing import vat
from tenants.billing.vat import VatError, VatNumber
from tenants.common.problems import FieldError, Invalid
from tenants.common.text import normalise_email

_ITALY = "IT"
_SDI = re.compile(r"(?a:[A-Z0-9]{7})")
_PROVINCE = re.compile(r"(?a:[A-Z]{2})")
_COUNTRIES = Path(__file__).parent / "data" / "countries.txt"
#: Forms of postal codes, where they have one.
_POSTAL: Mapping[str, re.Pattern[str]] = {
    country: re.compile(f"(?a:{pattern})")
    for country, pattern in {
        **dict.fromkeys(["IT", "FR", "DE", "ES", "FI", "EE", "HR", "SM", "VA", "MC"], r"\d{5}"),
        **dict.fromkeys(["AT", "BE", "BG", "CY", "CH", "DK", "HU", "LU", "SI", "LI"], r"\d{4}"),
        "PL": r"\d{2}-\d{3}",
        "PT": r"\d{4}-\d{3}",
        "NL": r"\d{4} ?[A-Z]{2}",
        "RO": r"\d{6}",
        **dict.fromkeys(["SE", "CZ", "SK", "GR"], r"\d{3} ?\d{2}"),
        "GB": r"[A-Z]{1,2}\d[A-Z0-9]? ?\d[A-Z]{2}",
        "US": r"\d{5}(?:-\d{4})?",
    }.items()
}


@dataclass(frozen=True)
class ProfileFacts:
    """A billing profile as somebody states it."""

    legal_name: str
    line1: str
    postal_code: str
    city: str
    country: str
    vat_number: str = ""
    line2: str = ""
    province: str = ""
    sdi_code: str = ""
    pec: str = ""


@dataclass(frozen=True)
class CheckedProfile:
    """A profile that keeps the rules, in its one spelling."""

    facts: ProfileFacts
    vat: VatNumber | None


def check(facts: ProfileFacts) -> CheckedProfile:
    """Check a profile.

    Raises:
        Invalid: ``validation_failed``, with one entry per member that is wrong.
    """
    country = facts.country.upper()
    spelled = replace(
        facts,
        country=country,
        postal_code=facts.postal_code.upper(),
        province=facts.province.upper() if country == _ITALY else facts.province,
        sdi_code=facts.sdi_code.upper(),
    )
    errors = list(_breaches(spelled))
    number: VatNumber | None = None
    if spelled.vat_number:
        try:
            number = vat.read(spelled.vat_number, spelled.country)
        except VatError as error:
            errors.append(FieldError("/vat_number", error.code, _words(error.code)))
    pec = ""
    if spelled.pec:
        pec = normalise_email(spelled.pec) or ""
        if not pec:
            errors.append(FieldError("/pec", "email_invalid", _("This is not an e-mail address.")))
    if errors:
        detail = _("Some members of the request are not right; see errors.")
        raise Invalid("validation_failed", detail, errors=tuple(errors))
    return CheckedProfile(replace(spelled, vat_number=str(number or ""), pec=pec), number)


def _breaches(facts: ProfileFacts) -> Iterator[FieldError]:
    if facts.country not in countries():
        detail = _("This is no country of ISO 3166, like IT.")
        yield FieldError("/address/country", "country_unknown", detail)
    form = _POSTAL.get(facts.country)
    if form is not None and not form.fullmatch(facts.postal_code):
        detail = _("This is no postal code of this country.")
        yield FieldError("/address/postal_code", "postal_code_malformed", detail)
    if facts.country == _ITALY:
        yield from _italian(facts)
    elif facts.sdi_code or facts.pec:
        detail = _("Only profiles of Italy have an SdI code or a PEC address.")
        yield FieldError("/sdi_code" if facts.sdi_code else "/pec", "italy_only", detail)


def _italian(facts: ProfileFacts) -> Iterator[FieldError]:
    if not _PROVINCE.fullmatch(facts.province):
        detail = _("Name the province by its two letters, like MI.")
        yield FieldError("/address/province", "province_required", detail)
    if facts.sdi_code and not _SDI.fullmatch(facts.sdi_code):
        detail = _("An SdI code has seven letters or digits.")
        yield FieldError("/sdi_code", "sdi_malformed", detail)
    if not facts.sdi_code and not facts.pec:
        detail = _("Give the SdI code or the PEC address that invoices are sent to.")
        yield FieldError("/sdi_code", "sdi_or_pec_required", detail)


def _words(code: str) -> str:
    return {
        "vat_malformed": _("This is no VAT number of this country."),
        "vat_check_digit": _("The check digit of this VAT number is wrong: look for a slip."),
        "vat_country_mismatch": _("Write the VAT number with the prefix of its country, like IT."),
    }[code]


@cache
def countries() -> frozenset[str]:
    """Give the countries of ISO 3166, by two letters: what a profile may name."""
    return frozenset(_COUNTRIES.read_text(encoding="ascii").split())
