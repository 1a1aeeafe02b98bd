"""Structured logs on standard error: one JSON object a line; it writes no bodies and no locals.

A line names what it belongs to: request, organization, task, and where somebody traces, trace and
span. Whatever is shaped like a secret is masked in all of it, and passwords in addresses.
"""

import logging
import re
import sys

import structlog

from tenants.common import tracing
from tenants.mistral.masking import MASK, mask_shapes

# Frames without their locals: a request's frame holds the body, and with it a key that is pasted.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


_PASSWORD = re.compile(r"(?<=://)([^\s/:@\"]*):[^\s/@\"]+@")


def with_trace(
    _logger: object, _method: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    """Name the span that a line is written in."""
    return {**event, **tracing.ids()}


def redacted(line: str) -> str:
    """Mask what no line may show, whatever wrote it."""
    return _PASSWORD.sub(rf"\1:{MASK}@", mask_shapes(line))


def configure(level: str) -> None:
    """Send structlog and the standard library's loggers through one JSON formatter."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        with_trace,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _TRACEBACKS,
                structlog.processors.JSONRenderer(),
                lambda _logger, _method, line: redacted(str(line)),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # Each of them repeats request lines, which name tenants; ours says what is needed.
    for name in ("httpx", "httpcore", "django.request"):
        logging.getLogger(name).setLevel(logging.ERROR)
