"""Money as Decimal, rounded in one place; it refuses float."""

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

#: A cost is kept to the nano-unit of its currency: one cached token of the cheapest model costs
#: about 0.01 of a micro-unit.
NANO = Decimal("0.000000001")
MAX_DIGITS = 20
DECIMAL_PLACES = 9
CURRENCIES = ("EUR", "USD")


def rounded(amount: Decimal) -> Decimal:
    """Round a cost to nano-units, half to even; the only rounding of money in the product."""
    return amount.quantize(NANO, rounding=ROUND_HALF_EVEN)


def parse_amount(text: str) -> Decimal:
    """Read a decimal amount, to the nano-unit at most, as people write limits.

    Raises:
        ValueError: no plain decimal number, negative, too precise or too large.
    """
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise ValueError("not a decimal number") from error
    if not amount.is_finite() or amount.is_signed() or "e" in text.lower():
        raise ValueError("not a positive decimal number")
    if amount >= Decimal(10) ** 9 or amount != rounded(amount):
        raise ValueError("too large, or finer than a nano-unit")
    return amount


def plain(amount: Decimal, places: int = 2) -> str:
    """Write an amount without exponent and with at least ``places`` decimals: ``0.50``."""
    text = format(amount.normalize(), "f")
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.ljust(places, '0')}" if places or fraction else whole
