"""Envelopes sealed by the very code of docs/intake.md."""

import re
from functools import cache
from pathlib import Path
from typing import Any

PAPER = Path(__file__).resolve().parents[1] / "docs" / "intake.md"


@cache
def _documented() -> Any:
    found = re.search(r"```python\n(.*?)```", PAPER.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    code: dict[str, Any] = {}
    exec(compile(found[1], str(PAPER), "exec"), code)  # noqa: S102 - our own paper
    return code["seal"]


def seal(plain: str, intake_key: Any, purpose: str, *place: Any) -> dict[str, str]:
    """Seal a secret to the answer of ``GET /api/v1/intake-key``, for a purpose and a place."""
    envelope: dict[str, str] = _documented()(plain, intake_key, purpose, *map(str, place))
    return envelope
