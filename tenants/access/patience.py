"""How long whoever tried too often has to wait: read from allauth's own counts, which tell nobody.

allauth only says "later". Its counts are lists of instants in the cache; the oldest that still
counts is the one that has to pass.
"""

import math
import time

from allauth.core.internal import ratelimit
from django.core.cache import cache
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

_APP = "allauth.account"
_MINUTE = 60


def seconds_left(request: HttpRequest, action: str, key: str = "") -> int:
    """Tell after how many seconds an action is counted anew; 0 if it may be done now.

    Args:
        request: whose address counts.
        action: as allauth calls it.
        key: what is counted beside the address, as allauth spells it; without it only the address.
    """
    waits = [0.0]
    now = time.time()
    for rate in ratelimit.get_rates(app=_APP, action=action):
        if rate.per == "user" or (rate.per == "key" and not key):
            continue
        name = ratelimit.get_cache_key(request, app=_APP, action=action, rate=rate, key=key)
        tried = [at for at in cache.get(name, []) if at > now - rate.duration]
        if len(tried) >= rate.amount:
            waits.append(tried[rate.amount - 1] + rate.duration - now)
    return math.ceil(max(waits))


def in_words(seconds: int) -> str:
    """Say how long that is."""
    if seconds < _MINUTE:
        words = ngettext(
            "Try again in %(number)d second.", "Try again in %(number)d seconds.", seconds
        )
        return words % {"number": seconds}
    minutes = math.ceil(seconds / _MINUTE)
    words = ngettext("Try again in %(number)d minute.", "Try again in %(number)d minutes.", minutes)
    return words % {"number": minutes}


def too_often(seconds: int) -> str:
    """Say that something was tried too often, and when it may be tried again."""
    return f"{_('This was tried too often.')} {in_words(seconds)}"
