"""docs/dependencies.md argues everything that bandit is known to find, and nothing else."""

import re
from collections import Counter

from tests.papers.pages import ROOT, pages

PAGE = pages()["docs/dependencies.md"]


def known() -> Counter[tuple[str, str]]:
    """What is let through, by rule and severity."""
    counted: Counter[tuple[str, str]] = Counter()
    for line in (ROOT / ".ci" / "bandit.txt").read_text(encoding="utf-8").splitlines():
        rule, severity, file, count = line.split()
        assert (ROOT / file).is_file(), file
        counted[rule, severity] += int(count)
    return counted


def argued() -> Counter[tuple[str, str]]:
    counted: Counter[tuple[str, str]] = Counter()
    for what, counts, why in re.findall(
        r"^\| (B\d{3}.*) \| ([\d, ]+) \| (.+) \|$", PAGE, re.MULTILINE
    ):
        rules = re.findall(r"B\d{3}", what)
        [severity] = re.findall(r"\((low|medium)\)$", what)
        assert why
        for rule, count in zip(rules, counts.split(", "), strict=True):
            counted[rule, severity] += int(count)
    return counted


def test_what_bandit_may_find_is_what_the_page_argues():
    assert known() == argued()
    [(medium, low)] = re.findall(r"(\d+) things of medium and (\d+) of low", PAGE)
    totals = Counter[str]()
    for (_rule, severity), count in known().items():
        totals[severity] += count
    assert totals == {"medium": int(medium), "low": int(low)}
