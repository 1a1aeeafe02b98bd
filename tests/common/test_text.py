"""Names and addresses that look like others, or like nothing, are refused or brought to form."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.common.text import normalise_domain, normalise_email, normalise_name

HIDDEN = {
    "right-to-left override": "\u202e",
    "zero width space": "\u200b",
    "word joiner": "\u2060",
    "byte order mark": "\ufeff",
    "soft hyphen": "\u00ad",
    "isolate": "\u2066",
    "escape": "\x1b",
    "NUL": "\0",
}


@pytest.mark.parametrize("name", HIDDEN)
def test_what_nobody_sees_is_in_no_name_and_no_address(name):
    hidden = HIDDEN[name]
    assert normalise_name(f"Ros{hidden}si") is None
    assert normalise_email(f"ann{hidden}a@rossi.example") is None
    assert normalise_email(f"anna@ros{hidden}si.example") is None


def test_a_name_has_one_spelling_and_keeps_what_people_write():
    assert normalise_name("  Café\u0301   \tBar ") == unicodedata.normalize("NFC", "Café\u0301 Bar")
    assert normalise_name("Cafe\u0301") == "Café"
    for kept in ("Ζωή", "王小明", "נועה", "👩\u200d🔧 Officina", "O'Neill & C."):
        assert normalise_name(kept) == kept
    assert normalise_name(" \u3000 ") is None


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Anna.Rossi@ROSSI.Example", "anna.rossi@rossi.example"),
        ("anna@rossi.example.", "anna@rossi.example"),
        ("anna@müller.example", "anna@xn--mller-kva.example"),
        ("anna@mu\u0308ller.example", "anna@xn--mller-kva.example"),
        ("anna@rossi\u3002example", "anna@rossi.example"),
        ("anna@\uff52\uff4f\uff53\uff53\uff49.example", "anna@rossi.example"),
        # A look-alike of another script is another domain, and looks like it.
        ("anna@r\u043essi.example", "anna@xn--rssi-55d.example"),
    ],
)
def test_an_address_has_one_spelling(typed, kept):
    assert normalise_email(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "\u0430nna@rossi.example",  # a Cyrillic first letter
        "\uff41nna@rossi.example",
        "anna@rossi.example\r\nBcc: all@rossi.example",
        "anna@rossi.example,eva@rossi.example",
        '"anna rossi"@rossi.example',
        "anna@localhost",
        "anna@127.0.0.1",
        "anna@[127.0.0.1]",
        "anna@-rossi.example",
        "anna@rossi..example",
        ".anna@rossi.example",
        "anna@evil.example@rossi.example",
        "anna(evil)@rossi.example",
        "a" * 65 + "@rossi.example",
        "anna@" + "a" * 250 + ".example",
        "@rossi.example",
        "anna@",
        "",
    ],
)
def test_what_is_no_address_is_refused(typed):
    assert normalise_email(typed) is None


@given(st.text(max_size=80))
def test_what_was_brought_into_form_stays_as_it_is_and_is_plain(text):
    for normalise in (normalise_email, normalise_domain):
        kept = normalise(text)
        assert kept is None or (normalise(kept) == kept and kept.isascii() and kept.islower())
    name = normalise_name(text)
    assert name is None or normalise_name(name) == name
