"""Letters to look at: with AIM_LETTERS=folder, tests that write letters keep them there."""

import os
from pathlib import Path

from tenants.people.mail import Letter
from tests.console.html import faults

_FOLDER = os.environ.get("AIM_LETTERS")  # noqa: TID251 - for people who look


def looked_at(name: str, language: str, letter: Letter) -> None:
    """See that a letter's HTML is valid, and keep both of its forms if somebody wants to look."""
    # Some mail programs centre by nothing else.
    assert [one for one in faults(letter.html) if one != "obsolete: align"] == [], name
    if _FOLDER:
        folder = Path(_FOLDER)
        folder.mkdir(parents=True, exist_ok=True)
        place = f"{name.replace('/', '-')}.{language}"
        (folder / f"{place}.html").write_text(letter.html, encoding="utf-8")
        (folder / f"{place}.txt").write_text(f"{letter.subject}\n\n{letter.text}", encoding="utf-8")
