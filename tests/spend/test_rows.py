"""What goes to the database: storable whatever came from outside, and in the bill's categories."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.spend.calls import Category, category_of
from tenants.spend.rows import storable


@given(st.text(st.characters(), max_size=300), st.integers(0, 250))
def test_any_text_becomes_storable_and_good_text_stays_as_it_is(text, longest):
    kept = storable(text, longest)
    assert len(kept) <= longest
    assert b"\\u0000" not in orjson.dumps(kept)
    if text.isprintable():
        assert kept == text[:longest]


@pytest.mark.parametrize(
    ("endpoint", "category"),
    [
        ("/v1/chat/completions", Category.COMPLETION),
        ("/v1/embeddings", Category.EMBEDDINGS),
        ("/v1/moderations", Category.MODERATION),
        ("/v1/ocr", Category.OCR),
        ("/v1/audio/transcriptions", Category.AUDIO),
        ("/v1/what/comes/next", Category.COMPLETION),
    ],
)
def test_an_endpoint_has_a_category(endpoint, category):
    assert category_of(endpoint) is category
