"""The request bodies of Mistral's inference API, field by field.

Refuses fields its OpenAPI file does not have.

From openapi-public-doc.yaml at mistralai/platform-docs-public@222f4ba9: every body forbids unknown
fields.
"""

from aisuru_mistral.simulator.validation import (
    REQUIRED,
    Checker,
    anything,
    boolean,
    either,
    integer,
    list_of,
    mapping,
    nullable,
    number,
    one_of,
    record,
    string,
    tagged,
)

TEXT_OR_TEXTS = either({"str": string, "list[str]": list_of(string)})
OPTIONAL_STRING = (nullable(string), None)
OPTIONAL_BOOLEAN = (boolean, False)


def chunk(name: str, **fields: Checker) -> Checker:
    """A content chunk of this type with these fields, all required."""
    own = {field: (checker, REQUIRED) for field, checker in fields.items()}
    return record({"type": (one_of(name, literal=True), name), **own})


_TEXT_CHUNK = chunk("text", text=string)
IMAGE_URL = record(
    {"url": (string, REQUIRED), "detail": (nullable(one_of("low", "auto", "high")), None)}
)
_THINKING = record(
    {
        "type": (one_of("thinking", literal=True), "thinking"),
        "thinking": (list_of(mapping), REQUIRED),
        "signature": OPTIONAL_STRING,
        "closed": (boolean, None),
    }
)
DOCUMENT_URL = record(
    {
        "type": (one_of("document_url", literal=True), "document_url"),
        "document_url": (string, REQUIRED),
        "document_name": OPTIONAL_STRING,
    }
)
CHUNK_KINDS: dict[str, Checker] = {
    "text": _TEXT_CHUNK,
    "image_url": chunk("image_url", image_url=either({"ImageURL": IMAGE_URL, "str": string})),
    "document_url": DOCUMENT_URL,
    "reference": chunk("reference", reference_ids=list_of(anything)),
    "file": chunk("file", file_id=string),
    "thinking": _THINKING,
    "input_audio": chunk("input_audio", input_audio=string),
}
CHUNKS = list_of(tagged("type", CHUNK_KINDS, default="text"))
_SYSTEM_CHUNKS = list_of(
    tagged("type", {"text": _TEXT_CHUNK, "thinking": _THINKING}, default="text")
)
_CONTENT = nullable(either({"str": string, "list[ContentChunk]": CHUNKS}))

_FUNCTION_CALL = record(
    {"name": (string, REQUIRED), "arguments": (either({"dict": mapping, "str": string}), REQUIRED)}
)
_TOOL_CALL = record(
    {
        "id": (string, None),
        "type": (one_of("function"), None),
        "function": (_FUNCTION_CALL, REQUIRED),
        "index": (integer(), None),
    }
)
MESSAGES = list_of(
    tagged(
        "role",
        {
            "system": record(
                {
                    "role": (string, "system"),
                    "content": (
                        either({"str": string, "list[SystemMessageContentChunks]": _SYSTEM_CHUNKS}),
                        REQUIRED,
                    ),
                }
            ),
            "user": record({"role": (string, "user"), "content": (_CONTENT, REQUIRED)}),
            "assistant": record(
                {
                    "role": (string, "assistant"),
                    "content": (_CONTENT, None),
                    "tool_calls": (nullable(list_of(_TOOL_CALL)), None),
                    "prefix": OPTIONAL_BOOLEAN,
                }
            ),
            "tool": record(
                {
                    "role": (string, "tool"),
                    "content": (_CONTENT, REQUIRED),
                    "tool_call_id": OPTIONAL_STRING,
                    "name": OPTIONAL_STRING,
                }
            ),
        },
    )
)

FUNCTION = record(
    {
        "name": (string, REQUIRED),
        "description": (string, None),
        "strict": (boolean, None),
        "parameters": (mapping, REQUIRED),
    }
)
BUILT_IN = {"tool_configuration": (nullable(mapping), None)}
TOOLS = list_of(
    tagged(
        "type",
        {
            "function": record(
                {"type": (one_of("function"), "function"), "function": (FUNCTION, REQUIRED)}
            ),
            **{
                name: record({"type": (one_of(name), name), **BUILT_IN})
                for name in (
                    "web_search",
                    "web_search_premium",
                    "code_interpreter",
                    "image_generation",
                )
            },
            "document_library": record(
                {
                    "type": (one_of("document_library"), "document_library"),
                    "library_ids": (list_of(string), REQUIRED),
                    **BUILT_IN,
                }
            ),
            "connector": record(
                {
                    "type": (one_of("connector"), "connector"),
                    "connector_id": (string, REQUIRED),
                    "authorization": (anything, None),
                    **BUILT_IN,
                }
            ),
        },
        default="function",
    )
)
TOOL_CHOICE = either(
    {
        "ToolChoice": record(
            {
                "type": (one_of("function"), "function"),
                "function": (record({"name": (string, REQUIRED)}), REQUIRED),
            }
        ),
        "str-enum[ToolChoiceEnum]": one_of("auto", "none", "any", "required"),
    }
)
_JSON_SCHEMA = record(
    {
        "name": (string, REQUIRED),
        "description": OPTIONAL_STRING,
        "schema": (mapping, REQUIRED),
        "strict": OPTIONAL_BOOLEAN,
    }
)
RESPONSE_FORMAT = record(
    {
        "type": (one_of("text", "json_object", "json_schema"), "text"),
        "json_schema": (nullable(_JSON_SCHEMA), None),
    }
)
PREDICTION = record({"type": (one_of("content", literal=True), "content"), "content": (string, "")})

SAMPLING = {
    "temperature": (nullable(number(least=0, most=1.5)), None),
    "top_p": (nullable(number(above=0, most=1)), None),
    "max_tokens": (nullable(integer(least=0)), None),
    "stream": OPTIONAL_BOOLEAN,
    "stop": (nullable(TEXT_OR_TEXTS), None),
    "random_seed": (nullable(integer(least=0)), None),
    "metadata": (nullable(mapping), None),
    "prompt_cache_key": OPTIONAL_STRING,
}
PENALTY = (nullable(number(least=-2, most=2)), None)

_CHAT_FIELDS = {
    **SAMPLING,
    "messages": (MESSAGES, REQUIRED),
    "response_format": (nullable(RESPONSE_FORMAT), None),
    "tools": (nullable(TOOLS), None),
    "tool_choice": (nullable(TOOL_CHOICE), None),
    "presence_penalty": PENALTY,
    "frequency_penalty": PENALTY,
    "n": (nullable(integer(least=1)), None),
    "prediction": (nullable(PREDICTION), None),
    "parallel_tool_calls": (boolean, None),
    "reasoning_effort": (
        nullable(one_of("none", "minimal", "low", "medium", "high", "xhigh")),
        None,
    ),
    "prompt_mode": (nullable(one_of("reasoning")), None),
    "guardrails": (nullable(list_of(mapping)), None),
    "service_tier": (nullable(one_of("auto", "standard_only")), None),
}
_NOT_FOR_AGENTS = frozenset({"temperature", "top_p"})

CHAT = record({"model": (string, REQUIRED), **_CHAT_FIELDS, "safe_prompt": OPTIONAL_BOOLEAN})
AGENTS = record(
    {
        **{name: rule for name, rule in _CHAT_FIELDS.items() if name not in _NOT_FOR_AGENTS},
        "agent_id": (string, REQUIRED),
    }
)
FIM = record(
    {
        "model": (string, REQUIRED),
        **SAMPLING,
        "prompt": (string, REQUIRED),
        "suffix": OPTIONAL_STRING,
        "min_tokens": (nullable(integer(least=0)), None),
    }
)
EMBEDDINGS = record(
    {
        "model": (string, REQUIRED),
        "metadata": (nullable(mapping), None),
        "input": (TEXT_OR_TEXTS, REQUIRED),
        "output_dimension": (nullable(integer(above=0)), None),
        "output_dtype": (one_of("float", "int8", "uint8", "binary", "ubinary"), "float"),
        "encoding_format": (one_of("float", "base64"), "float"),
    }
)
CLASSIFICATION = record(
    {
        "model": (string, REQUIRED),
        "metadata": (nullable(mapping), None),
        "input": (TEXT_OR_TEXTS, REQUIRED),
    }
)
CHAT_MODERATION = record(
    {
        "model": (string, REQUIRED),
        "input": (
            either(
                {
                    "list[Message]": MESSAGES,
                    "list[list[Message]]": list_of(MESSAGES),
                }
            ),
            REQUIRED,
        ),
    }
)
_INSTRUCT = record({"messages": (MESSAGES, REQUIRED)}, extra=True)
CHAT_CLASSIFICATION = record(
    {
        "model": (string, REQUIRED),
        "input": (
            either({"InstructRequest": _INSTRUCT, "list[InstructRequest]": list_of(_INSTRUCT)}),
            REQUIRED,
        ),
    }
)
