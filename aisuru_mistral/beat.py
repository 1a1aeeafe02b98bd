"""When what is due is sent: Celery's beat, for containers that are replaced and clocks set back.

Celery remembers when it sent what, in a file that goes with the container, and has what it does not
remember wait for a whole interval. Where beat is replaced daily, nothing daily would ever be sent:
here what was never sent is due at once. So is everything when the clock is set back by hours, by
hand or by NTP; Celery would send nothing for as many hours. Every task may be done twice.
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

    def setup_schedule(self) -> None:
        """Read what was sent when; what never was is due."""
        super().setup_schedule()
        for entry in self.schedule.values():
            if not entry.total_run_count:
                entry.last_run_at = entry.default_now() - _LONG_AGO

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
