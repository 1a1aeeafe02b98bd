"""When keys are checked again: the schedule, and how an operator or a test may change it."""

from dataclasses import dataclass
from secrets import SystemRandom

from django.conf import settings

_uniform = SystemRandom().uniform


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, but for counts; ``settings.KEY_TIMING`` overrides any of them.

    Attributes:
        recheck: how long after registration Mistral's "unknown key" is not yet believed: fresh
            keys were reported to need two to five minutes until every server knows them.
        retry: first wait after a check that told nothing; it doubles each time.
        retries: how many such checks in a row are made before the wait is ``inconclusive``.
        inconclusive: between checks of a key about which nothing can be learned now.
        refusals: how many refusals in a row take a working key down: one may be Mistral's slip.
        doubt: until a working key that was refused once is asked about again.
        valid: between checks of a key that works.
        young: between checks of one whose secret came in less than ``youth`` ago.
        expiring: between checks of one whose own date is less than ``expiry`` away.
        suspended: between checks of a key that plan or payment stops: it heals when they do.
        invalid: between checks of a key that Mistral refused: it heals if Mistral was wrong.
        idle: between checks of a working key that served no call for ``unused``.
        asleep: until one looks again at a key whose workspace or organization is not active.
        claim: how long a worker may have a key; longer than the task's hard limit.
        queue: how long a key may wait in the queue before it is enqueued again.
        batch: how many due keys one sweep enqueues; fewer while Mistral is in trouble.
        lane_batch: how many of them belong to one Mistral organization.
        pace: checks a second of one Mistral organization, beyond the first ``burst``.
        pace_all: checks a second of all that nobody waits for, beyond the first ``burst_all``.
        patience: how long a worker waits for its turn before it lets the key go.
        slowest: by what at most trouble divides the pace.
        connect: until Mistral is connected.
        read: until the next bytes of an answer.
        probe: until a paid trial is answered, from its first byte to its last.
        answer: for one whole answer, once it began. A check makes three calls at most, so all of
            it stays within the task's soft limit however slowly Mistral answers.
    """

    recheck: float = 180
    retry: float = 10
    retries: int = 6
    inconclusive: float = 3_600
    refusals: int = 2
    doubt: float = 5
    valid: float = 86_400
    young: float = 14_400
    youth: float = 86_400
    expiring: float = 14_400
    expiry: float = 7 * 86_400
    suspended: float = 900
    invalid: float = 86_400
    idle: float = 3 * 86_400
    unused: float = 30 * 86_400
    asleep: float = 86_400
    claim: float = 150
    queue: float = 60
    batch: int = 200
    lane_batch: int = 20
    pace: float = 2
    burst: float = 10
    pace_all: float = 20
    burst_all: float = 40
    patience: float = 2
    slowest: float = 64
    connect: float = 5
    read: float = 8
    probe: float = 30
    answer: float = 10


def timing() -> Timing:
    """Return the schedule in force."""
    return Timing(**getattr(settings, "KEY_TIMING", {}))


def spread(seconds: float) -> float:
    """Lengthen a wait by up to a quarter, at random, so that keys do not march in step."""
    return seconds * _uniform(1.0, 1.25)
