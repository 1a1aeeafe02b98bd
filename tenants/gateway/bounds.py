"""How much and how long: every size, time and age the gateway keeps to, in one place."""

from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds and bytes unless said otherwise; ``settings.GATEWAY`` overrides any of them.

    Attributes:
        calls: requests under way at once in one process.
        calls_of_one: those of one token among them.
        calls_of_organization: those of one organization's tokens together.
        body: the largest request that is read as a whole.
        upload: the largest form, which is handed on as it arrives (Mistral takes 512 MB).
        headers: how many header fields a request may have.
        header_bytes: how long they may be together.
        answer: the largest answer that is no stream.
        answers: that are kept in memory until their callers have read them, of those above 64 KiB;
            one of them may go beyond it.
        answers_of_one: of one organization among them.
        bodies: that are kept in memory at once, of those above 64 KiB; with the answers that are
            given again to who repeats them.
        bodies_of_one: of one organization among them.
        waiting: of forms on disk at once, of those that tell their model after their file.
        waiting_of_one: of one organization among them.
        receive: between two pieces of a request's body.
        lag, slowest: a body may keep us waiting so long, and a second more for each so many bytes;
            so may who takes an answer that is no stream. Who takes nothing of a stream for one to
            two times as long is given up, and any connection that is stuck for two is ended.
        connect: until Mistral is connected.
        idle: without a byte of Mistral's answer, unless the model sets its own.
        total: for one whole call; less than what recovery calls the longest call.
        drain_time: for reading on to the usage after the caller has left a stream.
        drain_bytes: for the same.
        fresh: how old a picture of a model token may be when a call begins: a revoked token is
            refused after at most this long. Less than the second that is promised.
        refresh: the age at which is asked whether a picture in use still holds, before anybody has
            to wait.
        whole: the age at which it is read anew even if nothing is known to have changed.
        kept: how long one that is not used is kept, and its opened key with it.
        pictures: how many model tokens are remembered.
        strangers: how many unknown tokens may wait to be looked up at once.
        open_wait: for the ledger to accept a call.
        settle_pause: for which settlements are gathered before they are written together.
        others: for other processes to settle calls that are over, before a limit refuses a call
            that would fit without what they hold.
        siblings: between two counts of the processes that share every rate limit by PostgreSQL
            alone; with 0 each process counts as if there were no other.
        batch: calls in one round trip to the ledger.
        backlog: calls that may wait for the ledger; above it new ones are refused.
        outages: in a row, after which Mistral is not called for a while: by nobody if it cannot be
            connected, for one model with one key if it answers with errors or not at all.
        stop: for writing what is left when the process ends.
    """

    calls: int = 1500
    calls_of_one: int = 300
    calls_of_organization: int = 1000
    body: int = 32 * 1024 * 1024
    upload: int = 520 * 1024 * 1024
    headers: int = 100
    header_bytes: int = 32 * 1024
    answer: int = 64 * 1024 * 1024
    answers: int = 192 * 1024 * 1024
    answers_of_one: int = 96 * 1024 * 1024
    bodies: int = 192 * 1024 * 1024
    bodies_of_one: int = 96 * 1024 * 1024
    waiting: int = 1040 * 1024 * 1024
    waiting_of_one: int = 520 * 1024 * 1024
    receive: float = 30
    lag: float = 60
    slowest: int = 8 * 1024
    connect: float = 5
    idle: float = 600
    total: float = 3600
    drain_time: float = 30
    drain_bytes: int = 1024 * 1024
    fresh: float = 0.9
    refresh: float = 0.7
    whole: float = 30
    kept: float = 10
    pictures: int = 20_000
    strangers: int = 200
    open_wait: float = 3
    settle_pause: float = 0.05
    others: float = 0.25
    siblings: float = 2
    batch: int = 500
    backlog: int = 20_000
    outages: int = 10
    stop: float = 3


def bounds() -> Bounds:
    """Return what is in force."""
    waiting = settings.UPLOAD_WAITING_MIB * 1024 * 1024
    own = {"waiting": waiting, "waiting_of_one": waiting // 2}
    return Bounds(**own | getattr(settings, "GATEWAY", {}))
