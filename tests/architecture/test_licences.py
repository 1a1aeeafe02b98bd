"""Every locked package has a licence that we may live with; docs/dependencies.md says why."""

import re
from functools import cache
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

import pytest
from license_expression import ExpressionError, get_spdx_licensing

ROOT = Path(__file__).resolve().parents[2]
LICENSING: Any = get_spdx_licensing()
PAPER = ROOT / "docs" / "dependencies.md"
#: What a package says that says it in no SPDX expression.
SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 3-Clause OR Apache-2.0": "BSD-3-Clause OR Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.1-or-later",
    "GPL-3.0": "GPL-3.0-only",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT style": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
#: Packages whose metadata says nothing that can be read; taken from the licence that they bring.
READ = {
    "axe-playwright-python": "MIT",
    "docutils": "BSD-2-Clause AND PSF-2.0 AND GPL-3.0-or-later",  # and files in the public domain
    "mistralai": "Apache-2.0",
    "promql-parser": "MIT",
    "pyreqwest": "Apache-2.0",
}
#: Classifiers that say nothing about a licence by themselves.
EMPTY = {"DFSG approved", "OSI Approved", "Other/Proprietary License"}


@cache
def installed() -> dict[str, Distribution]:
    return {_plain(found.metadata["Name"]): found for found in distributions()}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lock: str) -> set[str]:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    return {_plain(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}


def allowed(heading: str) -> set[str]:
    """Read a row of the paper's table."""
    [row] = re.findall(rf"^\| {heading} \|([^|]+)\|", PAPER.read_text("utf-8"), re.MULTILINE)
    return set(re.findall(r"`([^`]+)`", row))


def said_by(name: str) -> str:
    """Give what a package says of its licence, as an SPDX expression."""
    metadata: Any = installed()[name].metadata
    if said := metadata.get("License-Expression"):
        return str(said)
    classifiers = {
        one.rpartition(" :: ")[2]
        for one in metadata.get_all("Classifier") or []
        if one.startswith("License :: ")
    } - EMPTY
    # Several classifiers are a choice, or parts under different ones: all are asked for.
    words = sorted(classifiers) or [(metadata.get("License") or "none").strip()]
    return " AND ".join(f"({SPDX.get(word, word)})" for word in words)


def fits(expression: Any, known: set[str]) -> bool:
    """Tell whether a parsed expression can be met by known licences alone."""
    if expression.isliteral:
        return str(expression) in known
    kept = [fits(part, known) for part in expression.args]
    return any(kept) if isinstance(expression, LICENSING.OR) else all(kept)


@pytest.mark.parametrize("lock", ["base.txt", "kms.txt", "sbom.txt", "dev.txt", "uv.txt"])
def test_every_locked_package_has_an_allowed_licence(lock):
    known = allowed("permissive") | allowed("weak copyleft")
    if lock in {"sbom.txt", "dev.txt", "uv.txt"}:
        known |= allowed("tools only")
    names = locked(lock) & set(installed())
    assert len(names) > 0.8 * len(locked(lock)), "the rest is of other systems"
    said = {name: READ.get(name) or said_by(name) for name in names}
    wrong = {
        name: words
        for name, words in said.items()
        if not fits(LICENSING.parse(words, validate=True), known)
    }
    assert wrong == {}


@pytest.mark.parametrize("name", READ)
def test_what_had_to_be_read_cannot_be_told_from_metadata(name):
    with pytest.raises(ExpressionError):
        LICENSING.parse(said_by(name), validate=True)
