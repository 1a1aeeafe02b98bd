"""A master key that lies in another service: asked seldom, remembered for seconds, given up soon.

What it opened is kept in memory for a few seconds, here and nowhere else: calls whose data key is
open go on while the service is away. It remembers by the very bytes that were opened and what they
are bound to, so altered or misplaced ones are never met.

    KeyringUnavailableError    503: the service cannot be asked now; nothing was done or lost
"""

import hashlib
import threading
import time
from collections.abc import Callable

import structlog
from django.utils.translation import gettext as _

from tenants.common.problems import Unavailable
from tenants.common.secrets import Secret
from tenants.vault.keys import MasterKey

log = structlog.get_logger(__name__)

OPENED_SECONDS = 10.0
PAUSE_SECONDS = 2.0


class KeyringUnavailableError(Unavailable):
    """A master key that cannot be asked now: ``vault_unavailable``, to be tried again.

    Args:
        cause: in a word, for the log; never shown to a caller.
    """

    def __init__(self, cause: str) -> None:
        detail = _(
            "The service that guards the encryption keys does not answer, so nothing was done."
            " Try again in a moment."
        )
        super().__init__("vault_unavailable", detail, retry_after=2)
        self.cause = cause


class Distant:
    """Asks a master key for what is not remembered; one at a time for the same bytes.

    Args:
        key: whom to ask.
        key_id: its name on the ring, for the log.
        opened: how many seconds what was opened is remembered.
        pause: for how many seconds nobody asks again after it did not answer.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        key: MasterKey,
        key_id: str,
        *,
        opened: float = OPENED_SECONDS,
        pause: float = PAUSE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = key
        self._key_id = key_id
        self._opened = opened
        self._pause = pause
        self._clock = clock
        self._guard = threading.Lock()
        self._plains: dict[bytes, tuple[Secret[bytes], float]] = {}
        self._turns: dict[bytes, threading.Lock] = {}
        self._asked_again_at = float("-inf")
        self._broom: threading.Timer | None = None

    def wrap(self, plain: Secret[bytes], associated: bytes) -> bytes:
        """Have a data key sealed; it is open from then on, as it was before.

        Raises:
            KeyringUnavailableError: the service does not answer.
        """
        self._refuse_while_away()
        try:
            wrapped = self._key.wrap(plain, associated)
        except KeyringUnavailableError as error:
            self._went_away(error)
            raise
        self._remember(_mark(wrapped, associated), plain)
        return wrapped

    def unwrap(self, wrapped: bytes, associated: bytes) -> Secret[bytes]:
        """Have a data key opened, or remember it.

        Raises:
            OpeningError: altered or misplaced.
            KeyringUnavailableError: the service does not answer.
        """
        mark = _mark(wrapped, associated)
        if (known := self._recall(mark)) is not None:
            return known
        with self._guard:
            turn = self._turns.setdefault(mark, threading.Lock())
        try:
            with turn:
                return self._recall(mark) or self._ask(mark, wrapped, associated)
        finally:
            with self._guard:
                self._turns.pop(mark, None)

    def _ask(self, mark: bytes, wrapped: bytes, associated: bytes) -> Secret[bytes]:
        self._refuse_while_away()
        try:
            plain = self._key.unwrap(wrapped, associated)
        except KeyringUnavailableError as error:
            self._went_away(error)
            raise
        self._remember(mark, plain)
        return plain

    def _refuse_while_away(self) -> None:
        """Spare callers the wait for a service that just failed to answer another."""
        if self._clock() < self._asked_again_at:
            raise KeyringUnavailableError("asked a moment ago")

    def _went_away(self, error: KeyringUnavailableError) -> None:
        self._asked_again_at = self._clock() + self._pause
        log.warning("keyring_unavailable", key_id=self._key_id, cause=error.cause)

    def _recall(self, mark: bytes) -> Secret[bytes] | None:
        kept = self._plains.get(mark)
        return None if kept is None or kept[1] <= self._clock() else kept[0]

    def _remember(self, mark: bytes, plain: Secret[bytes]) -> None:
        with self._guard:
            self._plains[mark] = (plain, self._clock() + self._opened)
            if self._broom is None:
                self._start_broom()

    def _start_broom(self) -> None:
        self._broom = threading.Timer(self._opened, self._sweep)
        self._broom.daemon = True
        self._broom.start()

    def _sweep(self) -> None:
        """Forget what is over although nobody asks for it any more."""
        with self._guard:
            now = self._clock()
            self._plains = {mark: kept for mark, kept in self._plains.items() if kept[1] > now}
            self._broom = None
            if self._plains:
                self._start_broom()


def _mark(wrapped: bytes, associated: bytes) -> bytes:
    return hashlib.sha256(len(associated).to_bytes(8) + associated + wrapped).digest()
