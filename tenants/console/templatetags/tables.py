"""Bodies of the tables of spend, each written in one go: row by row a template takes its time.

Words that come from outside are escaped here; figures, days and our own words need none of it.
"""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from tenants.console.templatetags.console import count, day, money

register = template.Library()


@register.simple_tag
def spent_days(days: Iterable[tuple[date, list[Decimal]]], calls: str, currency: str) -> SafeString:
    """Write a row for each day: its date, which leads to its calls, and its amounts."""
    here = escape(calls)
    return _rows(
        f'<td><a href="{here}&amp;day={on.isoformat()}">{day(on)}</a></td>'
        + "".join(f'<td class="number">{money(one, currency)}</td>' for one in row)
        for on, row in days
    )


@register.simple_tag
def spent_so_far(days: Iterable[tuple[date, Decimal]], currency: str) -> SafeString:
    """Write a row for each day: its date, and what the month had cost by then."""
    return _rows(
        f'<td>{day(on)}</td><td class="number">{money(total, currency)}</td>' for on, total in days
    )


@register.simple_tag
def spent_lines(lines: Iterable[Any], title: str, currency: str, *, charts: bool) -> SafeString:
    """Write a row for each line of spend: its name, its chart where one has them, its figures."""
    first, by_day = escape(title), _labels(get_language())[0]

    def row(line: Any) -> str:
        cells = [
            f'<td data-label="{first}"><a href="{escape(line.address)}">{escape(line.name)}</a>'
        ]
        if charts:
            cells.append(f'<td data-label="{by_day}">{line.chart or ""}')
        texts = (count(line.requests), count(line.tokens), f"{line.share} %")
        labelled = zip(
            _labels(get_language())[1:], (*texts, money(line.amount, currency)), strict=True
        )
        cells += (f'<td class="number" data-label="{label}">{text}' for label, text in labelled)
        return "</td>".join([*cells, ""])

    return _rows(row(line) for line in lines)


def _rows(rows: Iterable[str]) -> SafeString:
    return mark_safe("".join(f"<tr>{row}</tr>" for row in rows))  # noqa: S308 - see above


@cache
def _labels(language: str | None) -> tuple[str, ...]:
    """Give the headings of a line's chart and figures, escaped."""
    with override(language):
        return tuple(map(escape, (_("By day"), _("Calls"), "Token", _("Share"), _("Spend"))))
