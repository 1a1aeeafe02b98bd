"""Breaks a function of PostgreSQL in one place at a time, as text.

It knows enough of SQL to leave comments alone and to find where a condition ends; what it writes
may be no SQL at all, which whoever installs it finds out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

# Comments, and what is quoted: nothing in them is an operator.
_APART = re.compile(r"--[^\n]*|'(?:[^']|'')*'")
_BODY = re.compile(r"\$function\$(.*)\$function\$", re.DOTALL)
_LISTED = re.compile(r"\b(?:GROUP|ORDER) BY [\d, ]+")

# Each word or sign, and what it becomes.
_SWAPS = {
    r"<>|<=|>=|:=|=>|->>|#>>|->|<|>|=": {
        "<": "<=",
        "<=": "<",
        ">": ">=",
        ">=": ">",
        "=": "<>",
        "<>": "=",
    },
    r"(?<=[\w\])] )[+*/-](?= [\w(])": {"+": "-", "-": "+", "*": "/", "/": "*"},
    r"\b(?:AND|OR)\b": {"AND": "OR", "OR": "AND"},
    r"\b(?:true|false)\b": {"true": "false", "false": "true"},
    r"\b(?:greatest|least|min|max|sum|bool_or|bool_and)\b(?=\()": {
        "greatest": "least",
        "least": "greatest",
        "min": "max",
        "max": "min",
        "sum": "max",
        "bool_or": "bool_and",
        "bool_and": "bool_or",
    },
    r"\b(?:IS DISTINCT FROM|IS NULL|IS NOT NULL|NOT|DISTINCT|UNION ALL|LEFT JOIN|ANY|ALL)\b": {
        "IS DISTINCT FROM": "IS NOT DISTINCT FROM",
        "IS NULL": "IS NOT NULL",
        "IS NOT NULL": "IS NULL",
        "NOT": "",
        "DISTINCT": "",
        "UNION ALL": "UNION",
        "LEFT JOIN": "JOIN",
        "ANY": "ALL",
        "ALL": "ANY",
    },
    r"\bFOR (?:NO KEY )?UPDATE(?: OF \w+)?(?: SKIP LOCKED)?|\bSKIP LOCKED\b": {},
}
_CONDITION = re.compile(r"\b(WHERE|AND|OR|ON|HAVING)\b(?! CONFLICT)")
_ENDS = re.compile(
    r"\b(AND|OR|GROUP|ORDER|RETURNING|FOR|LIMIT|ON|LEFT|JOIN|CROSS|THEN|ELSE|WHEN|UNION|HAVING"
    r"|WHERE|LOOP|(?<!DISTINCT )FROM)\b|[;,]"
)
_COALESCE = re.compile(r"\bcoalesce\(")
_STATEMENT = re.compile(r"\b(?:PERFORM|LOCK TABLE|(?:CONTINUE|EXIT) WHEN)\b[^;]*;")


@dataclass(frozen=True)
class Mutant:
    """A definition that differs from the real one in one place.

    Attributes:
        number: from 1, the same whenever the definition is the same.
        line: of the function's body.
        before: what stood there.
        after: what stands there now.
        definition: the whole statement that creates it.
    """

    number: int
    line: int
    before: str
    after: str
    definition: str

    def __str__(self) -> str:
        before, after = (" ".join(text.split()) or "nothing" for text in (self.before, self.after))
        return f"#{self.number} line {self.line}: {before}  →  {after}"


def mutants(definition: str) -> Iterator[Mutant]:
    """Break the body of what ``pg_get_functiondef`` gave, in one place after the other."""
    found = _BODY.search(definition)
    if found is None:
        raise ValueError("no definition of a function in SQL or PL/pgSQL")
    numbers, seen = count(1), {definition}
    body = found[1]
    for start, end, after in sorted(_changes(body)):
        at = found.start(1)
        mutated = definition[: at + start] + after + definition[at + end :]
        if mutated not in seen:
            seen.add(mutated)
            line = body.count("\n", 0, start)
            yield Mutant(next(numbers), line, body[start:end], after, mutated)


def _changes(body: str) -> Iterator[tuple[int, int, str]]:
    """Give where something may be replaced, and by what."""
    code = _APART.sub(lambda apart: "\0" * len(apart[0]), body)
    for pattern, words in _SWAPS.items():
        for word in re.finditer(pattern, code):
            if not words or word[0] in words:
                yield word.start(), word.end(), words.get(word[0], "")
    yield from _without_parts(body, code)
    yield from _other_values(body, code)


def _without_parts(body: str, code: str) -> Iterator[tuple[int, int, str]]:
    """Leave out a condition, a default, a statement."""
    for word in _CONDITION.finditer(code):
        end = _end_of_condition(code, word.end())
        yield word.end(), end, " false " if word[0] == "OR" else " true "
    for word in _COALESCE.finditer(code):
        comma, end = _last_comma(code, word.end())
        yield word.start(), end, body[word.end() : comma]
    for word in _STATEMENT.finditer(code):
        yield word.start(), word.end(), "NULL;"


def _other_values(body: str, code: str) -> Iterator[tuple[int, int, str]]:
    """Add one to a number, empty a text."""
    listed = {at for span in _LISTED.finditer(code) for at in range(*span.span())}
    for number in re.finditer(r"(?<![\w$])\d+(?![\w$])", code):
        if number.start() not in listed:
            yield number.start(), number.end(), str(int(number[0]) + 1)
    for apart in _APART.finditer(body):
        if apart[0].startswith("'") and apart[0] != "''":
            yield apart.start(), apart.end(), "''"


def _end_of_condition(code: str, start: int) -> int:
    """Find where a condition ends: at the next word of its own depth, or where its bracket does."""
    depth = 0
    for at in range(start, len(code)):
        if code[at] in "([":
            depth += 1
        elif code[at] in ")]":
            depth -= 1
            if depth < 0:
                return at
        elif not depth and at > start and _ENDS.match(code, at) and not code[at - 1].isalnum():
            return at
    return len(code)


def _last_comma(code: str, start: int) -> tuple[int, int]:
    """Find the last comma of a call's arguments, and where the call ends."""
    depth, comma = 0, start
    for at in range(start, len(code)):
        if code[at] in "([":
            depth += 1
        elif code[at] in ")]":
            depth -= 1
            if depth < 0:
                return comma, at + 1
        elif code[at] == "," and not depth:
            comma = at
    raise ValueError("a bracket is not closed")
