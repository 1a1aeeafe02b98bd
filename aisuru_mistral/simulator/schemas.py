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

_TEXT_OR_TEXTS = either({"str": string, "list[str]": list_of(string)})
_OPTIONAL_STRING = (nullable(string), None)
_OPTIONAL_BOOLEAN = (boolean, False)


def _chunk(name: str, **fields: Checker) -> Checker:
    own = {field: (checker, REQUIRED) for field, checker in fields.items()}
    return record({"type": (one_of(name, literal=True), name), **own})


_TEXT_CHUNK = _chunk("text", text=string)
_IMAGE_URL = record(
    {"url": (string, REQUIRED), "detail": (nullable(one_of("low", "auto", "high")), None)}
)
_THINKING = record(
    {
        "type": (one_of("thinking", literal=True), "thinking"),
        "thinking": (list_of(mapping), REQUIRED),
        "signature": _OPTIONAL_STRING,
        "closed": (boolean, None),
    }
)
_DOCUMENT_URL = record(
    {
        "type": (one_of("document_url", literal=True), "document_url"),
        "document_url": (string, REQUIRED),
        "document_name": _OPTIONAL_STRING,
    }
)
_CHUNKS = list_of(
    tagged(
        "type",
        {
            "text": _TEXT_CHUNK,
            "image_url": _chunk(
                "image_url", image_url=either({"ImageURL": _IMAGE_URL, "str": string})
            ),
            "document_url": _DOCUMENT_URL,
            "reference": _chunk("reference", reference_ids=list_of(anything)),
            "file": _chunk("file", file_id=string),
            "thinking": _THINKING,
            "input_audio": _chunk("input_audio", input_audio=string),
        },
        default="text",
    )
)
_SYSTEM_CHUNKS = list_of(
    tagged("type", {"text": _TEXT_CHUNK, "thinking": _THINKING}, default="text")
)
_CONTENT = nullable(either({"str": string, "list[ContentChunk]": _CHUNKS}))

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
_MESSAGES = list_of(
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
                    "prefix": _OPTIONAL_BOOLEAN,
                }
            ),
            "tool": record(
                {
                    "role": (string, "tool"),
                    "content": (_CONTENT, REQUIRED),
                    "tool_call_id": _OPTIONAL_STRING,
                    "name": _OPTIONAL_STRING,
                }
            ),
        },
    )
)

_FUNCTION = record(
    {
        "name": (string, REQUIRED),
        "description": (string, None),
        "strict": (boolean, None),
        "parameters": (mapping, REQUIRED),
    }
)
_BUILT_IN = {"tool_configuration": (nullable(mapping), None)}
_TOOLS = list_of(
    tagged(
        "type",
        {
            "function": record(
                {"type": (one_of("function"), "function"), "function": (_FUNCTION, REQUIRED)}
            ),
            **{
                name: record({"type": (one_of(name), name), **_BUILT_IN})
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
                    **_BUILT_IN,
                }
            ),
            "connector": record(
                {
                    "type": (one_of("connector"), "connector"),
                    "connector_id": (string, REQUIRED),
                    "authorization": (anything, None),
                    **_BUILT_IN,
                }
            ),
        },
        default="function",
    )
)
_TOOL_CHOICE = either(
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
        "description": _OPTIONAL_STRING,
        "schema": (mapping, REQUIRED),
        "strict": _OPTIONAL_BOOLEAN,
    }
)
_RESPONSE_FORMAT = record(
    {
        "type": (one_of("text", "json_object", "json_schema"), "text"),
        "json_schema": (nullable(_JSON_SCHEMA), None),
    }
)
_PREDICTION = record(
    {"type": (one_of("content", literal=True), "content"), "content": (string, "")}
)

_SAMPLING = {
    "temperature": (nullable(number(least=0, most=1.5)), None),
    "top_p": (nullable(number(above=0, most=1)), None),
    "max_tokens": (nullable(integer(least=0)), None),
    "stream": _OPTIONAL_BOOLEAN,
    "stop": (nullable(_TEXT_OR_TEXTS), None),
    "random_seed": (nullable(integer(least=0)), None),
    "metadata": (nullable(mapping), None),
    "prompt_cache_key": _OPTIONAL_STRING,
}
_PENALTY = (nullable(number(least=-2, most=2)), None)

CHAT = record(
    {
        "model": (string, REQUIRED),
        **_SAMPLING,
        "messages": (_MESSAGES, REQUIRED),
        "response_format": (nullable(_RESPONSE_FORMAT), None),
        "tools": (nullable(_TOOLS), None),
        "tool_choice": (nullable(_TOOL_CHOICE), None),
        "presence_penalty": _PENALTY,
        "frequency_penalty": _PENALTY,
        "n": (nullable(integer(least=1)), None),
        "prediction": (nullable(_PREDICTION), None),
        "parallel_tool_calls": (boolean, None),
        "reasoning_effort": (
            nullable(one_of("none", "minimal", "low", "medium", "high", "xhigh")),
            None,
        ),
        "prompt_mode": (nullable(one_of("reasoning")), None),
        "guardrails": (nullable(list_of(mapping)), None),
        "service_tier": (nullable(one_of("auto", "standard_only")), None),
        "safe_prompt": _OPTIONAL_BOOLEAN,
    }
)
FIM = record(
    {
        "model": (string, REQUIRED),
        **_SAMPLING,
        "prompt": (string, REQUIRED),
        "suffix": _OPTIONAL_STRING,
        "min_tokens": (nullable(integer(least=0)), None),
    }
)
EMBEDDINGS = record(
    {
        "model": (string, REQUIRED),
        "metadata": (nullable(mapping), None),
        "input": (_TEXT_OR_TEXTS, REQUIRED),
        "output_dimension": (nullable(integer(above=0)), None),
        "output_dtype": (one_of("float", "int8", "uint8", "binary", "ubinary"), "float"),
        "encoding_format": (one_of("float", "base64"), "float"),
    }
)
CLASSIFICATION = record(
    {
        "model": (string, REQUIRED),
        "metadata": (nullable(mapping), None),
        "input": (_TEXT_OR_TEXTS, REQUIRED),
    }
)
