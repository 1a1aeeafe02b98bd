"""How fast AIsuru is asked, and how long anything about publishing may take."""

from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, but for counts; ``settings.PUBLISHING_TIMING`` overrides any of them.

    Attributes:
        answer: for each step of an exchange with AIsuru.
        retry: first wait after an answer that may come later; it doubles each time.
        longest: such wait, whatever AIsuru asks for.
        retries: how many such answers in a row end an attempt to push.
        check: between looks at what AIsuru has of a published model.
        grace: how long the token that AIsuru had goes on working after it got another.
        claim: how long a worker may have a publication; longer than the task's hard limit.
        queue: how long one may wait in the queue before it is enqueued again.
        batch: how many due publications one sweep enqueues.
    """

    answer: float = 15
    retry: float = 10
    longest: float = 900
    retries: int = 8
    check: float = 3_600
    grace: float = 300
    claim: float = 150
    queue: float = 60
    batch: int = 50


def timing() -> Timing:
    """Return what is in force."""
    return Timing(**getattr(settings, "PUBLISHING_TIMING", {}))
