"""Judges a migration's SQL: what would stop a service that runs on, or the version before it.

A statement on a table that the same migration makes stops nobody. Of others, refused are those that
read or rewrite the whole table under a lock that keeps callers out, and those that take away what
the version before still uses: it runs beside the new one while an upgrade lasts.
"""

import re
from collections.abc import Iterator, Sequence

_TABLE = r'(?:ONLY )?(?:IF (?:NOT )?EXISTS )?"?(?P<table>\w+)"?'
_CREATED = re.compile(rf"\bCREATE (?:UNLOGGED )?TABLE {_TABLE}", re.IGNORECASE)
_RULES = {
    "an index is built under a lock that keeps writers out: CONCURRENTLY, atomic = False": (
        rf"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)[\w\" ]* ON {_TABLE}"
    ),
    "a column that must not be null keeps no default: the version before cannot insert": (
        rf"ALTER TABLE {_TABLE} (?:ADD COLUMN (?![^;]* DEFAULT )[^;]*\bNOT NULL|"
        r"ALTER COLUMN \S+ DROP DEFAULT)"
    ),
    "the table is read whole: a valid check first, then SET NOT NULL": (
        rf"ALTER TABLE {_TABLE} [^;]*\bSET NOT NULL"
    ),
    "the table is rewritten: a new column instead": rf"ALTER TABLE {_TABLE} [^;]*\bTYPE\b",
    "every row is read: NOT VALID here, VALIDATE CONSTRAINT in a later migration": (
        rf"ALTER TABLE {_TABLE} (?=[^;]*\bADD CONSTRAINT\b[^;]*\b(?:CHECK|FOREIGN KEY)\b)"
        r"(?![^;]*\bNOT VALID\b)"
    ),
    "an index is built under a lock: make it CONCURRENTLY, then ADD CONSTRAINT … USING INDEX": (
        rf"ALTER TABLE {_TABLE} (?=[^;]*\bADD CONSTRAINT\b[^;]*\b(?:UNIQUE|PRIMARY KEY|EXCLUDE)\b)"
        r"(?![^;]*\bUSING INDEX\b)"
    ),
    "the version before still uses it: stop using it first, take it away a release later": (
        rf"ALTER TABLE {_TABLE} [^;]*\b(?:DROP COLUMN|RENAME)\b"
    ),
    "the version before still uses the table: take it away a release later": (
        rf"DROP TABLE {_TABLE}"
    ),
    "everybody waits": (
        rf"(?:LOCK TABLE|CLUSTER|VACUUM FULL|REINDEX (?:TABLE|INDEX)(?! CONCURRENTLY)) {_TABLE}"
    ),
}
_PATTERNS = {said: re.compile(rule, re.IGNORECASE) for said, rule in _RULES.items()}
_NOTHING = re.compile(r"--[^\n]*|\$(\w*)\$.*?\$\1\$", re.DOTALL)


def judge(statements: Sequence[str]) -> Iterator[str]:
    """Say what is wrong with the statements of one migration, and with which of them."""
    whole = [" ".join(_NOTHING.sub("", statement).split()) for statement in statements]
    made = {found["table"] for one in whole for found in _CREATED.finditer(one)}
    for statement in whole:
        for said, pattern in _PATTERNS.items():
            for found in pattern.finditer(statement):
                if found["table"] not in made:
                    yield f"{said}\n    {statement[:150]}"
