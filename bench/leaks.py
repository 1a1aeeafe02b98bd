"""How fast a gigabyte is looked through for leaked keys; nothing is found where nothing is.

Text, base64 and random letters and digits, with 10,000 keys known; the plain measure beside it is
counting line feeds in the same bytes. Run: ``.venv/bin/python -m bench.leaks [MEGABYTES]``.
"""

import argparse
import base64
import os
import random
import string
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")  # noqa: TID251 - a process of its own

import django

django.setup()  # the product is imported after this

from tenants.common.models import new_id  # noqa: E402
from tenants.common.secrets import Secret  # noqa: E402
from tenants.keys import custody  # noqa: E402
from tenants.keys.leaks import KnownKeys, Matcher, Owner  # noqa: E402

_ALPHABET = string.ascii_letters + string.digits
_PIECE = 1 << 20
_KEYS = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.leaks", description=__doc__)
    parser.add_argument("megabytes", type=int, nargs="?", default=1024)
    megabytes = parser.parse_args().megabytes
    generator = random.Random(1)
    plains = ["".join(generator.choices(_ALPHABET, k=32)) for _ in range(_KEYS)]
    known = KnownKeys()
    for plain in plains:
        owner = Owner(new_id(), new_id(), "valid")
        known.add(custody.fingerprint(Secret(plain)), plain[-4:], owner)
    words = ["".join(generator.choices(_ALPHABET, k=generator.randint(1, 12))) for _ in range(5000)]
    for name, share, piece in (
        ("text", 8, " ".join(generator.choices(words, k=_PIECE // 7)).encode()[:_PIECE]),
        ("base64", 1, base64.encodebytes(generator.randbytes(_PIECE * 3 // 4))[:_PIECE]),
        ("random letters", 1, "".join(generator.choices(_ALPHABET, k=_PIECE)).encode()),
    ):
        pieces = max(1, megabytes * share // 10)
        matcher = Matcher(known)
        started = time.perf_counter()
        false = sum(len(matcher.feed(piece)) for _ in range(pieces))
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        for _ in range(pieces):
            piece.count(b"\n")
        plain_seconds = time.perf_counter() - started
        caught = len(matcher.feed(b" " + plains[7].encode() + b" "))
        print(
            f"{name:15} {pieces:5} MiB  {pieces / seconds:7.1f} MiB/s  "
            f"{seconds / plain_seconds:6.1f} x counting lines  {false} false  {caught} of 1 found"
        )
        assert (false, caught) == (0, 1)


if __name__ == "__main__":
    main()
