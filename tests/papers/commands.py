"""Where each fenced command of the papers is run: as a page is played, by another test, or not.

``PLAYED`` pages are run from their first block to their last, but for what is listed by itself.
A block is named by its page and a piece of its text.
"""

from collections.abc import Mapping

from tests.papers.pages import Block, blocks, pages

#: Languages of blocks that do something. All others show: text, answers, settings.
RUN = {"sh", "python", "js"}
SHOWN = {"text", "json", "http", "hcl", "mermaid"}

#: Played by ``test_played``.
PLAYED = (
    "docs/aisuru.md",
    "docs/api.md",
    "docs/export.md",
    "docs/reports.md",
    "docs/spend.md",
    "docs/webhooks.md",
)

type Place = tuple[str, str]

#: By page and piece of the text: the tests that run it, and what they say there.
ELSEWHERE: dict[Place, tuple[Place, ...]] = {
    ("README.md", "make demo"): (("tests/papers/test_readme.py", '["make", "demo"'),),
    ("README.md", "make up"): (("tests/launcher/test_service.py", 'mode="up"'),),
    ("README.md", "API="): (("tests/papers/test_readme.py", "def test_the_same_by_hand"),),
    ("README.md", "from mistralai"): (("tests/papers/test_readme.py", '"python"'),),
    ("aisuru_mistral/simulator/README.md", "mistral_simulator --port"): (
        ("tests/simulator/test_server.py", "mistral_simulator"),
    ),
    ("aisuru_mistral/simulator/README.md", "from aisuru_mistral.simulator"): (
        ("tests/papers/test_snippets.py", "aisuru_mistral/simulator/README.md"),
    ),
    ("docs/aisuru.md", "create_token"): (("tests/access/test_tokens.py", "create_token"),),
    ("docs/erasure.md", "members ="): (("tests/papers/test_snippets.py", "docs/erasure.md"),),
    ("docs/intake.md", "import base64"): (("tests/sealing.py", "```python"),),
    ("docs/intake.md", "const bytes"): (("tests/papers/test_snippets.py", "docs/intake.md"),),
    ("docs/leaks.md", "scan_leaks"): (("tests/keys/test_leaks.py", '"scan_leaks"'),),
    ("docs/operations.md", "createdb"): (("tests/docker/test_backup.py", "createdb"),),
    ("docs/reconciliation.md", "admin-key"): (
        ("tests/api/test_permission_table.py", 'f"{ORGANIZATION}/admin-key"'),
    ),
    ("docs/reconciliation.md", '"dry_run": true'): (("tests/accounting/test_sync.py", "dry_run"),),
    ("docs/reconciliation.md", "sync/confirm"): (
        ("tests/accounting/test_proposals.py", "/confirm"),
    ),
    ("docs/reconciliation.md", "mistral_admin_api"): (
        ("tests/accounting/test_reconciling.py", "/confirm"),
        ("tests/accounting/test_reconciling.py", '"reconcile"'),
    ),
    ("docs/spend.md", "with scope.tenant"): (("tests/papers/test_snippets.py", "docs/spend.md"),),
    ("docs/webhooks.md", "from standardwebhooks"): (("tests/notices/test_page.py", "```python"),),
    ("docs/webhooks.md", "import base64"): (("tests/notices/test_page.py", "```python"),),
}

#: What cannot run here, and why.
NOT_HERE: dict[Place, str] = {
    ("docs/operations.md", "docker compose exec"): "Docker; the same is played without it",
}


def all_blocks() -> list[Block]:
    """Every fenced block of every page."""
    return [block for page in pages() for block in blocks(page)]


def listed(block: Block, table: Mapping[Place, object]) -> list[Place]:
    """The rows of a table that mean a block."""
    return [(page, piece) for page, piece in table if page == block.page and piece in block.text]


def played(page: str) -> list[Block]:
    """What is played of a page: its commands, and the answers that are shown after them."""
    kept: list[Block] = []
    for block in blocks(page):
        follows = block.language == "json" and kept and kept[-1].language == "sh"
        if follows or (block.language == "sh" and not listed(block, {**ELSEWHERE, **NOT_HERE})):
            kept.append(block)
    return kept
