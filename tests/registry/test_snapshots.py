"""A model token resolves to one picture of everything a call needs."""

from secrets import token_bytes

from tenants.registry import snapshots


def test_a_digest_nobody_made_resolves_to_nothing():
    assert snapshots.resolve(token_bytes(32)) is None
