"""What nothing of the product mentions is not there: tests alone keep no code alive.

Names are only counted: a name that anything else has, too, counts as used. So this finds much of
what is dead at no cost, and accuses nobody wrongly.
"""

import ast
import re
from collections.abc import Iterable, Iterator

from tests.architecture.test_imports import ROOT

CODE = sorted(
    path for folder in ("aisuru_mistral", "tenants") for path in (ROOT / folder).rglob("*.py")
)
TEMPLATES = sorted((ROOT / "tenants").rglob("templates/**/*.*"))
#: Decorators after which a name still wants somebody who uses it; others hand it to a framework.
PLAIN = {"asynccontextmanager", "cache", "cached_property", "classmethod", "contextmanager"}
PLAIN |= {"dataclass", "lru_cache", "property", "staticmethod", "total_ordering"}
#: Bases that call no method by a name of their own.
OWN = {"ABC", "Protocol", "Exception"}

FOUND_BY_OTHERS = {
    "sentences": "babel.cfg names it",
    "SessionScheme": "drf-spectacular finds its extensions by their base",
    "TokenScheme": "the same",
}

Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def name_of(node: ast.expr) -> str:
    """The last word of ``name``, ``module.name``, ``name[...]`` and ``name(...)``."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return node.attr
        case ast.Call():
            return name_of(node.func)
        case ast.Subscript():
            return name_of(node.value)
    return ""


def mentioned(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name() | ast.Attribute():
                yield name_of(node)
            case ast.alias():
                yield node.name.rpartition(".")[2]
            case ast.keyword(arg=str(name)):
                yield name
            case ast.Constant(value=str(text)) if " " not in text:  # "module.name", and the like
                yield from re.findall(r"\w+", text)


def plain(body: Iterable[ast.stmt]) -> Iterator[Named]:
    """What is defined here that is nobody's if nothing mentions it."""
    for node in body:
        if isinstance(node, Named) and {name_of(one) for one in node.decorator_list} <= PLAIN:
            yield node


def defined(tree: ast.Module) -> Iterator[str]:
    """Functions and classes, and the methods of classes that no framework has a hand in."""
    for node in plain(tree.body):
        yield node.name
        if isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases} <= OWN:
            yield from (one.name for one in plain(node.body))


def test_everything_is_used_by_something_else_than_tests():
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in CODE}
    used = {name for tree in trees.values() for name in mentioned(tree)}
    for path in TEMPLATES:
        used |= set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    unused = {
        name: str(path.relative_to(ROOT))
        for path, tree in trees.items()
        for name in defined(tree)
        if name not in used and not name.startswith("__")
    }
    assert {name: where for name, where in unused.items() if name not in FOUND_BY_OTHERS} == {}
    assert set(FOUND_BY_OTHERS) <= set(unused), "an exception that is none"
