"""What the code can write into the audit log: every verb, and every kind of row that it is done to.

Read from the source, so that a verb that is new is known here before anybody has written it.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.apps import apps
from django.db.models import Model

from tenants.keys.models import KeyStatus, ProbeStatus
from tenants.organizations.models import JoinRequestStatus
from tenants.support import (
    house,  # noqa: F401 - it makes the desk's lists known
    lists,
)

ROOT = Path(__file__).parents[2] / "tenants"
#: Verbs that are put together: what they can become, by how the source writes them.
_MADE = {
    "f'support.{page}_viewed'": [],  # see _looks
    "f'support.{listing.page}_exported'": [f"support.{one}_exported" for one in lists.KNOWN],
    "f'key.{judged.status}'": [f"key.{one}" for one in KeyStatus.values],
    "f'key.probe_{status}'": [f"key.probe_{one}" for one in ProbeStatus.values],
    "f'join_request.{status.value}'": [f"join_request.{one}" for one in JoinRequestStatus.values],
}
#: Targets whose model cannot be read from where they are written, with the file if it matters.
_TARGETS = {
    "spend/extensions.py limit": "Limit",
    "spend/services.py limit": "Limit",
    "registry/publications.py locked": "RegisteredModel",
    "registry/default_model.py other": "RegisteredModel",
    "organizations/data_key_rotation.py row": "DataKey",
    "keys/validation.py key": "MistralKey",
    "notices/services.py member": "Member",
    "claimed.model": "RegisteredModel",
    "found.session": "SupportSession",
    "visit.session": "SupportSession",
    "probe.key": "MistralKey",
    "found[reference]": "Correction",
}
type _Function = ast.FunctionDef


@dataclass(frozen=True)
class Site:
    """A place that writes: where, its function, and what it calls the verb and the target."""

    path: Path
    function: _Function
    verb: ast.expr | None
    target: ast.expr | None

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.function.lineno}"


@cache
def _sources() -> dict[Path, ast.Module]:
    paths = (path for path in ROOT.rglob("*.py") if "migrations" not in path.parts)
    return {path: ast.parse(path.read_text()) for path in paths}


def _functions(tree: ast.AST) -> Iterator[_Function]:
    return (one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef))


def _calls(tree: ast.AST, of: str, name: str) -> Iterator[ast.Call]:
    """Find calls of ``of.name``, or of ``name`` where ``of`` is empty."""
    wanted = f"{of}.{name}" if of else name
    for one in ast.walk(tree):
        if isinstance(one, ast.Call) and ast.unparse(one.func) == wanted:
            yield one


def _given(call: ast.Call, name: str, place: int | None = None) -> ast.expr | None:
    found = next((one.value for one in call.keywords if one.arg == name), None)
    if found is None and place is not None and place < len(call.args):
        return call.args[place]
    return found


def sites() -> list[Site]:
    """Find every place that calls ``audit.record``."""
    found = [
        Site(path, function, _given(call, "verb"), _given(call, "target"))
        for path, tree in _sources().items()
        for function in _functions(tree)
        for call in _calls(function, "audit", "record")
    ]
    assert len(found) > 40, "the places that write are found no more"
    return found


def verbs() -> set[str]:
    """Read every verb that can be written."""
    return _looks() | {verb for site in sites() for verb in _read(site, site.verb)}


def _looks() -> set[str]:
    """Read what the support desk looks at: a page of its own, or a list."""
    told = (
        _given(call, "page") for tree in _sources().values() for call in _calls(tree, "", "visit")
    )
    pages = {str(page.value) for page in told if isinstance(page, ast.Constant)}
    assert pages, "what the desk looks at is found no more"
    return {f"support.{page}_viewed" for page in pages | set(lists.KNOWN)}


def _read(site: Site, verb: ast.expr | None) -> set[str]:
    """Read what an expression of a verb can be; fail where that cannot be told."""
    written = ast.unparse(verb) if verb is not None else ""
    if isinstance(verb, ast.Constant) and isinstance(verb.value, str):
        return {verb.value}
    if isinstance(verb, ast.IfExp):
        return _read(site, verb.body) | _read(site, verb.orelse)
    if isinstance(verb, ast.JoinedStr):
        assert written in _MADE, f"{site}: say in tests/console/written.py what {written} can be"
        return set(_MADE[written])
    if isinstance(verb, ast.Subscript):
        return _values(site, ast.unparse(verb.value))
    if isinstance(verb, ast.Name):
        parameters = [one.arg for one in site.function.args.args]
        if verb.id in parameters:
            return _told(site, parameters.index(verb.id), verb.id)
        for one in ast.walk(site.function):
            if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == verb.id:
                return _read(site, one.value)
    raise AssertionError(f"{site}: no verb can be read from {written!r}")


def _values(site: Site, name: str) -> set[str]:
    """Read the values of a table of verbs."""
    for one in ast.walk(_sources()[site.path]):
        if not isinstance(one, ast.Assign) or ast.unparse(one.targets[0]) != name:
            continue
        if isinstance(one.value, ast.Dict):
            return {verb for value in one.value.values for verb in _read(site, value)}
    raise AssertionError(f"{site}: no table {name}")


def _told(site: Site, place: int, name: str) -> set[str]:
    """Read what a function is told, wherever it is called: here by name, elsewhere by module."""
    found: set[str] = set()
    for path, tree in _sources().items():
        of = "" if path == site.path else site.path.stem
        for function in _functions(tree):
            for call in _calls(function, of, site.function.name):
                told = Site(path, function, _given(call, name, place), None)
                found |= _read(told, told.verb)
    assert found, f"{site}: nobody calls {site.function.name}"
    return found


def kinds() -> set[str]:
    """Read every kind of row that something can be done to."""
    models = {model.__name__: model for model in apps.get_models()}
    found = {name for site in sites() for name in _types(site, models)}
    return {str(models[name]._meta.model_name) for name in found}


def _types(site: Site, models: dict[str, type[Model]]) -> list[str]:
    """Tell the models of a target: by annotation, or by what it was read or made from."""
    written = ast.unparse(site.target) if site.target is not None else ""
    for known in (written, f"{site.path.relative_to(ROOT)} {written}"):
        if known in _TARGETS:
            return [_TARGETS[known]]
    for one in (*site.function.args.args, *site.function.args.kwonlyargs):
        if one.arg == written and one.annotation is not None:
            return _named(one.annotation, models)
    made: list[ast.expr] = [
        node.value
        for node in ast.walk(site.function)
        if isinstance(node, ast.Assign)
        and written in {ast.unparse(target) for target in node.targets}
    ]
    made += [
        node.iter
        for node in ast.walk(site.function)
        if isinstance(node, ast.For) and ast.unparse(node.target) == written
    ]
    for value in made:
        if named := _named(value, models):
            return named[:1]
    raise AssertionError(f"{site}: say in tests/console/written.py what {written} is")


def _named(tree: ast.AST, models: dict[str, type[Model]]) -> list[str]:
    return [one.id for one in ast.walk(tree) if isinstance(one, ast.Name) and one.id in models]
