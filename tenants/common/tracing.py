"""Spans, where a deployment traces; elsewhere they cost nothing and need no library.

The shell puts a tracer in place (``start``); rooms only say ``with span(…)``. A span names kinds
and classes, never an address, a prompt or a secret: what people type may stand in addresses.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Span(Protocol):
    """A piece of work that takes time."""

    def set_attribute(self, key: str, value: str | int) -> object:
        """Say something more of it."""

    def update_name(self, name: str) -> object:
        """Name it, now that it is known what it is."""


class Tracer(Protocol):
    """Makes spans; OpenTelemetry's does."""

    def open(self, name: str, parent: str | None) -> AbstractContextManager[Span]:
        """Open a span as the current one, below the caller's (``traceparent``, W3C) if there is."""

    def ids(self) -> dict[str, str]:
        """Name the current span: ``trace_id`` and ``span_id`` (W3C); nothing outside of one."""


class _Nothing:
    def set_attribute(self, key: str, value: str | int) -> None:
        """Nobody listens."""

    def update_name(self, name: str) -> None:
        """Nobody listens."""


_NOTHING: AbstractContextManager[Span] = nullcontext(_Nothing())
_tracers: list[Tracer] = []


def start(tracer: Tracer) -> None:
    """Have spans made from now on, in this process."""
    _tracers[:] = [tracer]


def is_on() -> bool:
    """Tell whether somebody traces."""
    return bool(_tracers)


def ids() -> dict[str, str]:
    """Name the current span, for a line of the log; nothing where nobody traces."""
    return _tracers[0].ids() if _tracers else {}


def span(name: str, parent: str | None = None) -> AbstractContextManager[Span]:
    """Open a span; an exception that leaves it marks it as failed, by its kind alone."""
    if not _tracers:
        return _NOTHING
    return _tracers[0].open(name, parent)
