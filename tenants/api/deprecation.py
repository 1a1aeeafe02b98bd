"""Operations that have to go: marked in code, and told in the schema and in every answer.

RFC 9745 (``Deprecation``) says since when, RFC 8594 (``Sunset``) until when at least, a ``Link``
leads to what to use instead.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.conf import settings
from django.http import HttpResponse
from django.utils.http import http_date

_NOTICE = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Deprecated:
    """That an operation has to go.

    Attributes:
        since: the day from which on nobody should use it.
        until: the first day on which it may be gone, a year later at the earliest.
        instead: what to use, in a sentence for the schema.
        page: where that is explained, under ``PUBLIC_URL``.

    Raises:
        ValueError: that is too short a notice.
    """

    since: date
    until: date
    instead: str
    page: str = "/api/v1/docs"

    def __post_init__(self) -> None:
        if self.until - self.since < _NOTICE:
            raise ValueError("what is deprecated stays for twelve months")

    def describe(self) -> str:
        """Say it in the schema."""
        return f"Deprecated since {self.since}, to go on {self.until} or later. {self.instead}"

    def tell(self, response: HttpResponse) -> None:
        """Say it with an answer, whatever the answer is."""
        response.headers["Deprecation"] = f"@{_seconds(self.since)}"
        response.headers["Sunset"] = http_date(_seconds(self.until))
        response.headers["Link"] = (
            f'<{settings.PUBLIC_URL}{self.page}>; rel="deprecation"; type="text/html"'
        )


def _seconds(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp())
