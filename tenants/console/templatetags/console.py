"""How the console writes money, time, states and fields: each in one way, in the reader's words."""

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django import template
from django.forms import BoundField, CheckboxInput
from django.http import HttpRequest
from django.template.base import Node, Parser, Token
from django.template.context import Context
from django.templatetags.i18n import TranslateNode, do_translate
from django.utils import formats
from django.utils.dates import MONTHS_3
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from tenants.access import sent
from tenants.accounting import wording
from tenants.common.months import Month
from tenants.console import undoing, words
from tenants.console.forms import Amount
from tenants.console.sorting import Order
from tenants.spend.ratereport import LearnedWindow
from tenants.spend.reports import name_of

register = template.Library()

_SIGNS = {"EUR": "€", "USD": "$"}
_CENTS = Decimal("0.01")
_NOTHING = "\N{EN DASH}"
#: A state's sign, so that no state is told by its colour alone.
_MARKS = {"good": "✓", "wait": "…", "warn": "!", "bad": "✕", "off": _NOTHING}
_KINDS = {
    "key": words.KEY_STATUS,
    "model": words.MODEL_STATUS,
}


class Words(Node):
    """Words of a template that stand in it as they are: only the language is to be looked up."""

    child_nodelists = ()

    def __init__(self, words: str) -> None:
        self._words = mark_safe(words)  # noqa: S308 - a template of ours wrote them

    def render(self, context: Context) -> str:
        """Say them: looked up once in a rendering of the template, whatever rows it has."""
        said: str | None = context.render_context.get(self)
        if said is None:
            said = context.render_context[self] = _(self._words)
        return said


@register.tag
def translate(parser: Parser, token: Token) -> Node:
    """Do as Django's ``translate``; what most tables say in each row takes a third of the time."""
    node: TranslateNode = do_translate(parser, token)
    constant = token.split_contents()[1:]
    literal = node.filter_expression.var.literal
    is_plain = len(constant) == 1 and not node.filter_expression.filters
    if is_plain and isinstance(literal, str) and "%" not in literal:
        return Words(literal)
    return node


@register.filter
def money(amount: Decimal | None, currency: str) -> str:
    """Write an amount in the reader's way; what is less than a cent keeps two digits that count."""
    if amount is None:
        return _NOTHING
    places = 2
    if amount and abs(amount) < _CENTS:
        places = min(9, 1 - amount.adjusted())
    return money_to(amount, currency, places)


def money_to(amount: Decimal, currency: str, places: int) -> str:
    """Write an amount in the reader's way, with so many decimals."""
    quantum = Decimal(1).scaleb(-places)
    language = get_language() or ""
    rounded = amount.quantize(quantum, rounding=ROUND_HALF_EVEN)
    figure = f"{rounded:,f}".translate(_marks(language))
    sign = _SIGNS.get(currency) or escape(currency)
    text = f"{sign}{figure}" if language.startswith("en") else f"{figure}\u00a0{sign}"
    return mark_safe(text)  # noqa: S308 - figures, and what was escaped


@register.filter
def amount(text: str, currency: str) -> str:
    """Write an amount that is kept as decimal text."""
    return money(Decimal(text), currency)


@register.filter
def unsigned(amount: Decimal) -> Decimal:
    """Take the sign off an amount that is said with a word."""
    return abs(amount)


@register.filter
def count(number: int | Decimal | None) -> str:
    """Write a number with the reader's marks between thousands."""
    if number is None:
        return _NOTHING
    figure = f"{number:,f}" if isinstance(number, Decimal) else f"{number:,}"
    return mark_safe(figure.translate(_marks(get_language() or "")))  # noqa: S308 - a figure


@cache
def _marks(language: str) -> dict[int, str]:
    """Give what a language writes for the comma and the point of a figure like 1,234.5."""
    return {
        ord(","): formats.get_format("THOUSAND_SEPARATOR", language),
        ord("."): formats.get_format("DECIMAL_SEPARATOR", language),
    }


@register.simple_tag
def moment(instant: datetime | None, zone: str = "Europe/Rome") -> str:
    """Write an instant in a zone, with UTC at hand; ``never`` where there is none."""
    if instant is None:
        return _("Never")
    local = instant.astimezone(ZoneInfo(zone))
    utc = instant.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "seconds")
    return mark_safe(  # noqa: S308 - figures, and the name of a zone that exists
        f'<time datetime="{instant.isoformat()}" title="{utc} UTC · {zone}">'
        f"{short_day(local)}, {local.hour:02}:{local.minute:02}</time>"
    )


@register.simple_tag
def day(on: date | None) -> str:
    """Write a day; ``never`` where there is none."""
    if on is None:
        return _("Never")
    whole = f'<time datetime="{on.isoformat()}">{short_day(on)}</time>'
    return mark_safe(whole)  # noqa: S308 - figures, and the name of a month


def short_day(on: date) -> str:
    """Write a day with a short month."""
    return f"{on.day} {_months(get_language() or '')[on.month]} {on.year}"


@cache
def _months(language: str) -> dict[int, str]:
    """Name months inside of a date: of our languages only English gives them a capital."""
    with override(language):
        names = {number: str(name) for number, name in MONTHS_3.items()}
    is_english = language.startswith("en")
    return {number: name.title() if is_english else name.lower() for number, name in names.items()}


@register.filter
def window_name(window: LearnedWindow) -> Any:
    """Name what one of Mistral's windows counts; by its own name where that is odd."""
    meter, seconds = words.WINDOW_METERS.get(window.meter), window.seconds
    if meter is None or not seconds:
        return window.window
    if span := words.WINDOW_SPANS.get(seconds):
        return span % {"meter": meter}
    minutes, rest = divmod(seconds, 60)
    if rest:
        return _("%(meter)s in %(number)s seconds") % {"meter": meter, "number": count(seconds)}
    return _("%(meter)s in %(number)s minutes") % {"meter": meter, "number": count(minutes)}


@register.filter
def month_name(month: Month) -> str:
    """Name a month."""
    return name_of(month)


@register.simple_tag
def badge(state: str, kind: str) -> SafeString:
    """Show a state by sign, word and tone."""
    word, tone = _KINDS[kind][state]
    return toned(word, tone)


@register.simple_tag
def toned(word: Any, tone: str) -> SafeString:
    """Show a word in its tone, with the tone's sign: a colour alone says nothing to many."""
    return format_html(
        '<span class="badge badge-{}"><span class="badge-mark" aria-hidden="true">{}</span>'
        "{}</span>",
        tone,
        _MARKS[tone],
        word,
    )


@register.filter
def called(value: str, kind: str) -> Any:
    """Say a value of one of our lists in words; the value itself where there are none."""
    lists = {
        "role": words.ROLES,
        "workspace role": words.WORKSPACE_ROLES,
        "purpose": words.PURPOSES,
        "category": wording.CATEGORIES,
        "outcome": words.OUTCOMES,
        "unanswered": words.UNANSWERED,
        "retained": words.RETAINED,
        "capability": words.CAPABILITIES,
        "scope": words.SCOPES,
    }
    return lists[kind].get(value, value)


@register.inclusion_tag("console/parts/field.html", takes_context=True)
def field(
    context: dict[str, Any], bound: BoundField, label: str = "", hint: str = "", **attributes: str
) -> dict[str, Any]:
    """Show a field: label, help, what is wrong with it, and the control tied to all three."""
    label = label or str(bound.label)
    if isinstance(bound.field, Amount) and (around := context.get("frame")):
        currency = around.organization.currency
        label = f"{label} ({_SIGNS.get(currency) or currency})"
    described = []
    told = str(hint or bound.help_text).strip()  # a blank hint takes the field's own away
    if told:
        described.append(f"{bound.auto_id}_help")
    else:
        bound.help_text = ""  # Django would point at it, and so does the house
        bound.field.widget.attrs.pop("aria-describedby", None)
    if bound.errors:
        described.append(f"{bound.auto_id}_error")
    extra: dict[str, Any] = {name.replace("_", "-"): text for name, text in attributes.items()}
    if described:
        extra["aria-describedby"] = " ".join(described)
    if bound.errors:
        extra["aria-invalid"] = "true"
    is_checkbox = isinstance(bound.field.widget, CheckboxInput)
    is_group = bool(getattr(bound.field.widget, "use_fieldset", False))
    if not is_checkbox and not is_group:
        extra["class"] = "input"
    return {
        "field": bound,
        "label": label,
        "hint": told,
        "control": None if is_group else bound.as_widget(attrs=extra),
        "is_checkbox": is_checkbox,
        "is_group": is_group,
    }


@register.simple_tag
def form_id() -> SafeString:
    """Give a form an id of its own, by which it is known when it is sent again (``once``)."""
    return format_html('<input type="hidden" name="form_id" value="{}">', sent.new_form_id())


@register.simple_tag(takes_context=True)
def with_query(context: dict[str, Any], **changes: Any) -> str:
    """Write this page's query with some members changed; None takes one out."""
    request: HttpRequest = context["request"]
    query = dict(request.GET.lists())
    for name, value in changes.items():
        if value is None or value == "":
            query.pop(name, None)
        else:
            query[name] = [str(value)]
    return f"?{urlencode(query, doseq=True)}"


@register.simple_tag(takes_context=True)
def sort_head(  # noqa: PLR0917 - as a template writes it
    context: dict[str, Any],
    name: str,
    label: str,
    order: Order,
    style: str = "",
    member: str = "sort",
) -> SafeString:
    """Write the head of a column as a link that sorts by it; asked again, the other way round."""
    is_here = order.name == name
    other = Order(name, not order.is_descending if is_here else style == "number")
    way = "descending" if order.is_descending else "ascending"
    return format_html(
        '<th scope="col"{}{}><a class="sort" href="{}">{}<span class="sort-mark"'
        ' aria-hidden="true">{}</span></a></th>',
        format_html(' class="{}"', style) if style else "",
        format_html(' aria-sort="{}"', way) if is_here else "",
        with_query(context, **{member: str(other), "cursor": None}),
        label,
        ("↓" if order.is_descending else "↑") if is_here else "",
    )


@register.inclusion_tag("console/parts/undo.html", takes_context=True)
def undo_form(context: dict[str, Any]) -> dict[str, Any]:
    """Show the way back from what was just done, once."""
    return {"way": undoing.take(context["request"]), "csrf_token": context.get("csrf_token")}
