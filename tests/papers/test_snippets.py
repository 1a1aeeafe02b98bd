"""Snippets of the papers in Python and JavaScript do what is said of them."""

import hashlib
import json
import shutil
import subprocess
from typing import Any

import pytest
from django.db.models import Sum
from django.utils import timezone

from tenants.common import scope
from tenants.common.months import Month
from tenants.spend.models import SpendLine
from tests.api.callers import organization_caller, platform_caller
from tests.papers.pages import blocks


def snippet(page: str, language: str = "python") -> str:
    """The first block of a page in a language."""
    return next(block.text for block in blocks(page) if block.language == language)


def run(page: str, **names: Any) -> dict[str, Any]:
    exec(compile(snippet(page), page, "exec"), names)  # noqa: S102 - our own paper
    return names


def test_the_simulator_serves_as_its_page_shows():
    run("aisuru_mistral/simulator/README.md")


def test_a_certificate_has_the_digest_that_the_page_computes(organization):
    answer = platform_caller().delete(f"organizations/{organization.pk}")
    last = snippet("docs/erasure.md").strip().splitlines()[-1]
    names = run("docs/erasure.md", certificate=answer.body, json=json, hashlib=hashlib)
    assert eval(last, names) == answer.body["digest"]  # noqa: S307 - our own paper


def test_lines_of_spend_are_read_as_the_page_shows(organization):
    month = Month.of(timezone.now(), organization.timezone)
    run(
        "docs/spend.md",
        scope=scope,
        organization=organization,
        SpendLine=SpendLine,
        Sum=Sum,
        month=month,
    )


@pytest.mark.skipif(shutil.which("node") is None, reason="it is JavaScript")
def test_a_key_sealed_by_the_pages_javascript_is_taken(organization, workspace):
    caller = organization_caller(organization)
    intake = caller.get("intake-key").body
    facts = json.dumps(["k" * 32, intake, "register-key", str(workspace.pk)])
    call = f"seal(...{facts}).then((sealed) => console.log(JSON.stringify(sealed)));"
    script = f"{snippet('docs/intake.md', 'js')}\n{call}"
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True)
    answer = caller.post(
        f"workspaces/{workspace.pk}/keys", {"name": "js", "sealed_key": json.loads(done.stdout)}
    )
    assert answer.status == 202, answer.raw
