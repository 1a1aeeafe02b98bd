"""Which request a task goes back to, and which task a line of the log is of.

Whoever sends a task tells it the id of the request that it works for; a task passes it on to those
that it sends itself. What a worker logs meanwhile carries it, beside the task's name and id.
"""

from typing import Any

import structlog
from celery import signals

_HEADER = "aim_request_id"


@signals.before_task_publish.connect
def tell(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Write the request's id into the headers of a task."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    if headers is not None and request_id is not None:
        headers[_HEADER] = request_id


@signals.task_prerun.connect
def take_up(task_id: str, task: Any, **_: Any) -> None:
    """Name the task, and the request behind it, in every line from now on."""
    structlog.contextvars.clear_contextvars()
    named = {"task": task.name, "task_id": task_id}
    if isinstance(request_id := (task.request.headers or {}).get(_HEADER), str):
        named["request_id"] = request_id
    structlog.contextvars.bind_contextvars(**named)


@signals.task_postrun.connect
def let_go(**_: Any) -> None:
    """Name it no more."""
    structlog.contextvars.clear_contextvars()
