"""Sets a statement on paper: PDF in the organization's language, the same bytes for the same text.

Its letters are Bitstream Vera, which comes with ReportLab: Latin-1 and a little more. What it lacks
is written without its accent, or as a question mark; the JSON has the names as they are.
"""

import io
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

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
            title=_known(f"{title}, {document['organization']['name']}"),
            author="aisuru-mistral",
            invariant=1,
        )
        template.build(self._story(title), onFirstPage=self._foot, onLaterPages=self._foot)
        return written.getvalue()

    def _story(self, title: str) -> list[Any]:
        document = self._document
        currency = document["currency"]
        story: list[Any] = [
            self._paragraph(document["organization"]["name"], self._small),
            self._paragraph(title, self._title),
            Spacer(1, 4 * mm),
            self._facts(),
            self._paragraph(_("By category, model and workspace"), self._head),
        ]
        lines = document["lines"]
        if lines:
            story.append(
                self._table(
                    [_("Category"), _("Model"), _("Workspace"), _("Requests"), currency],
                    [
                        [
                            line["category"],
                            line["mistral_model"],
                            line["workspace"],
                            _number(line["quantities"]["requests"]),
                            _amount(line["amount"]),
                        ]
                        for line in lines
                    ],
                    (30, 48, 42, 20, 30),
                )
            )
        else:
            month = Month.parse(document["month"], document["timezone"])
            story.append(self._paragraph(reports.empty_message(month), self._text))
        if document["adjustments"]:
            story += self._corrections()
        if document["days"]:
            story.append(self._paragraph(_("By day"), self._head))
            story.append(
                self._table(
                    [_("Day"), currency],
                    [[_day(row["day"]), _amount(row["amount"])] for row in document["days"]],
                    (60, 30),
                )
            )
        return story

    def _facts(self) -> Table:
        document = self._document
        closed = datetime.fromisoformat(document["closed_at"])
        local = closed.astimezone(ZoneInfo(document["timezone"]))
        rows = [
            (_("Cost of the month"), self._money(document["total"])),
            (_("Corrections of earlier months"), self._money(document["adjustments_total"])),
            (_("Stated"), self._money(document["stated_total"])),
            (_("Of which estimated"), self._money(document["estimated"])),
            (_("Calls without a known price"), _number(document["unpriced"])),
            (
                _("Closed on"),
                f"{formats.date_format(local, 'j F Y, H:i')} ({document['timezone']})",
            ),
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
        rows = [
            [
                line["month"],
                line["category"],
                line["mistral_model"],
                line["workspace"],
                _amount(line["amount"]),
            ]
            for line in self._document["adjustments"]
        ]
        head = [_("Month"), _("Category"), _("Model"), _("Workspace"), self._document["currency"]]
        return [
            self._paragraph(_("Corrections of earlier months"), self._head),
            self._table(head, rows, (20, 28, 48, 44, 30)),
        ]

    def _table(
        self, head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[float]
    ) -> Table:
        numbers = 2 if len(head) > 4 and head[-2] == _("Requests") else 1  # noqa: PLR2004 - from the right
        body = [
            [
                self._paragraph(cell, self._right if at >= len(row) - numbers else self._text)
                for at, cell in enumerate(row)
            ]
            for row in rows
        ]
        table = Table(
            [[self._paragraph(cell, self._small) for cell in head], *body],
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
    return "".join(_letter(character, glyphs) for character in text)


def _letter(character: str, glyphs: Any) -> str:
    if ord(character) in glyphs:
        return character
    plain = unicodedata.normalize("NFKD", character)[0]
    return plain if ord(plain) in glyphs else "?"


def _amount(text: str) -> str:
    """Write an exact amount with the separators of the reader's language."""
    amount = Decimal(text)
    places = max(2, -int(amount.as_tuple().exponent))
    return formats.number_format(amount, places, use_l10n=True, force_grouping=True)


def _number(value: int) -> str:
    return formats.number_format(value, 0, use_l10n=True, force_grouping=True)


def _day(text: str) -> str:
    return formats.date_format(datetime.fromisoformat(text), "j F Y")
