"""Charts as SVG, written by svg.py and coloured by the page's own style sheet.

svg.py escapes nothing, so whatever words come from outside are escaped here.

Shapes carry classes, never styles: a strict content security policy lets no others in, and light,
dark and paper each choose their colours. Every chart has a table beside it that says the same, so
it is named for screen readers by one sentence and is not walked through bar by bar.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, Decimal

import svg
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

_WIDTH, _HEIGHT = 720, 240
_RIGHT, _TOP, _BOTTOM = 8, 16, 24
#: Room for the amounts at the left, by their letters: on a phone these are twice as large.
_MARGIN, _LETTER = 10, 12
_STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))
_LINES = 4
_ZERO = Decimal(0)

#: Writes an amount for a reader.
type Figure = Callable[[Decimal, int], str]


@dataclass(frozen=True, slots=True)
class Series:
    """Amounts by day under one name, with the number of its colour."""

    name: str
    colour: int
    amounts: Mapping[date, Decimal]

    @property
    def total(self) -> Decimal:
        """The sum."""
        return sum(self.amounts.values(), _ZERO)


@dataclass(frozen=True, slots=True)
class Scale:
    """From amounts to heights: a round top, and the lines below it."""

    top: Decimal
    step: Decimal

    @classmethod
    def for_most(cls, most: Decimal) -> "Scale":
        """Choose round lines for a largest amount."""
        if most <= 0:
            return cls(Decimal(1), Decimal("0.5"))
        rough = most / _LINES
        power = Decimal(1).scaleb(rough.adjusted())
        step = next(power * one for one in _STEPS if power * one >= rough)
        lines = (most / step).to_integral_value(ROUND_CEILING)
        return cls(step * lines, step)

    @property
    def lines(self) -> list[Decimal]:
        """The amounts at which lines are drawn."""
        return [self.step * place for place in range(int(self.top / self.step) + 1)]

    @property
    def places(self) -> int:
        """How many decimals tell all of these amounts; no fewer than cents have."""
        return max(2, -int(self.step.normalize().as_tuple().exponent))

    def y(self, amount: Decimal) -> float:
        """Place an amount."""
        share = float(min(amount, self.top) / self.top)
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 2)


class Ground:
    """What a chart is drawn on: its days across, its amounts upwards, and room to write both.

    Args:
        days: every day of the month.
        scale: of the amounts.
        figure: writes the amounts beside the lines, with so many decimals.
    """

    def __init__(self, days: Sequence[date], scale: Scale, figure: Figure) -> None:
        self._days = days
        self._scale = scale
        self._labels = {amount: figure(amount, scale.places) for amount in scale.lines}
        self.left = _MARGIN + _LETTER * max(map(len, self._labels.values()))
        self.slot = (_WIDTH - self.left - _RIGHT) / max(len(days), 1)

    def x(self, place: int) -> float:
        """Place the middle of a day."""
        return round(self.left + self.slot * (place + 0.5), 2)

    def across(self, amount: Decimal, name: str) -> svg.Line:
        """Draw a line of that kind at an amount."""
        y = self._scale.y(amount)
        return svg.Line(x1=self.left, y1=y, x2=_WIDTH - _RIGHT, y2=y, class_=[name])

    def axes(self) -> list[svg.Element]:
        """Draw the lines of the amounts, and write these and the days beside them."""
        shapes: list[svg.Element] = []
        for amount, label in self._labels.items():
            shapes.append(self.across(amount, "axis"))
            y, text = self._scale.y(amount) + 4, escape(label)
            shapes.append(svg.Text(x=self.left - 8, y=y, text=text, text_anchor="end"))
        for place, day in enumerate(self._days):
            if day.day == 1 or day.day % 5 == 0:
                x = self.x(place)
                shapes.append(svg.Text(x=x, y=_HEIGHT - 6, text=str(day.day), text_anchor="middle"))
        return shapes


def stacked_days(
    days: Sequence[date], series: Sequence[Series], sentence: str, figure: Figure
) -> SafeString:
    """Draw each day as a bar, stacked by series.

    Args:
        days: every day of the month, also those without anything.
        series: from the bottom up.
        sentence: what the chart shows, for who does not see it.
        figure: writes the amounts beside the lines, with so many decimals.
    """
    totals = [sum((one.amounts.get(day, _ZERO) for one in series), _ZERO) for day in days]
    scale = Scale.for_most(max(totals, default=_ZERO))
    ground = Ground(days, scale, figure)
    shapes, width = ground.axes(), ground.slot * 0.72
    floors = dict.fromkeys(days, _ZERO)
    for one in series:
        bars = []
        for place, day in enumerate(days):
            amount = max(one.amounts.get(day, _ZERO), _ZERO)
            if not amount:
                continue
            floor = floors[day]
            top, bottom = scale.y(floor + amount), scale.y(floor)
            bars.append(_bar(ground.x(place) - width / 2, top, width, max(bottom - top, 0.75)))
            floors[day] = floor + amount
        shapes += _bars(bars, one.colour)
    return _drawn(shapes, sentence)


def running_total(
    days: Sequence[date],
    totals: Sequence[Decimal],
    sentence: str,
    figure: Figure,
    *,
    limit: Decimal | None,
    forecast: Decimal | None,
    limit_word: str,
) -> SafeString:
    """Draw what the month has cost so far, day by day, with the limit and the forecast.

    Args:
        days: every day of the month.
        totals: the sum up to each day that is over or goes on; shorter than ``days``.
        sentence: what the chart shows.
        figure: writes the amounts beside the lines, with so many decimals.
        limit: of the month; a line across.
        forecast: for the end of the month; a dashed line from the last total.
        limit_word: beside the line.
    """
    last = totals[-1] if totals else _ZERO
    scale = Scale.for_most(max(last, limit or _ZERO, forecast or _ZERO))
    ground = Ground(days, scale, figure)
    shapes = ground.axes()
    points = [(ground.x(place), scale.y(total)) for place, total in enumerate(totals)]
    if points:
        line = [svg.Point(*point) for point in points]
        shapes.append(svg.Polyline(points=line, class_=["total"]))
    if forecast is not None and points:
        x, y = points[-1]
        end = ground.x(len(days) - 1)
        shapes.append(svg.Line(x1=x, y1=y, x2=end, y2=scale.y(forecast), class_=["forecast"]))
    if limit is not None:
        shapes.append(ground.across(limit, "limit"))
        x, y = ground.left + 4, scale.y(limit) - 4
        shapes.append(svg.Text(x=x, y=y, text=escape(limit_word), class_=["limit-text"]))
    return _drawn(shapes, sentence)


def small_days(days: Sequence[date], one: Series, most: Decimal, sentence: str) -> SafeString:
    """Draw one series small, on the scale that its siblings share."""
    width, height = 240, 48
    slot = width / max(len(days), 1)
    shapes: list[svg.Element] = [
        svg.Line(x1=0, y1=height - 0.5, x2=width, y2=height - 0.5, class_=["axis"])
    ]
    bars = []
    for place, day in enumerate(days):
        amount = one.amounts.get(day, _ZERO)
        if amount > 0 and most > 0:
            tall = max(float(amount / most) * (height - 4), 1)
            bars.append(_bar(place * slot + slot * 0.14, height - tall, slot * 0.72, tall))
    return _drawn([*shapes, *_bars(bars, one.colour)], sentence, width, height)


def _bar(x: float, y: float, width: float, height: float) -> str:
    """Go around a rectangle."""
    wide = round(width, 2)
    return f"M{round(x, 2)} {round(y, 2)}h{wide}v{round(height, 2)}h-{wide}z"


def _bars(bars: Sequence[str], colour: int) -> list[svg.Element]:
    """Draw bars of one colour as one shape: a page has hundreds, and each shape takes its time."""
    return [svg.Path(class_=[f"c{colour}"], extra={"d": "".join(bars)})] if bars else []


def _drawn(
    shapes: list[svg.Element], sentence: str, width: int = _WIDTH, height: int = _HEIGHT
) -> SafeString:
    drawing = svg.SVG(
        viewBox=svg.ViewBoxSpec(0, 0, width, height),
        class_=["chart"],
        elements=[svg.Title(text=escape(sentence)), *shapes],
        extra={"role": "img", "aria-label": escape(sentence), "focusable": "false"},
    )
    return mark_safe(drawing.as_str())  # noqa: S308 - figures, and words that are escaped
