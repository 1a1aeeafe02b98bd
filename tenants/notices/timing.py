"""When webhooks and mails are tried again, and how long anything may take."""

from dataclasses import dataclass
from secrets import SystemRandom

from django.conf import settings

_uniform = SystemRandom().uniform
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, but for counts; ``settings.NOTICES_TIMING`` overrides any of them.

    Attributes:
        waits: after each attempt that failed until the next one; after the last one it is over.
            They are those that Standard Webhooks suggests: ten attempts in a bit over three days.
        longest: that an endpoint's ``Retry-After`` is heeded.
        rest: of an endpoint after a failure, whatever else is due there; it doubles each time.
        longest_rest: such rest.
        failing: how long an endpoint may take nothing before it is disabled.
        fewest_failures: that must have been among them.
        answer: of one attempt, from resolving the name to the last byte that is read.
        lease: how long a worker may have a delivery; longer than the task's hard limit.
        threads: with which a worker calls so many endpoints at once.
        share: of what is under way that may go to one endpoint.
        most: deliveries under way, of all workers: slow endpoints must not take all of them.
        stretch: of one task, before others get their turn.
        announcements: that are published in one transaction.
        mail_waits: as ``waits``, for mail that the mail server did not take.
        letters: mails that a worker takes at once.
        kept: how long deliveries, mails and announcements are kept.
    """

    waits: tuple[float, ...] = (
        5,
        5 * _MINUTE,
        30 * _MINUTE,
        2 * _HOUR,
        5 * _HOUR,
        10 * _HOUR,
        14 * _HOUR,
        20 * _HOUR,
        24 * _HOUR,
    )
    longest: float = _DAY
    rest: float = 5
    longest_rest: float = 10 * _MINUTE
    failing: float = 5 * _DAY
    fewest_failures: int = 10
    answer: float = 15
    lease: float = 120
    threads: int = 16
    share: int = 4
    most: int = 32
    stretch: float = 30
    announcements: int = 50
    mail_waits: tuple[float, ...] = (_MINUTE, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 6 * _HOUR, _DAY)
    letters: int = 5
    kept: float = 30 * _DAY


def timing() -> Timing:
    """Return what is in force."""
    return Timing(**getattr(settings, "NOTICES_TIMING", {}))


def spread(seconds: float) -> float:
    """Lengthen a wait by up to a quarter, at random, so that what failed together comes apart."""
    return seconds * _uniform(1.0, 1.25)
