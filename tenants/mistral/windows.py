"""Names of rate-limit windows: what each counts, and for how long.

Names have changed four times (docs, recordings), their build has not: a meter, a number and a unit
of time, any of which may be missing. It refuses to guess at other names: those are only shown.
"""

import re

REQUESTS, TOKENS = "requests", "tokens"
#: No window of Mistral's: what is guessed of one from its refusals.
INFERRED = "inferred-req-minute"
DAY = 86_400
MONTH = 31 * DAY

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": DAY, "month": MONTH}
_NAME = re.compile(r"(?:(.+?)-)?(?:(\d{1,5})-)?(second|minute|hour|day|month)")
#: What names begin with, and what that counts.
METERS = {"req": REQUESTS, "requests": REQUESTS, "inferred-req": REQUESTS, "tokens": TOKENS}


def window_of(name: str, *, by_size: bool = False) -> tuple[str, int] | None:
    """Read a window's name: its meter, and its seconds; None if it is not known.

    Meters other than ``requests`` and ``tokens`` keep Mistral's word. The oldest names, on request
    size, have no meter of their own: they count tokens.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    meter = found[1] or ("tokens" if by_size else "req")
    return METERS.get(meter, meter), int(found[2] or 1) * _SECONDS[found[3]]
