"""A verb tells who did what: the rule of CONTRIBUTING, as far as the source shows it.

A verb is public, takes an actor and opens the scope of a tenant. It can forget two things.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.test_imports import ROOT, SOURCES

Function = ast.FunctionDef | ast.AsyncFunctionDef


def parameters(function: Function) -> set[str]:
    given = function.args
    return {one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)}


def called(node: ast.AST) -> set[str]:
    return {ast.unparse(one.func) for one in ast.walk(node) if isinstance(one, ast.Call)}


def records(function: Function, neighbours: dict[str, Function], seen: frozenset[str]) -> bool:
    """Whether it writes an audit row, by itself or by functions of its module and a room's own."""
    names = called(function)
    if names & {"audit.record", "slots.done"}:
        return True
    return any(
        records(neighbours[name], neighbours, seen | {name})
        for name in names & neighbours.keys() - seen
    )


def verbs() -> Iterator[tuple[str, Function, dict[str, Function]]]:
    """Public functions that take an actor and open a tenant's scope."""
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = {node.name: node for node in tree.body if isinstance(node, Function)}
        for name, function in functions.items():
            if name.startswith("_") or "actor" not in parameters(function):
                continue
            if "scope.tenant" in called(function):
                yield f"{path.relative_to(ROOT)}:{name}", function, functions


VERBS = {name: (function, neighbours) for name, function, neighbours in verbs()}


def test_there_are_verbs():
    assert "tenants/keys/services.py:update_key" in VERBS
    assert "tenants/organizations/members.py:change_role" in VERBS


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_takes_its_facts_by_name_and_writes_an_audit_row(name):
    function, neighbours = VERBS[name]
    assert not function.args.args, "keyword-only: who reads a call sees who acts on what"
    assert records(function, neighbours, frozenset())
