"""Where a person is signed in: which browser on what, since when, and when it was used last.

Browsers tell a long story of what they resemble; the rules here read the names that matter out of
it, and say so where they find none.
"""

import time
from dataclasses import dataclass
from datetime import datetime

from allauth.usersessions.internal import flows
from allauth.usersessions.models import UserSession
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.people.models import Person

#: What a browser says of itself, and whose name it is; later ones are what earlier ones resemble.
_BROWSERS = (
    *(("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser/", "Samsung Internet")),
    *(("Vivaldi/", "Vivaldi"), ("Firefox/", "Firefox"), ("FxiOS/", "Firefox")),
    *(("HeadlessChrome/", "Chrome"), ("CriOS/", "Chrome"), ("Chrome/", "Chrome")),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    *(("Windows", "Windows"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android")),
    *(("CrOS", "ChromeOS"), ("Macintosh", "macOS"), ("Linux", "Linux")),
)
_NOTED = "aim_seen"
#: How exact the last use is, in seconds: it is written no more often.
_STEP = 600


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session, as its person reads it."""

    id: int
    name: str
    agent: str
    address: str
    since: datetime
    used_at: datetime
    is_this: bool


def sessions_of(person: Person) -> list[SignedIn]:
    """List a person's sessions that go on, the one used last first."""
    rows = UserSession.objects.purge_and_list(person)
    rows.sort(key=lambda one: one.last_seen_at, reverse=True)
    return [
        SignedIn(
            id=row.pk,
            name=name_of(row.user_agent),
            agent=row.user_agent,
            address=row.ip,
            since=row.created_at,
            used_at=row.last_seen_at,
            is_this=row.is_current(),
        )
        for row in rows
    ]


def name_of(agent: str) -> str:
    """Say in words what a ``User-Agent`` says."""
    browser = next((name for sign, name in _BROWSERS if sign in agent), "")
    system = next((name for sign, name in _SYSTEMS if sign in agent), "")
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or _("A browser that does not tell its name")


def end_one(request: HttpRequest, text: str) -> bool:
    """End one session of the person who asks, but not the one that asks; False: there is none."""
    own = UserSession.objects.filter(user_id=request.user.pk)
    found = own.filter(pk=int(text)).first() if text.isascii() and text.isdecimal() else None
    if found is None or found.is_current():
        return False
    flows.sessions.end_sessions(request, [found])
    return True


def note_use(request: HttpRequest) -> None:
    """Remember that a session is used, to ten minutes."""
    now = int(time.time()) // _STEP
    if request.session.get(_NOTED) != now:
        request.session[_NOTED] = now
        own = UserSession.objects.filter(session_key=request.session.session_key)
        own.update(last_seen_at=timezone.now())
