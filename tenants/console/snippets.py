"""How to call a model from a shell, Python and TypeScript: to copy, with a gap for the token."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tenants.registry.models import RegisteredModel

_CURL = """curl {url}/v1/chat/completions \\
  -H "Authorization: Bearer $MODEL_TOKEN" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Ciao!"}}]}}'"""
_PYTHON = """# pip install mistralai
import os
from mistralai.client import Mistral

client = Mistral(api_key=os.environ["MODEL_TOKEN"], server_url="{url}")
answer = client.chat.complete(
    model="{model}",
    messages=[{{"role": "user", "content": "Ciao!"}}],
)
print(answer.choices[0].message.content)"""
_TYPESCRIPT = """// npm install @mistralai/mistralai
import {{ Mistral }} from "@mistralai/mistralai";

const client = new Mistral({{
  apiKey: process.env.MODEL_TOKEN,
  serverURL: "{url}",
}});
const answer = await client.chat.complete({{
  model: "{model}",
  messages: [{{ role: "user", content: "Ciao!" }}],
}});
console.log(answer.choices?.[0]?.message.content);"""


@dataclass(frozen=True, slots=True)
class Snippet:
    """Some lines to copy."""

    name: str
    language: str
    text: str


def of(model: RegisteredModel, url: str) -> list[Snippet]:
    """Write the snippets of a model; they name it as Mistral does."""
    facts = {"url": url.rstrip("/"), "model": model.mistral_model}
    return [
        Snippet("curl", "shell", _CURL.format(**facts)),
        Snippet("Python", "python", _PYTHON.format(**facts)),
        Snippet("TypeScript", "typescript", _TYPESCRIPT.format(**facts)),
    ]


def as_text(document: Mapping[str, object]) -> str:
    """Write JSON for people."""
    return json.dumps(document, indent=2, ensure_ascii=False)
