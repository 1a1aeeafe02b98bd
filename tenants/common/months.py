"""Budget months and report days, derived from an organization's zone; nothing is ever reset."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

_MONTH = re.compile(r"(?a:\d{4})-(?a:\d{2})")
_LAST_MONTH = 12


@dataclass(frozen=True)
class Month:
    """A calendar month in one zone: the half-open interval ``[starts_at, ends_at)`` in UTC."""

    year: int
    month: int
    zone: str

    @classmethod
    def of(cls, instant: datetime, zone: str) -> "Month":
        """Find the month an instant falls in."""
        local = instant.astimezone(ZoneInfo(zone))
        return cls(local.year, local.month, zone)

    @classmethod
    def parse(cls, text: str, zone: str) -> "Month":
        """Read ``YYYY-MM``.

        Raises:
            ValueError: not a month, or a year that no bill can have.
        """
        if not _MONTH.fullmatch(text):
            raise ValueError("write the month as YYYY-MM")
        month = cls(int(text[:4]), int(text[5:]), zone)
        if not 1 <= month.month <= _LAST_MONTH or not 2000 <= month.year <= 2200:  # noqa: PLR2004
            raise ValueError("no such month")
        return month

    @property
    def first_day(self) -> date:
        """The first day, as kept in the ledger's balances."""
        return date(self.year, self.month, 1)

    @property
    def starts_at(self) -> datetime:
        """Local midnight of the first day, as an instant."""
        return datetime(self.year, self.month, 1, tzinfo=ZoneInfo(self.zone)).astimezone(UTC)

    @property
    def ends_at(self) -> datetime:
        """Local midnight of the next month's first day: when a monthly limit opens again."""
        return self.next().starts_at

    def next(self) -> "Month":
        """The month after."""
        if self.month == _LAST_MONTH:
            return Month(self.year + 1, 1, self.zone)
        return Month(self.year, self.month + 1, self.zone)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"
