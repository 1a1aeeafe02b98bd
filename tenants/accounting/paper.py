"""Sets a statement on paper: PDF in the organization's language, the same bytes for the same text.

Its letters are Bitstream Vera, which comes with ReportLab: Latin-1 and a little more. A letter that
it lacks is written without its accent. A name with letters that are nowhere near is left with those
that there are, and its id beside it; the JSON has the names as they are.
"""

import io
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from django.utils import formats, translation
from django.utils.translation import gettext as _
from reportlab.lib import colors
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from tenants.accounting.statements import Document
from tenants.accounting.wording import CATEGORIES
from tenants.common.days import say_day, say_instant
from tenants.common.months import Month
from tenants.spend import reports

_INK, _PALE, _RULE = (
    colors.HexColor("#1c2430"),
    colors.HexColor("#5b6675"),
    colors.HexColor("#d5dae1"),
)
_WIDTH = A4[0] - 40 * mm


def as_pdf(document: Document, *, json_sha256: str, language: str) -> bytes:
    """Set a document on paper; its footer names the digest of the JSON that says the same."""
    with translation.override(language):
        return _Paper(document, json_sha256).write()


class _Paper:
    """One statement being set."""

    def __init__(self, document: Document, json_sha256: str) -> None:
        self._document = document
        self._digest = json_sha256
        regular, bold = _fonts()
        base = {"fontName": regular, "fontSize": 8.5, "leading": 12, "textColor": _INK}
        self._text = ParagraphStyle("text", **base)
        self._small = ParagraphStyle("small", **{**base, "textColor": _PALE, "fontSize": 7.5})
        self._small_right = ParagraphStyle("small right", self._small, alignment=TA_RIGHT)
        self._right = ParagraphStyle("right", **base, alignment=TA_RIGHT)
        self._bold = ParagraphStyle("bold", **{**base, "fontName": bold})
        self._head = ParagraphStyle(
            "head", **{**base, "fontName": bold, "fontSize": 11, "spaceBefore": 10, "spaceAfter": 4}
        )
        self._title = ParagraphStyle(
            "title", **{**base, "fontName": bold, "fontSize": 17, "leading": 22}
        )

    def write(self) -> bytes:
        written = io.BytesIO()
        document = self._document
        month = Month.parse(document["month"], document["timezone"])
        title = _("Statement for %(month)s") % {"month": reports.name_of(month)}
        template = SimpleDocTemplate(
            written,
            pagesize=A4,
            leftMargin=20 * mm,
            rightMargin=20 * mm,
            topMargin=20 * mm,
            bottomMargin=22 * mm,
            title=f"{title}, {document['organization']['name']}",
            author="aisuru-mistral",
            invariant=1,
        )
        template.build(self._story(title), onFirstPage=self._foot, onLaterPages=self._foot)
        return written.getvalue()

    def _story(self, title: str) -> list[Any]:
        document = self._document
        organization = document["organization"]
        story: list[Any] = [
            self._paragraph(_named(organization["name"], organization["id"]), self._small),
            self._paragraph(title, self._title),
            Spacer(1, 4 * mm),
            self._facts(),
            self._paragraph(_("By category, model and workspace"), self._head),
        ]
        lines = document["lines"]
        if lines:
            story.append(
                self._table(
                    [_("Category"), _("Model"), _("Workspace"), _("Calls"), document["currency"]],
                    [
                        [
                            *_of_what(line),
                            _number(line["quantities"]["requests"]),
                            amount,
                        ]
                        for line, amount in zip(lines, _column(lines), strict=True)
                    ],
                    (30, 48, 42, 20, 30),
                    numbers=2,
                )
            )
        else:
            month = Month.parse(document["month"], document["timezone"])
            story.append(self._paragraph(reports.empty_message(month), self._text))
        if document["adjustments"]:
            story += self._corrections()
        days = document["days"]
        if days:
            story.append(self._paragraph(_("By day"), self._head))
            story.append(
                self._table(
                    [_("Day"), document["currency"]],
                    [
                        [say_day(date.fromisoformat(row["day"])), amount]
                        for row, amount in zip(days, _column(days), strict=True)
                    ],
                    (60, 30),
                )
            )
        return story

    def _facts(self) -> Table:
        document = self._document
        closed = datetime.fromisoformat(document["closed_at"])
        rows = [
            (_("Cost of the month"), self._money(document["total"])),
            (_("Changes of earlier months"), self._money(document["adjustments_total"])),
            (_("Stated in all"), self._money(document["stated_total"])),
            (_("Of which estimated"), self._money(document["estimated"])),
            (_("Calls without a known price"), _number(document["unpriced"])),
            (_("Closed on"), say_instant(closed, document["timezone"])),
        ]
        table = Table(
            [
                [self._paragraph(name, self._small), self._paragraph(value, self._bold)]
                for name, value in rows
            ],
            colWidths=[60 * mm, _WIDTH - 60 * mm],
        )
        table.setStyle(
            TableStyle(
                [
                    ("TOPPADDING", (0, 0), (-1, -1), 1),
                    ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
                    ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ]
            )
        )
        return table

    def _corrections(self) -> list[Any]:
        lines = self._document["adjustments"]
        rows = [
            [line["month"], *_of_what(line), amount]
            for line, amount in zip(lines, _column(lines), strict=True)
        ]
        head = [_("Month"), _("Category"), _("Model"), _("Workspace"), self._document["currency"]]
        return [
            self._paragraph(_("Changes of earlier months"), self._head),
            self._table(head, rows, (20, 28, 48, 44, 30)),
        ]

    def _table(
        self,
        head: Sequence[str],
        rows: Sequence[Sequence[str]],
        widths: Sequence[float],
        numbers: int = 1,
    ) -> Table:
        words = len(head) - numbers
        heads = [self._small] * words + [self._small_right] * numbers
        styles = [self._text] * words + [self._right] * numbers
        table = Table(
            [
                [self._paragraph(*one) for one in zip(row, looks, strict=True)]
                for row, looks in [(head, heads), *((row, styles) for row in rows)]
            ],
            colWidths=[width * mm for width in widths],
            repeatRows=1,
            hAlign="LEFT",
        )
        table.setStyle(
            TableStyle(
                [
                    ("LINEBELOW", (0, 0), (-1, -1), 0.4, _RULE),
                    ("VALIGN", (0, 0), (-1, -1), "TOP"),
                    ("TOPPADDING", (0, 0), (-1, -1), 2),
                    ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
                    ("LEFTPADDING", (0, 0), (0, -1), 0),
                ]
            )
        )
        return table

    def _money(self, amount: str) -> str:
        return f"{_amount(amount)} {self._document['currency']}"

    def _paragraph(self, text: str, style: ParagraphStyle) -> Paragraph:
        return Paragraph(escape(_known(text)), style)

    def _foot(self, canvas: Canvas, _template: Any) -> None:
        canvas.saveState()
        canvas.setFont(_fonts()[0], 6.5)
        canvas.setFillColor(_PALE)
        canvas.drawString(20 * mm, 12 * mm, f"SHA-256 (JSON) {self._digest}")
        canvas.drawRightString(A4[0] - 20 * mm, 12 * mm, str(canvas.getPageNumber()))
        canvas.restoreState()


@cache
def _fonts() -> tuple[str, str]:
    pdfmetrics.registerFont(TTFont("Vera", "Vera.ttf"))
    pdfmetrics.registerFont(TTFont("Vera-Bold", "VeraBd.ttf"))
    return "Vera", "Vera-Bold"


def _known(text: str) -> str:
    """Write a text with the letters that there are."""
    glyphs = pdfmetrics.getFont(_fonts()[0]).face.charToGlyph
    return "".join(_letter(character, glyphs) or "?" for character in text)


def _named(name: str, id_: str) -> str:
    """Write a name; one that cannot be written whole is what can be, and the id."""
    glyphs = pdfmetrics.getFont(_fonts()[0]).face.charToGlyph
    letters = [_letter(character, glyphs) for character in name]
    if all(letters):
        return "".join(letters)
    left = " ".join("".join(letters).split())
    return f"{left} ({id_})" if any(one.isalnum() for one in left) else id_


def _letter(character: str, glyphs: Any) -> str:
    """Find the letter to write for one: itself, the same without its accent, or nothing."""
    if ord(character) in glyphs:
        return character
    plain = unicodedata.normalize("NFKD", character)[0]
    return plain if ord(plain) in glyphs else ""


def _of_what(line: Mapping[str, Any]) -> list[str]:
    """Say what a line is of: category, model, workspace."""
    return [
        str(CATEGORIES.get(line["category"], line["category"])),
        line["mistral_model"],
        _named(line["workspace"], line["workspace_id"]),
    ]


def _column(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write the exact amounts of a column, all with as many places as the longest has."""
    places = max((_places(row["amount"]) for row in rows), default=2)
    return [_amount(row["amount"], places) for row in rows]


def _places(text: str) -> int:
    return max(2, -int(Decimal(text).as_tuple().exponent))


def _amount(text: str, places: int | None = None) -> str:
    """Write an exact amount with the separators of the reader's language."""
    places = _places(text) if places is None else places
    return formats.number_format(Decimal(text), places, use_l10n=True, force_grouping=True)


def _number(value: int) -> str:
    return formats.number_format(value, 0, use_l10n=True, force_grouping=True)
