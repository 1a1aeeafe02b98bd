"""Whoever asks a bench what it does is told, and it does not begin."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for path in (ROOT / "bench").rglob("*.py")
    if '__name__ == "__main__"' in path.read_text()
)
#: All of them in one process: what they import is imported once.
ASK = """
import contextlib, io, json, os, runpy, sys
os.environ["COLUMNS"] = "1000"  # nothing is wrapped
modules, answers = sys.argv[1:], {}
for name in modules:
    sys.argv, status, told = [name, "--help"], "it began", io.StringIO()
    with contextlib.redirect_stdout(told):
        try:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            status = end.code
    answers[name] = [status, told.getvalue()]
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers():
    """What each says, within the time that none of them would need."""
    asked = subprocess.run(
        [sys.executable, "-c", ASK, *MODULES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(asked.stdout)


@pytest.mark.parametrize("name", MODULES)
def test_help_is_what_the_module_says_of_itself(answers, name):
    status, told = answers[name]
    assert status == 0
    path = ROOT / name.replace(".", "/")
    source = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    said = ast.get_docstring(ast.parse(source.read_text())) or "nothing"
    assert " ".join(said.split()) in " ".join(told.split())
