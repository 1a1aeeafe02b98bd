"""What was typed into a form that was refused because the sign-in was over, or too old.

It waits in the browser's session for the page that the form stands on, and is given back within ten
minutes only: the form is filled with it again, and the page says that nothing was saved. Nothing
waits that may be a secret: forms with something sealed or a password, and texts in which a word
looks like a key or like a token of ours. Nothing long waits, and what one address sends is counted:
strangers may send forms, too.
"""

import re
import time
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from allauth.core.internal import ratelimit
from django.contrib import messages
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _

from tenants.console.undoing import UNDOING
from tenants.mistral.masking import mask_key_shaped

LASTS = 600
MOST_CHARACTERS = 10_000
_NAME = "aim_kept"
_RATE = {"kept": "20/m/ip"}
#: What forms hold beside what is typed: it is made anew with the page.
_OWN = frozenset({"csrfmiddlewaretoken", "form_id", "from", "action", UNDOING})
#: What a form has beside its fields: how the facts were when it was shown.
_BESIDE = frozenset({"seen"})
_SECRET_FIELD = re.compile(r"sealed|passw|secret", re.IGNORECASE)
_SECRET_TEXT = re.compile(r"aim_\w|whsec_")


@dataclass(slots=True)
class _Waiting:
    """What waits for the page that is being made, and whether a form of it has taken it."""

    found: dict[str, Any]
    is_back: bool = False
    is_told: bool = False

    @property
    def said(self) -> MultiValueDict[str, str] | None:
        said: dict[str, list[str]] | None = self.found["said"]
        return None if said is None else MultiValueDict(said)


_waiting: ContextVar[_Waiting | None] = ContextVar("kept", default=None)


def keep(request: HttpRequest, page: str) -> None:
    """Keep what a form says for its page; of what may not be kept, only that it was sent."""
    if not ratelimit.consume(request, app=_NAME, action="kept", config=_RATE):
        return
    said = {name: request.POST.getlist(name) for name in request.POST if name not in _OWN}
    request.session[_NAME] = {
        "at": int(time.time()),
        "page": page.partition("?")[0],
        "person": str(request.user.pk) if request.user.is_authenticated else "",
        "said": said if _may_wait(said) else None,
    }


def waits_for(request: HttpRequest, page: str) -> str:
    """Tell a sign-in whether it was a form that led to it: ``typed``, ``lost``, or nothing."""
    found: Any = request.session.get(_NAME)
    if not found or found["page"] != page.partition("?")[0] or time.time() - found["at"] > LASTS:
        return ""
    return "lost" if found["said"] is None else "typed"


def at_hand(request: HttpRequest, make: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """Make a page with what waits for it at hand; where it leads on, that goes along."""
    is_whole_page = request.method != "POST" and "HX-Request" not in request.headers
    waiting = _taken_out(request) if is_whole_page else None
    token = _waiting.set(waiting)
    try:
        answered = make()
    finally:
        _waiting.reset(token)
    if waiting and not waiting.is_told and "Location" in answered.headers:
        there = urlsplit(answered.headers["Location"]).path
        request.session[_NAME] = waiting.found | {"page": there}
    return answered


def typed(fields: Collection[str]) -> MultiValueDict[str, str] | None:
    """Give what waits to the first form that has all its fields; None to all others."""
    waiting = _waiting.get()
    said = waiting.said if waiting and not waiting.is_back else None
    if not waiting or not said or not set(said) - _BESIDE <= set(fields):
        return None
    waiting.is_back = True
    return said


def tell(request: HttpRequest) -> None:
    """Say on the page what became of it, once its forms are made."""
    waiting = _waiting.get()
    if waiting is None or waiting.is_told:
        return
    waiting.is_told = True
    if waiting.is_back:
        sentence = _(
            "Nothing was saved yet, because the sign-in had to be renewed first. What was typed is"
            " in the form again: look it over and send it."
        )
    else:
        sentence = _(
            "Nothing was saved, because the sign-in had to be renewed first, and what was typed is"
            " not kept. Do it once more."
        )
    messages.warning(request, sentence)


def _taken_out(request: HttpRequest) -> _Waiting | None:
    found: Any = request.session.get(_NAME)
    if not found:
        return None
    is_over = time.time() - found["at"] > LASTS
    is_anothers = found["person"] not in {"", str(request.user.pk)}
    if found["page"] != request.path and not is_over and not is_anothers:
        return None
    del request.session[_NAME]
    if is_over or is_anothers:
        return None
    return _Waiting(found)


def _may_wait(said: Mapping[str, list[str]]) -> bool:
    texts = [text for several in said.values() for text in several]
    return (
        sum(map(len, [*said, *texts])) <= MOST_CHARACTERS
        and not any(_SECRET_FIELD.search(name) for name in said)
        and not any(_SECRET_TEXT.search(one) or mask_key_shaped(one) != one for one in texts)
    )
