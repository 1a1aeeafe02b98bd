"""VAT numbers by the rules of their countries: form and check digit, without asking anybody.

python-stdnum knows the rules. A number carries its country's prefix, as invoices show it; Greece's
is EL, Northern Ireland's XI.
"""

from dataclasses import dataclass

from stdnum import exceptions, get_cc_module
from stdnum.eu import vat as eu

_PREFIX = {"GR": "EL"}
_SEPARATORS = str.maketrans("", "", " .-/\u00a0")
_LONGEST = 20
_PREFIX_LENGTH = 2


class VatError(Exception):
    """What is wrong with a number; ``code`` names it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class VatNumber:
    """A number in its one spelling.

    Attributes:
        prefix: of the country.
        rest: what follows.
        is_checked: whether the country's rules were known and held.
    """

    prefix: str
    rest: str
    is_checked: bool

    def __str__(self) -> str:
        return self.prefix + self.rest

    @property
    def is_european(self) -> bool:
        """Tell whether VIES can be asked."""
        return self.prefix.lower() in _EUROPEAN


_EUROPEAN = frozenset({*eu.MEMBER_STATES, "el", "xi"}) - {"gr"}


def read(text: str, country: str) -> VatNumber:
    """Read a VAT number of a country.

    Raises:
        VatError: ``vat_malformed``, ``vat_check_digit``, or ``vat_country_mismatch``: its prefix is
            missing or another country's.
    """
    number = text.translate(_SEPARATORS).upper()
    prefix = _PREFIX.get(country, country)
    if not number.isascii() or not number.isalnum() or len(number) > _LONGEST:
        raise VatError("vat_malformed")
    if not number.startswith(prefix) and not (country == "GB" and number.startswith("XI")):
        raise VatError("vat_country_mismatch")
    found = VatNumber(number[:_PREFIX_LENGTH], number[_PREFIX_LENGTH:], is_checked=True)
    module = eu if found.is_european else get_cc_module(country.lower(), "vat")
    if module is None:
        if not found.rest:
            raise VatError("vat_malformed")
        return VatNumber(found.prefix, found.rest, is_checked=False)
    try:
        module.validate(number)
    except exceptions.InvalidChecksum:
        raise VatError("vat_check_digit") from None
    except exceptions.ValidationError:
        raise VatError("vat_malformed") from None
    return found
