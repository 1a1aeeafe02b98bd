"""Reads server-sent events as callers do."""

import json
from typing import Any

import httpx


def named_events(answer: httpx.Response) -> list[dict[str, Any]]:
    """Each event as {"event", "data"}."""
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
    blocks = [block.split("\n") for block in answer.text.split("\n\n") if block]
    return [
        {
            "event": lines[0].removeprefix("event: "),
            "data": json.loads(lines[1].removeprefix("data: ")),
        }
        for lines in blocks
    ]
