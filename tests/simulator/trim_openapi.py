"""Keeps of Mistral's OpenAPI file what answers are checked against: data/openapi.json.

Run by hand, with the path of the whole file (JSON):
`python tests/simulator/trim_openapi.py openapi-inference.json`. Schemas that the file lacks (the
identity of a key, the Admin API) are kept from the last run. Descriptions, titles and examples are
removed.
"""

import json
import sys
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data" / "openapi.json"
DROPPED = frozenset({"description", "title", "example", "examples", "x-source"})
# Request and answer of every endpoint; what they refer to comes along.
ROOTS = (
    "AgentsCompletionRequest",
    "ChatCompletionRequest",
    "ChatCompletionResponse",
    "CompletionChunk",
    "FIMCompletionRequest",
    "FIMCompletionResponse",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "ClassificationRequest",
    "ClassificationResponse",
    "ChatClassificationRequest",
    "ChatModerationRequest",
    "ModerationResponse",
    "OCRRequest",
    "OCRResponse",
    "AudioTranscriptionRequest",
    "TranscriptionResponse",
    "TranscriptionStreamEvents",
    "SpeechRequest",
    "SpeechResponse",
    "SpeechStreamEvents",
    "ConversationRequestBase",
    "AppendConversationRequest",
    "RestartConversationRequest",
    "ConversationResponse",
    "ConversationEvents",
    "ConversationHistory",
    "ConversationMessages",
    "AgentConversation",
    "ModelConversation",
    "CreateFileResponse",
    "GetFileResponse",
    "ListFilesResponse",
    "GetSignedUrlResponse",
    "DeleteFileResponse",
    "CreateBatchJobRequest",
    "BatchJob",
    "ListBatchJobsResponse",
    "DeleteBatchJobResponse",
    "UpdateModelRequest",
    "CompletionFineTunedModel",
    "ArchiveModelResponse",
    "UnarchiveModelResponse",
    "DeleteModelResponse",
    "ModelList",
    "BaseModelCard",
    "FTModelCard",
    "HTTPValidationError",
    "UserIdentity",
    "UsageOUTJSON",
    "UsageRowObserved",
    "LimitsOUT",
    "RateLimitsOUT",
    "APIKeysExtendedOUT",
    "OrganizationAdminUsersOUT",
    "WorkspacesOut",
    "RolesOut",
)


def trim(whole: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
    """The schemas of ROOTS and what they refer to, from `whole`, else from `kept`."""
    schemas: dict[str, Any] = {}
    waiting = list(ROOTS)
    while waiting:
        name = waiting.pop()
        if name in schemas:
            continue
        schema = whole[name] if name in whole else kept[name]
        schemas[name] = _bare(schema, names=False)
        waiting += _references(schema)
    return dict(sorted(schemas.items()))


def _bare(value: Any, *, names: bool) -> Any:
    """Without prose; `names` says that the keys are names of properties, which stay."""
    if isinstance(value, list):
        return [_bare(each, names=False) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _bare(each, names=key in {"properties", "$defs"} and not names)
        for key, each in value.items()
        if names or key not in DROPPED
    }


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [name for each in value for name in _references(each)]
    if not isinstance(value, dict):
        return []
    own = value.get("$ref")
    found = [own.rpartition("/")[2]] if isinstance(own, str) else []
    return found + [name for each in value.values() for name in _references(each)]


def main() -> None:
    """Write data/openapi.json anew."""
    document = json.loads(DATA.read_text())
    whole = json.loads(Path(sys.argv[1]).read_text())["components"]["schemas"]
    document["components"]["schemas"] = trim(whole, document["components"]["schemas"])
    DATA.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
