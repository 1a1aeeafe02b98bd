"""docs/webhooks.md says what is so: its snippets verify what is sent, its table has every kind."""

import re
from pathlib import Path
from typing import Any

import pytest

from tenants.notices import delivering
from tenants.notices.kinds import KINDS, TEST

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")


def test_its_snippets_verify_what_is_sent_and_nothing_else(hook, receiver):
    snippets = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    hook.announce("key.validated", name="perché")
    delivering.deliver_due()
    (request,) = receiver.received
    forged = request.body.replace(b"validated", b"revoked!!")
    assert len(snippets) == 2
    for snippet in snippets:
        names: dict[str, Any] = {}
        exec(snippet, names)  # noqa: S102 - our own page
        verified = names["verified"]
        assert verified(hook.secret, request.body, request.headers)["data"]["name"] == "perché"
        with pytest.raises(Exception, match=r"forged|No matching"):
            verified(hook.secret, forged, request.headers)


def test_its_table_has_every_kind():
    rows = re.findall(r"^\| (`[a-z]+\.[a-z_]+`[^|]*) \|[^|]*\|([^|]*)\|", PAGE, re.MULTILINE)
    shown = {name: mark for names, mark in rows for name in re.findall(r"`([^`]+)`", names)}
    tasks = {name for name in shown if name.startswith("notices.")}
    assert set(shown) - tasks == set(KINDS) - {TEST}
    fixed = {name for name, kind in KINDS.items() if kind.audience and not kind.is_mutable}
    assert {name for name, mark in shown.items() if "⚑" in mark} == fixed
