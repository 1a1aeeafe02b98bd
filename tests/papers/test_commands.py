"""No command of a paper goes untried: fenced ones are run somewhere, others name what there is."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from tests.papers.commands import (
    ELSEWHERE,
    NOT_HERE,
    PLAYED,
    RUN,
    SHOWN,
    all_blocks,
    listed,
    played,
)
from tests.papers.pages import ROOT, pages, tracked

_MANAGED = re.compile(r"manage\.py ([a-z_]{4,})([^`\n#|;]*)")
_BENCH = re.compile(r"-m bench[ .]([a-z_]+)")
_MADE = re.compile(r"`make ([a-z][a-z -]*)`")
_FILES = re.compile(
    r"`((?:docker|docs|tests|bench|aisuru_mistral|tenants|requirements)/[\w./-]*\w)/?`"
)
_ROLE = re.compile(r"docker/entrypoint\.sh ([a-z]+)")


def test_every_block_says_what_it_is_and_what_does_something_is_run_once():
    for block in all_blocks():
        assert block.language in RUN | SHOWN, block
        if block.language not in RUN:
            continue
        ways = [*listed(block, ELSEWHERE), *listed(block, NOT_HERE)]
        is_played = block.page in PLAYED and block in played(block.page)
        assert len(ways) + is_played == 1, f"{block}: {ways}"


def test_what_runs_elsewhere_is_there():
    known = {place for block in all_blocks() for place in listed(block, {**ELSEWHERE, **NOT_HERE})}
    assert known == set(ELSEWHERE) | set(NOT_HERE)
    for places in ELSEWHERE.values():
        for path, piece in places:
            assert piece in _code(path), f"{path}: {piece}"
    assert all(played(page) for page in PLAYED)


@cache
def _code(path: str) -> str:
    """Give what a test does: its lines without comments and docstrings, which do nothing."""
    text = (ROOT / path).read_text(encoding="utf-8")
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


@cache
def _commands() -> dict[str, str]:
    """Commands and the packages that have them; `manage.py` adds the simulator's own."""
    ours = [path for path in tracked() if re.search(r"management/commands/[a-z]\w+\.py$", path)]
    found = {Path(path).stem: ".".join(Path(path).parts[:-3]) for path in ours}
    return {name: str(app) for name, app in get_commands().items()} | found


@cache
def _options(name: str) -> frozenset[str]:
    parser = load_command_class(_commands()[name], name).create_parser("manage.py", name)
    return frozenset(word for action in parser._actions for word in action.option_strings)


@pytest.mark.parametrize("page", pages())
def test_every_command_in_a_sentence_exists(page):
    text = re.sub(r"\s*\n\s*", " ", pages()[page]).replace("`", "`\n")
    for name, rest in _MANAGED.findall(text):
        assert name in _commands(), name
        asked = {word.partition("=")[0] for word in rest.split() if word.startswith("--")}
        assert {word.strip("[].,)") for word in asked} <= _options(name), (name, asked)
    for part in _BENCH.findall(text):
        is_part = f'"{part}"' in (ROOT / "bench/__main__.py").read_text(encoding="utf-8")
        is_module = any((ROOT / "bench").glob(f"{part}.py")) or (ROOT / "bench" / part).is_dir()
        assert is_part or is_module, part
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for targets in _MADE.findall(text):
        for target in shlex.split(targets):
            assert f"\n{target}:" in makefile, target
    for path in _FILES.findall(text):
        assert (ROOT / path).exists(), path
    roles = (ROOT / "docker/entrypoint.sh").read_text(encoding="utf-8")
    for role in _ROLE.findall(text):
        assert f"\n  {role})" in roles, role
