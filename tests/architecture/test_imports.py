"""What may be imported where, and what may not be written at all."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from django.apps import apps

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for folder in ("aisuru_mistral", "tenants")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
)


def test_the_import_contracts_hold():
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_file_is_short_and_explains_itself(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    if text.strip():
        assert text.startswith(('"""', "#!")), "a module opens with what it is for"
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)


def test_money_is_never_a_float():
    for path in SOURCES:
        if "spend" in path.relative_to(ROOT).parts:
            assert not re.search(r"\bfloat\b", path.read_text(encoding="utf-8")), path


def test_a_model_is_imported_from_the_models_of_its_room():
    """Where a room has too many for one file, ``models`` gathers them."""
    aside = {
        (model.__module__, model.__name__)
        for model in apps.get_models()
        if re.fullmatch(r"tenants\.\w+\.(?!models$)\w+", model.__module__)
    }
    assert ("tenants.spend.lines", "SpendLine") in aside
    for folder in ("aisuru_mistral", "bench", "tenants", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            found = {
                (node.module, one.name)
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.ImportFrom)
                for one in node.names
            }
            if path.name != "models.py" or path.parent.parent.name != "tenants":
                assert not found & aside, path


def test_tables_are_written_in_one_place():
    """What writes CSV by itself forgets sooner or later that a cell may be a formula."""
    writers = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if re.search(r"^\s*(?:import|from) csv\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert writers == ["tenants/common/tables.py"]


def test_a_day_is_always_of_a_zone_that_is_named():
    """``now().date()`` is UTC's day, of which organizations elsewhere know nothing."""
    for path in SOURCES:
        found = re.findall(r"\bnow(?:\(\))?\.date\(\)", path.read_text(encoding="utf-8"))
        assert found == [], path


def test_every_app_starts_with_one_migration():
    for folder in (ROOT / "tenants").glob("*/migrations"):
        first = sorted(path.name for path in folder.glob("0*.py"))
        assert [name for name in first if name.startswith("0001")] == ["0001_initial.py"], folder


# Rooms that a contract leaves out, each with why.
ABOVE_THE_RULE = {
    "Rooms, workshop and ground know no request framework": {
        "access": "it is where the framework is tamed",
        "api": "it is written with it",
        "console": "stands on access",
        "gateway": "stands on access",
        "support": "stands on access",
    },
    "Ciphers live in the vault": {"vault": "the vault"},
    "HTTP leaves through the workshop": {
        "aisuru": "the workshop",
        "mistral": "the workshop",
        "vies": "the workshop",
    },
}


def test_a_contract_binds_every_room_that_it_does_not_name_as_an_exception():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    rooms = {path.parent.name for path in (ROOT / "tenants").glob("*/__init__.py")}
    left_out = {
        contract["name"]: rooms - {name.removeprefix("tenants.") for name in bound}
        for contract in contracts
        if contract["type"] == "forbidden"
        and "tenants" not in (bound := contract["source_modules"])
    }
    assert left_out == {name: set(rooms) for name, rooms in ABOVE_THE_RULE.items()}
