"""docs/threat-model.md names tests that there are, for every letter of STRIDE in both journeys."""

import re

from tests.papers.pages import ROOT, pages

PAGE = pages()["docs/threat-model.md"]


def test_every_threat_has_a_test_that_exists():
    for journey in PAGE.split("\n## ")[2:4]:
        rows = re.findall(r"^\| ([STRIDE]) \|(.*)\|$", journey, re.MULTILINE)
        assert {letter for letter, _row in rows} == set("STRIDE")
        for _letter, row in rows:
            _threat, _mitigation, shown, _left = row.split(" | ")
            named = re.findall(r"`([\w/]+\.py)`", shown)
            assert named, row
            for path in named:
                assert (ROOT / "tests" / path).is_file(), path
