"""Papers are true: their commands are run one after the other, and say what they show."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.callers import organization_caller, platform_caller
from tests.api.world import whole_world
from tests.papers.commands import PLAYED, played

MARK = "=== next step ==="
#: What pages take for granted that others have shown.
KNOWN = r"""
call() {
  curl -sS --fail-with-body \
    -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" "$@"
}
"""
needs_curl = pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "curl", "python3", "jq"))), reason="commands need curl, jq"
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """An organization that has everything, and a token that may do everything in it."""
    found = whole_world()
    return {
        "TOKEN": organization_caller(found.organization).token or "",
        "ORG": str(found.organization.pk),
        "ID": str(found.organization.pk),
    }


@needs_curl
@pytest.mark.parametrize("page", PLAYED)
def test_every_command_says_what_the_page_shows(page, service, mistral, environment, tmp_path):
    if page == "docs/aisuru.md":
        environment = {"TOKEN": platform_caller().token or ""}
    blocks = played(page)
    steps = [number for number, block in enumerate(blocks) if block.language == "sh"]
    script = KNOWN + f"\necho; echo '{MARK}'\n".join(blocks[number].text for number in steps)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},  # noqa: TID251
            "URL": service,
            "API": f"{service}/api/v1",
            "AISURU_API_URL": f"{mistral.url}/api/v2",
            **environment,
        },
        capture_output=True,
        timeout=60,
        check=False,
    )
    printed = done.stdout.decode(errors="replace")
    assert done.returncode == 0, printed[-2000:] + done.stderr.decode()[-2000:]
    said = printed.split(f"{MARK}\n")
    assert len(said) == len(steps) > 0
    for number, answer in zip(steps, said, strict=True):
        shown = blocks[number + 1 : number + 2]
        if shown and shown[0].language == "json":
            wrong = list(differences(json.loads(shown[0].text), _last_object(answer)))
            assert wrong == [], f"{blocks[number].text}\n{answer}"


def _last_object(printed: str) -> Any:
    """Read the last of several answers that were printed without a line break between them."""
    decoder, found, at = json.JSONDecoder(), None, 0
    text = printed.strip()
    while (start := text.find("{", at)) >= 0:
        found, at = decoder.raw_decode(text, start)
    return found


def differences(shown: Any, answer: Any, where: str = "") -> Iterator[str]:
    """Tell where an answer is not what is shown; what is not shown may be anything."""
    if isinstance(shown, dict) and isinstance(answer, dict):
        for name, value in shown.items():
            yield from differences(value, answer.get(name, "(missing)"), f"{where}/{name}")
    elif isinstance(shown, list) and isinstance(answer, list):
        if "…" not in shown and len(shown) != len(answer):
            yield f"{where} has {len(answer)} entries"
        for number, (value, there) in enumerate(zip(shown, answer, strict=False)):
            yield from differences(value, there, f"{where}/{number}")
    elif isinstance(shown, str) and "…" in shown and isinstance(answer, str):
        pattern = ".+".join(map(re.escape, shown.split("…")))
        if not re.fullmatch(pattern, answer):
            yield f"{where}: {answer!r} is not like {shown!r}"
    elif shown != answer:
        yield f"{where}: {answer!r} is not {shown!r}"
