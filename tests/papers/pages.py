"""The papers of the repository, read: pages, their headings, links and fenced blocks."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCED = re.compile(r"^( *)```(\S*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_LINKED = re.compile(r"\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: where, in which language, and what is in it."""

    page: str
    language: str
    text: str

    @property
    def beginning(self) -> str:
        return self.text.strip().splitlines()[0].strip()

    def __str__(self) -> str:
        return f"{self.page}: {self.beginning}"


@cache
def tracked() -> tuple[str, ...]:
    """Every file of the repository, ignored ones left out."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(name for name in sorted(listed.split("\0")) if name and (ROOT / name).is_file())


@cache
def pages() -> dict[str, str]:
    """Every page, by its path."""
    names = [name for name in tracked() if name.endswith(".md")]
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in names}


def blocks(page: str) -> list[Block]:
    """What is fenced on a page."""
    found = _FENCED.finditer(pages()[page])
    return [Block(page, language, text) for _indent, language, text in (f.groups() for f in found)]


def prose(page: str) -> str:
    """A page without what is fenced."""
    return _FENCED.sub("", pages()[page])


def links(page: str) -> Iterator[str]:
    """Where a page leads to."""
    for found in _LINK.finditer(_CODE.sub("", prose(page))):
        yield found[1]


@cache
def anchors(page: str) -> frozenset[str]:
    """The anchors that the headings of a page get, as GitHub makes them."""
    seen: Counter[str] = Counter()
    made = set()
    for found in _HEADING.finditer(prose(page)):
        words = _LINKED.sub(r"\1", found[1]).replace("`", "")
        name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        made.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return frozenset(made)
