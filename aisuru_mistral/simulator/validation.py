"""Checks request bodies and words its findings as Mistral's servers do (pydantic's error list).

Refuses nothing else.

A checker takes a value and where it stands, appends findings, and gives back the value as the
server would read it ("5" is the number 5). Checkers are built once from the small vocabulary below.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

type Place = tuple[str | int, ...]
type Findings = list[dict[str, Any]]
type Checker = Callable[[Any, Place, Findings], Any]

REQUIRED = object()
_TRUE = frozenset({"true", "1", "on", "yes", "t", "y"})
_FALSE = frozenset({"false", "0", "off", "no", "f", "n"})
_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,18}\s*")


def finding(
    kind: str, place: Place, message: str, given: Any, context: dict[str, Any] | None = None
) -> dict[str, Any]:
    """One entry of a 422 body."""
    entry: dict[str, Any] = {"type": kind, "loc": list(place), "msg": message, "input": given}
    if context is not None:
        entry["ctx"] = context
    return entry


def check_body(checker: Checker, body: Any) -> tuple[Any, Findings]:
    """The body as the server reads it, and what is wrong with it."""
    findings: Findings = []
    return checker(body, ("body",), findings), findings


def anything(value: Any, place: Place, findings: Findings) -> Any:
    """Whatever JSON can say."""
    del place, findings
    return value


def string(value: Any, place: Place, findings: Findings) -> Any:
    """A text."""
    if not isinstance(value, str):
        findings.append(finding("string_type", place, "Input should be a valid string", value))
    return value


def mapping(value: Any, place: Place, findings: Findings) -> Any:
    """An object with any fields."""
    if not isinstance(value, dict):
        findings.append(finding("dict_type", place, "Input should be a valid dictionary", value))
    return value


def boolean(value: Any, place: Place, findings: Findings) -> Any:
    """True or false, or a word for them."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str | int | float):
        word = str(value).lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        text = "Input should be a valid boolean, unable to interpret input"
        findings.append(finding("bool_parsing", place, text, value))
    else:
        findings.append(finding("bool_type", place, "Input should be a valid boolean", value))
    return value


def integer(*, least: int | None = None, above: int | None = None) -> Checker:
    """A whole number."""

    def check(value: Any, place: Place, findings: Findings) -> Any:
        number = _read_integer(value, place, findings)
        return _within(number, value, place, findings, least=least, above=above)

    return check


def number(
    *, least: float | None = None, above: float | None = None, most: float | None = None
) -> Checker:
    """A number."""

    def check(value: Any, place: Place, findings: Findings) -> Any:
        read = _read_number(value, place, findings)
        return _within(read, value, place, findings, least=least, above=above, most=most)

    return check


def one_of(*words: str, literal: bool = False) -> Checker:
    """One of these words: an enum, or with `literal` a constant."""
    quoted = [f"'{word}'" for word in words]
    expected = quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
    kind = "literal_error" if literal else "enum"

    def check(value: Any, place: Place, findings: Findings) -> Any:
        if not isinstance(value, str) or value not in words:
            text = f"Input should be {expected}"
            findings.append(finding(kind, place, text, value, {"expected": expected}))
        return value

    return check


def nullable(checker: Checker) -> Checker:
    """This or null."""

    def check(value: Any, place: Place, findings: Findings) -> Any:
        return None if value is None else checker(value, place, findings)

    return check


def list_of(checker: Checker) -> Checker:
    """A list, each entry checked."""

    def check(value: Any, place: Place, findings: Findings) -> Any:
        if not isinstance(value, list):
            findings.append(finding("list_type", place, "Input should be a valid list", value))
            return value
        return [checker(entry, (*place, at), findings) for at, entry in enumerate(value)]

    return check


def either(choices: Mapping[str, Checker]) -> Checker:
    """The first choice that fits.

    When none does, the findings of all, each under its choice's name.
    """

    def check(value: Any, place: Place, findings: Findings) -> Any:
        collected: Findings = []
        for name, checker in choices.items():
            mine: Findings = []
            read = checker(value, (*place, name), mine)
            if not mine:
                return read
            collected += mine
        findings += collected
        return value

    return check


def record(fields: Mapping[str, tuple[Checker, Any]], *, extra: bool = False) -> Checker:
    """An object with exactly these fields: name → (checker, default or REQUIRED).

    Defaults are filled in, but None is left out. With `extra` other fields are let through unread.
    """

    def check(value: Any, place: Place, findings: Findings) -> Any:
        if not isinstance(value, dict):
            text = "Input should be a valid dictionary or object to extract fields from"
            findings.append(finding("model_attributes_type", place, text, value))
            return value
        read: dict[str, Any] = {}
        for name, (checker, default) in fields.items():
            if name in value:
                read[name] = checker(value[name], (*place, name), findings)
            elif default is REQUIRED:
                findings.append(finding("missing", (*place, name), "Field required", value))
            elif default is not None:
                read[name] = default
        for name in value:
            if name not in fields and extra:
                read[name] = value[name]
            elif name not in fields:
                text = "Extra inputs are not permitted"
                findings.append(finding("extra_forbidden", (*place, name), text, value[name]))
        return read

    return check


def tagged(tag: str, kinds: Mapping[str, Checker], *, default: str | None = None) -> Checker:
    """An object whose field `tag` says which of the kinds it is."""
    quoted = f"'{tag}'"
    expected = ", ".join(f"'{kind}'" for kind in kinds)

    def check(value: Any, place: Place, findings: Findings) -> Any:
        if not isinstance(value, dict):
            text = "Input should be a valid dictionary or object to extract fields from"
            findings.append(finding("model_attributes_type", place, text, value))
            return value
        kind = value.get(tag, default)
        if kind is None:
            text = f"Unable to extract tag using discriminator {quoted}"
            context: dict[str, Any] = {"discriminator": quoted}
            findings.append(finding("union_tag_not_found", place, text, value, context))
            return value
        checker = kinds.get(kind) if isinstance(kind, str) else None
        if checker is None:
            text = (
                f"Input tag '{kind}' found using {quoted} does not match any of the expected tags: "
                f"{expected}"
            )
            context = {"discriminator": quoted, "tag": str(kind), "expected_tags": expected}
            findings.append(finding("union_tag_invalid", place, text, value, context))
            return value
        return checker(value, (*place, str(kind)), findings)

    return check


def _read_integer(value: Any, place: Place, findings: Findings) -> int | None:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if value.is_integer():
            return int(value)
        text = "Input should be a valid integer, got a number with a fractional part"
        findings.append(finding("int_from_float", place, text, value))
    elif isinstance(value, str):
        if _WHOLE_NUMBER.fullmatch(value):
            return int(value)
        text = "Input should be a valid integer, unable to parse string as an integer"
        findings.append(finding("int_parsing", place, text, value))
    else:
        findings.append(finding("int_type", place, "Input should be a valid integer", value))
    return None


def _read_number(value: Any, place: Place, findings: Findings) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            text = "Input should be a valid number, unable to parse string as a number"
            findings.append(finding("float_parsing", place, text, value))
            return None
    findings.append(finding("float_type", place, "Input should be a valid number", value))
    return None


def _within(
    read: float | None,
    value: Any,
    place: Place,
    findings: Findings,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
) -> Any:
    if read is None:
        return value
    if least is not None and read < least:
        kind, short, bound, words = "greater_than_equal", "ge", least, "greater than or equal to"
    elif above is not None and read <= above:
        kind, short, bound, words = "greater_than", "gt", above, "greater than"
    elif most is not None and read > most:
        kind, short, bound, words = "less_than_equal", "le", most, "less than or equal to"
    else:
        return read
    findings.append(finding(kind, place, f"Input should be {words} {bound}", value, {short: bound}))
    return read
