"""What custody costs: sealing and opening against bare AES-GCM, rotation, the leak tripwire.

A PostgreSQL of its own with 10,000 organizations; nothing but loopback. Every figure has its plain
rival measured in the same run.
"""

import argparse
import os
import time
from collections.abc import Callable
from uuid import UUID

import orjson
import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench import wire
from bench.servers import describe_machine
from bench.stage import Stage, stage

ORGANIZATIONS = 10_000
DATA_KEYS_ROTATED = 500
_NOBODY = "http://127.0.0.1:9"
_PLAIN = b"x" * 32


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.custody", description=__doc__)
    parser.add_argument("organizations", type=int, nargs="?", default=ORGANIZATIONS)
    organizations = parser.parse_args().organizations
    print(describe_machine())
    with stage(_NOBODY) as set_up:
        _sealing(set_up)
        _keyring(set_up, organizations)
        _data_keys(set_up)
        _tripwire()


def _sealing(set_up: Stage) -> None:
    """One Mistral key, both layers, with a keyring in memory."""
    from tenants.common.secrets import Secret  # noqa: PLC0415 - Django is set up by the stage
    from tenants.organizations import data_keys  # noqa: PLC0415 - Django is set up by the stage
    from tenants.vault.envelope import Place  # noqa: PLC0415 - Django is set up by the stage

    key = data_keys.make(set_up.organization_id)
    place = Place(set_up.organization_id, set_up.workspace_id, set_up.key_id, "mistral-key", 1)
    plain, associated = Secret(_PLAIN.decode()), place.associated()
    box = data_keys.seal(plain, key=key, place=place)
    cipher, nonce = AESGCM(os.urandom(32)), os.urandom(12)
    sealed = cipher.encrypt(nonce, _PLAIN, associated)
    for name, ours, bare in (
        (
            "seal",
            lambda: data_keys.seal(plain, key=key, place=place),
            lambda: cipher.encrypt(os.urandom(12), _PLAIN, associated),
        ),
        (
            "open",
            lambda: data_keys.unseal(box, key=key, place=place),
            lambda: cipher.decrypt(nonce, sealed, associated),
        ),
    ):
        mine, plain_cost = _each(ours), _each(bare)
        print(
            f"{name} one key: {mine * 1e6:.1f} us, bare AES-GCM {plain_cost * 1e6:.1f} us,"
            f" {mine / plain_cost:.1f} x"
        )


def _keyring(set_up: Stage, count: int) -> None:
    """Re-wrap every organization's data key under a new master key, there and back."""
    from django.conf import settings  # noqa: PLC0415 - Django is set up by the stage

    from tenants.common.secrets import Secret  # noqa: PLC0415 - Django is set up by the stage
    from tenants.organizations import rotation  # noqa: PLC0415 - Django is set up by the stage
    from tenants.vault.keyring import keyring  # noqa: PLC0415 - Django is set up by the stage

    _fill(set_up, count)
    bare = _bare_updates(set_up)
    settings.ENCRYPTION_KEYRING = (("b2", Secret(os.urandom(32))), *settings.ENCRYPTION_KEYRING)
    keyring.cache_clear()
    began = time.perf_counter()
    walked = sum(1 for _ in rotation.rotate())
    seconds = time.perf_counter() - began
    rotation.rotate_what_is_nobodys()
    assert rotation.master_keys_in_use().keys() == {"b2"}, "the old key wraps nothing any more"
    again = time.perf_counter()
    assert sum(1 for _ in rotation.rotate()) == walked
    print(
        f"rotate_keyring: {walked} organizations in {seconds:.1f} s, {walked / seconds:.0f} a"
        f" second ({walked / (time.perf_counter() - again):.0f} when there is nothing to do);"
        f" one bare UPDATE and commit at a time: {bare:.0f} a second"
    )


def _data_keys(set_up: Stage) -> None:
    """New data keys, everything sealed anew, the old ones destroyed."""
    from itertools import islice  # noqa: PLC0415 - Django is set up by the stage

    from tenants.organizations import data_key_rotation, walking  # noqa: PLC0415 - Django is set up by the stage
    from tenants.organizations.audit import Actor  # noqa: PLC0415 - Django is set up by the stage

    actor = Actor(kind="command", id="bench", name="bench")
    ids = [set_up.organization_id, *islice(walking.organization_ids(), DATA_KEYS_ROTATED - 1)]
    began = time.perf_counter()
    done = sum(data_key_rotation.rotate(one, actor=actor).destroyed for one in dict.fromkeys(ids))
    seconds = time.perf_counter() - began
    print(f"rotate_data_keys: {done} data keys in {seconds:.1f} s, {done / seconds:.0f} a second")


def _tripwire() -> None:
    """One look at what passes through the gateway and holds nothing."""
    from tenants.gateway.tripwire import Spoken  # noqa: PLC0415 - Django is set up by the stage
    from tenants.keys.tripwire import suspects  # noqa: PLC0415 - Django is set up by the stage

    question, spoken = wire.question(stream=False), Spoken()
    event = b"".join(wire.STREAM_PARTS[3:4])
    for name, text, ours in (
        ("a prompt", question, lambda: suspects(question)),
        ("an event of a stream", event, lambda: spoken.hear(event)),
    ):
        mine = _each(ours)
        print(
            f"tripwire, {name} of {len(text)} bytes: {mine * 1e6:.2f} us; reading the prompt as"
            f" JSON {_each(lambda: orjson.loads(question)) * 1e6:.2f} us"
        )


def _fill(set_up: Stage, count: int) -> None:
    from tenants.common.models import new_id  # noqa: PLC0415 - Django is set up by the stage
    from tenants.organizations import data_keys  # noqa: PLC0415 - Django is set up by the stage

    with psycopg.connect(set_up.owner_url) as owner:
        made: list[UUID] = [new_id() for _ in range(count)]
        for one in made:
            owner.execute(
                "INSERT INTO organizations_organization (id, created_at, name, slug,"
                " aisuru_tenant, status, owner_email, locale, timezone, currency) VALUES (%s,"
                " now(), 'Bench', %s, '', 'active', 'b@example.com', 'it', 'Europe/Rome', 'EUR')",
                [one, f"bench-{one.hex}"],
            )
        for one in made:
            key = data_keys.make(one)
            owner.execute(
                "INSERT INTO organizations_datakey (id, created_at, organization_id, version,"
                " wrapped) VALUES (%s, now(), %s, 1, %s)",
                [key.row_id, one, key.wrapped],
            )


def _bare_updates(set_up: Stage) -> float:
    """Update and commit one row at a time, for two seconds: what no walk can beat."""
    with psycopg.connect(set_up.owner_url, autocommit=True) as owner:
        ids = [row[0] for row in owner.execute("SELECT id FROM organizations_datakey").fetchall()]
        began, done = time.perf_counter(), 0
        while time.perf_counter() - began < 2:
            owner.execute(
                "UPDATE organizations_datakey SET wrapped = wrapped WHERE id = %s",
                [ids[done % len(ids)]],
            )
            done += 1
        return done / (time.perf_counter() - began)


def _each(work: Callable[[], object], seconds: float = 0.5) -> float:
    """Seconds that one call takes: the best of three rounds."""
    best = float("inf")
    for _ in range(3):
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds / 3:
            for _ in range(100):
                work()
            count += 100
        best = min(best, (time.perf_counter() - began) / count)
    return best


if __name__ == "__main__":
    main()
