"""Letters about models: what becomes of the Mistral model behind them."""

from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from tenants.keys.models import Availability
from tenants.notices.telling import Told, amount, count, page
from tenants.people.mail import Button, Letter

_MOST_PRICES = 6


def retiring(told: Told) -> Letter:
    """Say when the Mistral model behind a model ends, and what follows it."""
    day, reason = told.day("retires_on"), told.data.get("reason")
    words = {
        "name": told.data["name"],
        "model": told.data.get("snapshot") or told.data["mistral_model"],
        "day": day,
        "replacement": told.data.get("replacement") or "",
    }
    if reason == Availability.GONE:
        subject = _("The Mistral model behind %(name)s is gone")
        what = _("Mistral does not offer %(model)s any more, so the model answers no calls.")
    elif reason == Availability.ARCHIVED:
        subject = _("The Mistral model behind %(name)s was archived")
        what = _("%(model)s was archived at Mistral, so the model answers no calls.")
    elif day:
        subject = _("The Mistral model behind %(name)s ends on %(day)s")
        what = _("Mistral retires %(model)s on %(day)s. Afterwards the model answers no calls.")
    else:
        subject = _("The Mistral model behind %(name)s will end")
        what = _("Mistral retires %(model)s. Afterwards the model answers no calls.")
    then = _("Choose another Mistral model for it; its token stays the same.")
    if words["replacement"]:
        then = _(
            "Mistral names %(replacement)s as its successor. Choose it, or another one: the"
            " model's token stays the same."
        )
    return _letter(told, subject % words, what % words, then % words)


def moved(told: Told) -> Letter:
    """Say that the name behind a model leads to another version."""
    words = {
        "name": told.data["name"],
        "alias": told.data["mistral_model"],
        "before": told.data["from"],
        "after": told.data["to"],
    }
    return _letter(
        told,
        _("%(name)s now answers with %(after)s") % words,
        _("At Mistral %(alias)s now leads to %(after)s; it was %(before)s before.") % words,
        _("Answers may differ. To stay with a version, choose its own name instead of the alias."),
    )


def _letter(told: Told, subject: str, *paragraphs: str) -> Letter:
    return Letter(
        subject,
        paragraphs,
        Button(_("Open the model"), page("console-model", model_id=told.id("model_id"))),
        told.facts(
            (_("Model"), told.data["name"]),
            *_prices(told.data.get("prices") or []),
        ),
        told.small(),
        get_language() or "",
    )


def _prices(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Say which prices change, and how; what is not known is said to be so."""
    changed = [row for row in rows if row["before"] != row["after"]]
    return [
        (
            _("Price (%(meter)s)") % {"meter": row["meter"]},
            f"{_price(row['before'], row)} → {_price(row['after'], row)}",
        )
        for row in changed[:_MOST_PRICES]
    ]


def _price(price: dict[str, Any] | None, row: dict[str, Any]) -> str:
    if price is None:
        return _("not known")
    words = {"price": amount(price["amount"], row["currency"]), "number": count(price["per"])}
    return _("%(price)s per %(number)s") % words
