"""CSV: no cell is a formula, and numbers stay numbers."""

import csv
import io
from decimal import Decimal

import pytest

from tenants.common import tables


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
)
def test_a_text_that_begins_like_a_formula_is_quoted(start):
    assert tables.harmless(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"
    assert tables.harmless(start) == f"'{start}"
    assert tables.harmless(f"a{start}") == f"a{start}"


@pytest.mark.parametrize("text", ["-2+3", "-1.5e3", "-0x1", "-٣", "-1.", "-1\n", "+39"])
def test_what_only_begins_like_a_number_is_quoted(text):
    assert tables.harmless(text) == f"'{text}"


@pytest.mark.parametrize("cell", ["-0.60", "-3", -3, Decimal("-0.60"), "12", 0, "—", ""])
def test_numbers_stay_numbers_and_dashes_dashes(cell):
    assert tables.harmless(cell) == str(cell)


def test_a_table_is_read_as_it_was_written():
    written = tables.write([("name", "cost"), ('«a", b»\nc', None), ["=1", Decimal("-0.10")]])
    assert written.endswith(b"'=1,-0.10\r\n")
    rows = list(csv.reader(io.StringIO(written.decode(), newline="")))
    assert rows == [["name", "cost"], ['«a", b»\nc', ""], ["'=1", "-0.10"]]
