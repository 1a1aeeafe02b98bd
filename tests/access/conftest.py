"""The porch is tried through the door: the same callers."""

from tests.api.conftest import alice

__all__ = ["alice"]
