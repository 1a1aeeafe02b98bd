"""Countries by name, in the reader's language: Unicode's names, as Babel carries them."""

import unicodedata
from functools import cache

from babel import Locale, UnknownLocaleError

from tenants.billing.profile_rules import countries

_OTHERWISE = "en"


@cache
def named(language: str) -> tuple[tuple[str, str], ...]:
    """List every country that a billing profile may name, by name: code and name.

    Args:
        language: the reader's. English if nobody knows it.
    """
    try:
        names = Locale.parse(language.replace("-", "_")).territories
    except (UnknownLocaleError, ValueError):
        return named(_OTHERWISE)
    found = [(code, str(names.get(code, code))) for code in countries()]
    return tuple(sorted(found, key=lambda one: _plain(one[1])))


def _plain(name: str) -> str:
    """Write a name as it is looked up in a list: accents do not count."""
    decomposed = unicodedata.normalize("NFD", name.casefold())
    return "".join(one for one in decomposed if not unicodedata.combining(one))
