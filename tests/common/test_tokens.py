"""The algebra of our own tokens."""

import string

from hypothesis import given
from hypothesis import strategies as st

from tenants.common import tokens
from tenants.common.tokens import TokenKind

BASE62 = string.digits + string.ascii_letters


@given(st.sampled_from(list(TokenKind)))
def test_a_minted_token_is_recognised_and_looks_as_the_contract_says(kind):
    token = tokens.mint(kind).reveal()
    assert token.startswith(f"aim_{kind.value}_")
    assert tokens.kind_of(token) is kind
    body = token.rpartition("_")[2]
    assert len(body) == 27 + 6
    assert set(body) <= set(BASE62)


@given(st.sampled_from(list(TokenKind)), st.data())
def test_any_changed_character_is_noticed_without_a_database(kind, data):
    token = tokens.mint(kind).reveal()
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from([c for c in BASE62 + "_" if c != token[place]]))
    assert tokens.kind_of(token[:place] + other + token[place + 1 :]) is None


@given(st.text())
def test_noise_is_no_token(text):
    assert tokens.kind_of(text) is None


def test_two_tokens_never_share_a_digest_and_the_hint_gives_little_away():
    first, second = tokens.mint(TokenKind.MODEL), tokens.mint(TokenKind.MODEL)
    assert tokens.digest(first.reveal()) != tokens.digest(second.reveal())
    assert tokens.hint(first) == f"aim_mdl_…{first.reveal()[-4:]}"
