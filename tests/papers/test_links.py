"""Every link of every page, alert and module leads somewhere: to a file, and to a heading in it."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.papers.pages import ROOT, anchors, links, pages, prose, tracked

PROMETHEUS = ROOT / "docker" / "prometheus"
_NAMED = re.compile(r"(?<![\w/.-])(docs/[\w./-]+\.(?:md|yaml))(?:#([\w-]+))?")


def _is_wrong(target: str, near: Path) -> bool:
    path, _, anchor = unquote(target).partition("#")
    there = (near / path).resolve() if path else None
    page = str(there.relative_to(ROOT)) if there and there.is_relative_to(ROOT) else ""
    if not there or not page or not there.exists():
        return True
    return bool(anchor) and anchor not in anchors(page)


@pytest.mark.parametrize("page", pages())
def test_every_link_of_a_page_leads_somewhere(page):
    inside = [one for one in links(page) if not re.match(r"[a-z]+:", one)]
    targets = [f"{Path(page).name}{one}" if one.startswith("#") else one for one in inside]
    assert [one for one in targets if _is_wrong(one, (ROOT / page).parent)] == []


@pytest.mark.parametrize("page", pages())
def test_every_link_to_others_is_an_address_of_theirs_by_https(page):
    """Nobody is asked: CI has no network. What is written plainly must be as good as a link."""
    plain = re.findall(r"\bhttps?://[^\s<>()`\"]+", re.sub(r"`[^`\n]+`", "", prose(page)))
    outside = {one for one in links(page) if re.match(r"[a-z]+:", one)} | set(plain)
    for link in outside - {"http://127.0.0.1:8000"}:
        parts = urlsplit(link)
        assert parts.scheme == "https", link
        assert re.fullmatch(r"(?:[a-z0-9-]+\.)+[a-z]{2,}", parts.hostname or ""), link
        assert parts.username is None, link
        assert not parts.query or "=" in parts.query, link
        assert re.fullmatch(r"(?:[\w/~.%:+-]*[\w/])?", parts.path), link
        is_made_up = (parts.hostname or "").endswith(("example.com", "example.org", "localhost"))
        assert not is_made_up, f"{link} leads nowhere"


def test_pages_have_no_other_kind_of_link():
    """Links by reference and autolinks would not be looked after here."""
    for page in pages():
        text = re.sub(r"`[^`\n]+`", "", prose(page))
        assert re.findall(r"^\[[^\]]+\]: |\]\[[^\]]*\]|<https?:", text, re.MULTILINE) == [], page


def test_every_paper_that_code_names_exists():
    wrong = []
    for name in tracked():
        if not name.endswith((".py", ".yaml", ".yml", ".sh", ".in", ".md", ".toml", "Makefile")):
            continue
        for path, anchor in _NAMED.findall((ROOT / name).read_text(encoding="utf-8")):
            is_there = (ROOT / path).is_file()
            if not is_there or (anchor and anchor not in anchors(path)):
                wrong.append(f"{name}: {path}#{anchor}")
    assert wrong == []


def test_every_page_is_reached_from_the_first_one():
    reached, waiting = set(), ["README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for link in links(page):
            there = (ROOT / page).parent / link.partition("#")[0]
            found = [there] if there.suffix == ".md" else sorted(there.glob("*.md"))
            for one in found:
                name = str(one.resolve().relative_to(ROOT)) if one.is_file() else ""
                if name in pages() and name not in reached:
                    waiting.append(name)
    assert set(pages()) - reached == set()


def test_the_first_page_links_every_page_of_docs():
    """A page that only another page leads to is found by nobody who looks for it."""
    shown = {link.partition("#")[0] for link in links("README.md")}
    assert [
        page for page in pages() if re.fullmatch(r"docs/[^/]+", page) and page not in shown
    ] == []


def test_every_alert_has_a_runbook_of_its_own():
    files = [
        yaml.safe_load((PROMETHEUS / name).read_text("utf-8")) for name in ("alerts.yml", "slo.yml")
    ]
    groups = [group for file in files for group in file["groups"]]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    runbooks = [rule["annotations"]["runbook"] for rule in alerts]
    assert len(alerts) > 12
    for rule, runbook in zip(alerts, runbooks, strict=True):
        page, _, anchor = runbook.partition("#")
        assert anchor == rule["alert"].lower(), rule["alert"]
        assert anchor in anchors(page)
    page = runbooks[0].partition("#")[0]
    assert anchors(page) >= {runbook.partition("#")[2] for runbook in runbooks}
