"""Charts: what is written beside them has room, and words from outside stay words."""

import re
from datetime import date
from decimal import Decimal

import pytest

from tenants.common import charts
from tenants.common.charts import Series

DAYS = [date(2026, 11, day) for day in range(1, 31)]
#: On a phone a letter is 20 high, and a figure 0.6 of that wide (things.css).
WIDEST = 20 * 0.6


@pytest.mark.parametrize("most", ["0.0004", "3", "120000"])
def test_amounts_beside_the_lines_have_room_on_a_phone_too(most):
    spent = Series("Completion", 1, {DAYS[3]: Decimal(most)})
    drawn = charts.stacked_days(DAYS, [spent], "x", lambda amount, _places: f"{amount:,.5f} €")
    texts = re.findall(r"<text ([^>]*)>([^<]+)<", drawn)
    labels = [(facts, text) for facts, text in texts if 'text-anchor="end"' in facts]
    assert len(labels) >= 3
    for facts, text in labels:
        [x] = re.findall(r'\bx="([\d.]+)"', facts)
        assert float(x) >= WIDEST * len(text), text


def test_words_are_written_and_never_markup():
    drawn = charts.running_total(
        DAYS,
        [Decimal(1), Decimal(2)],
        "<b>so far</b>",
        lambda amount, _places: f"<i>{amount}",
        limit=Decimal(3),
        forecast=None,
        limit_word="<script>",
    )
    assert "<b>" not in drawn
    assert "<i>" not in drawn
    assert "<script>" not in drawn
    assert "&lt;script&gt;" in drawn
