"""When what is due is sent: Celery's beat, for a clock that is set back.

Celery remembers instants of the wall clock. When that is set back by hours, by hand or by NTP, it
would send nothing for as many hours. Here it notices, and begins anew: everything is due at once.
"""

import time
from datetime import timedelta
from typing import Any

import structlog
from celery.beat import PersistentScheduler

from aisuru_mistral import pulse

log = structlog.get_logger(__name__)

#: What NTP corrects without a jump.
_TOLERATED = 5.0
#: No interval is longer.
_LONG_AGO = timedelta(days=1)


class Scheduler(PersistentScheduler):
    """Celery's, that minds what time it was."""

    _seen = 0.0

    def tick(self, *arguments: Any, **options: Any) -> Any:
        """Send what is due; tell when to come back, in seconds."""
        now = time.time()
        if now < self._seen - _TOLERATED:
            log.warning("clock_set_back", seconds=round(self._seen - now))
            for entry in self.schedule.values():
                entry.last_run_at = entry.default_now() - _LONG_AGO
            self._heap = None
        self._seen = now
        pause = super().tick(*arguments, **options)
        pulse.note("beat")
        return pause
