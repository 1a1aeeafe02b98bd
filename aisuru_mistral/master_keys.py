"""What ENCRYPTION_KEYRING may say: master keys of its own, or the names of keys in a key service.

EntryError    an entry that cannot be; says what is wrong and how to make a good one
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

KEY_BYTES = 32
VAULT, KMS = "vault:", "kms:"
HOW_TO_MAKE = (
    "make one with: python3 -c 'import base64, os; "
    'print("k1:" + base64.b64encode(os.urandom(32)).decode())\''
)
_HOW_TO_LEAVE = f"{HOW_TO_MAKE}; put it before the others and run manage.py rotate_keyring"
_MOST_ID = 32
_LEAST_VARIETY = 8  # 32 random bytes never repeat themselves as much
_TRANSIT_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_KMS_KEY = re.compile(
    r"arn:aws[a-z-]*:kms:[a-z]{2}[a-z0-9-]+:\d{12}:(?:key|alias)/[A-Za-z0-9/_-]{1,250}"
)


class EntryError(Exception):
    """An entry that cannot be used."""

    def __init__(self, problem: str, remedy: str = HOW_TO_MAKE) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Vault:
    """Where HashiCorp Vault is and how to talk to it; it never prints its token."""

    address: str
    token: str = field(repr=False)
    token_file: Path | None
    mount: str
    namespace: str | None
    ca_file: str | None


def read(text: str) -> tuple[tuple[str, bytes | str], ...]:
    """Read ``id:key[,id:key…]``: each id with 32 bytes, or with ``vault:…`` or ``kms:…``.

    A poor key that sealed something still opens it, behind a good one: so it can be left. One name
    in a key service under two ids is no fault: a new entry has a new version of it wrap everything.

    Raises:
        EntryError: malformed, no 256 random bits, one id twice, or the newest key counts or stands
            under another id, too.
    """
    entries: list[tuple[str, bytes | str]] = []
    for entry in text.split(","):
        key_id, separator, key = entry.strip().partition(":")
        if not separator or not key_id.isascii() or not key_id.isalnum() or len(key_id) > _MOST_ID:
            raise EntryError("has an entry that is not id:base64 (id: up to 32 letters and digits)")
        entries.append((key_id, _distant(key_id, key) or _local(key_id, key)))
    if len({key_id for key_id, _ in entries}) != len(entries):
        raise EntryError("names one id twice", "give every entry its own id")
    newest, *older = [key for _, key in entries]
    if isinstance(newest, bytes) and _is_counted(newest):
        raise EntryError(f"entry {entries[0][0]!r} is not random", _HOW_TO_LEAVE)
    if isinstance(newest, bytes) and newest in older:
        problem = "has its newest key under two ids, so a rotation would rotate nothing"
        raise EntryError(problem, _HOW_TO_LEAVE)
    return tuple(entries)


def _local(key_id: str, encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise EntryError(f"entry {key_id!r} is not base64") from None
    if len(key) != KEY_BYTES:
        raise EntryError(f"entry {key_id!r} is not {KEY_BYTES} bytes long")
    if len(set(key)) < _LEAST_VARIETY:
        raise EntryError(f"entry {key_id!r} is not random")
    return key


def _is_counted(key: bytes) -> bool:
    """Tell whether each byte is the one before and the same step, as in ``bytes(range(32))``."""
    steps = {(after - before) % 256 for before, after in pairwise(key)}
    return len(steps) == 1


def newest_is_in(text: str, entries: tuple[tuple[str, bytes | str], ...]) -> bool:
    """Tell whether a text has the newest key in it, in base64 or hexadecimal."""
    keys = [key for _, key in entries[:1] if isinstance(key, bytes)]
    encoded = [base64.b64encode(key).decode().rstrip("=") for key in keys]
    spelt = [form for one in encoded for form in (one, one.replace("+", "-").replace("/", "_"))]
    return any(one in text for one in spelt) or any(key.hex() in text.lower() for key in keys)


def _distant(key_id: str, entry: str) -> str | None:
    """Check an entry that names a key in a key service; None for any other."""
    if entry.startswith(VAULT):
        if not _TRANSIT_KEY.fullmatch(entry.removeprefix(VAULT)):
            problem = f"entry {key_id!r} names no key of Vault's Transit engine"
            raise EntryError(problem, f"like {key_id}:vault:aisuru-mistral")
        return entry
    if not entry.startswith(KMS):
        return None
    if not _KMS_KEY.fullmatch(entry.removeprefix(KMS)):
        remedy = f"like {key_id}:kms:arn:aws:kms:eu-south-1:111122223333:alias/aisuru-mistral"
        raise EntryError(f"entry {key_id!r} is no ARN of a KMS key", remedy)
    if find_spec("boto3") is None:
        remedy = "install it with: pip install --require-hashes -r requirements/kms.txt"
        raise EntryError(f"entry {key_id!r} needs boto3", remedy)
    return entry
