"""How fast Mistral's Admin API is asked, and how long anything here may take."""

from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, but for counts; ``settings.ACCOUNTING_TIMING`` overrides any of them.

    Attributes:
        pause: between two questions; the API's own limits are not published.
        stretch: of questions in one task; then the run is enqueued again and others get a turn.
        retry: first wait after an answer that may come later; it doubles each time.
        longest: such wait, whatever Mistral asks for.
        retries: how many such answers in a row end a run.
        claim: how long a worker may have a run; longer than the task's hard limit.
        queue: how long one may wait in the queue before it is enqueued again.
        batch: how many due runs one sweep enqueues.
        connect, read, answer: as of the client.
    """

    pause: float = 0.25
    stretch: float = 40
    retry: float = 10
    longest: float = 900
    retries: int = 8
    claim: float = 150
    queue: float = 60
    batch: int = 50
    connect: float = 5
    read: float = 20
    answer: float = 30


def timing() -> Timing:
    """Return what is in force."""
    return Timing(**getattr(settings, "ACCOUNTING_TIMING", {}))
