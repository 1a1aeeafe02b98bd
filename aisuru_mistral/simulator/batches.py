"""A batch job as it stands; refuses to run itself.

Shape: BatchJob of the OpenAPI file.
"""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

ENDPOINTS = (
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/fim/completions",
    "/v1/moderations",
    "/v1/chat/moderations",
    "/v1/ocr",
    "/v1/classifications",
    "/v1/chat/classifications",
    "/v1/conversations",
    "/v1/audio/transcriptions",
)
STATUSES = (
    "QUEUED",
    "RUNNING",
    "SUCCESS",
    "FAILED",
    "TIMEOUT_EXCEEDED",
    "CANCELLATION_REQUESTED",
    "CANCELLED",
)
OVER = frozenset({"SUCCESS", "FAILED", "TIMEOUT_EXCEEDED", "CANCELLED"})


@dataclass(slots=True)
class BatchJob:
    """A job; `requests` are its lines as read, `results` the lines of its output file."""

    endpoint: str
    input_files: list[str]
    model: str | None
    agent_id: str | None
    metadata: dict[str, Any] | None
    requests: list[dict[str, Any]]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: int = field(default_factory=lambda: int(time.time()))
    status: str = "QUEUED"
    errors: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    output_file: str | None = None
    error_file: str | None = None
    started_at: int | None = None
    completed_at: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in OVER

    def end(self, status: str) -> None:
        """Nothing more happens."""
        self.status = status
        self.completed_at = int(time.time())

    def described(self, *, inline: bool = False) -> dict[str, Any]:
        """The job; `inline` brings the output along."""
        return {
            "id": self.id,
            "object": "batch",
            "input_files": self.input_files,
            "metadata": self.metadata,
            "endpoint": self.endpoint,
            "model": self.model,
            "agent_id": self.agent_id,
            "output_file": self.output_file,
            "error_file": self.error_file,
            "errors": self.errors,
            "outputs": self.results if inline and self.is_over else None,
            "status": self.status,
            "created_at": self.created_at,
            "total_requests": len(self.requests),
            "completed_requests": len(self.results) + len(self.failures),
            "succeeded_requests": len(self.results),
            "failed_requests": len(self.failures),
            "started_at": self.started_at,
            "completed_at": self.completed_at,
        }
