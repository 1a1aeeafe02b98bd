"""A file as Mistral keeps it; refuses to look into it but for counting lines.

Shape: FileSchema of the OpenAPI file. Its list of sample types has none for OCR, so such files say
"instruct".
"""

import hashlib
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

PURPOSES = ("fine-tune", "batch", "ocr")
SAMPLE_TYPES = {"fine-tune": "instruct", "batch": "batch_request", "ocr": "instruct"}


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file; `source` is upload, or mistral for what a batch job wrote."""

    name: str
    data: bytes = field(repr=False)
    purpose: str
    sample_type: str
    content_type: str = "application/octet-stream"
    source: str = "upload"
    visibility: str = "workspace"
    expires_at: int | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: int = field(default_factory=lambda: int(time.time()))

    def described(self) -> dict[str, Any]:
        """Everything but the content."""
        lines = self.data.count(b"\n") + (not self.data.endswith(b"\n"))
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.data),
            "created_at": self.created_at,
            "filename": self.name,
            "purpose": self.purpose,
            "sample_type": self.sample_type,
            "num_lines": lines if self.name.endswith(".jsonl") else None,
            "mimetype": self.content_type,
            "source": self.source,
            "signature": hashlib.md5(self.data, usedforsecurity=False).hexdigest(),
            "expires_at": self.expires_at,
            "visibility": self.visibility,
        }
