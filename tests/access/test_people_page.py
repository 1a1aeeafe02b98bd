"""The table of roles in docs/people.md is the one in the code."""

from pathlib import Path

from tenants.organizations.roles import CAPABILITIES, COLUMNS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "people.md"


def test_the_page_shows_the_roles_of_the_code():
    shown = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].startswith("`") and len(cells) == len(COLUMNS) + 1:
            held = {column for column, cell in zip(COLUMNS, cells[1:], strict=True) if cell}
            shown[cells[0].strip("`")] = held
    assert shown == {name: set(who) for name, who in CAPABILITIES.items()}
