"""Forms of the console: they read what people type; the rules are the rooms'.

A refusal of a room is shown at the field that it is about. Forms hold no secret: a Mistral key
comes in sealed, and what is typed is never written back into a field for passwords.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.datastructures import MultiValueDict
from django.utils.formats import get_format
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from tenants.common.money import parse_amount, plain
from tenants.common.problems import Problem
from tenants.common.text import normalise_name
from tenants.console import kept
from tenants.console.undoing import Undo, undo

#: What is ticked is no box to type into.
_TICKED = (forms.CheckboxInput, forms.CheckboxSelectMultiple, forms.RadioSelect)

#: Fields that refusals are about which name none, by the refusal's code.
_ABOUT = {"name_taken": "name"}


class Name(forms.CharField):
    """A name, by the one rule for names."""

    def clean(self, value: Any) -> str:
        """Normalise it.

        Raises:
            ValidationError: it hides characters, is empty, or too long.
        """
        text: str = super().clean(value)
        name = normalise_name(text) if text.strip() else ""
        if name is None:
            raise forms.ValidationError(_("Must not contain invisible characters."), "hidden")
        if self.required and not name:
            raise forms.ValidationError(self.error_messages["required"], "required")
        return name


class Amount(forms.CharField):
    """An amount of money as people write it: with a comma or a point; None when left empty."""

    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})

    def clean(self, value: Any) -> Decimal | None:
        """Read it.

        Raises:
            ValidationError: it is no amount.
        """
        text: str = super().clean(value).replace(" ", "").replace("\u00a0", "")
        if not text:
            return None
        try:
            return parse_amount(_plain(text))
        except ValueError:
            detail = _("Write an amount like 500 or %(example)s.") % {"example": _written("500.50")}
            raise forms.ValidationError(detail, "amount_invalid") from None

    def prepare_value(self, value: Any) -> Any:
        """Write it as the reader writes it: whole, or with two decimals at least."""
        if not isinstance(value, Decimal):
            return value
        is_whole = value == value.to_integral_value()
        return _written(plain(value, 0 if is_whole else 2))


class Number(forms.DecimalField):
    """A decimal number as people write it: with a comma or a point."""

    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})

    def to_python(self, value: Any) -> Any:
        """Read it.

        Raises:
            ValidationError: it is no number.
        """
        return super().to_python(_plain(value.strip()) if isinstance(value, str) else value)

    def prepare_value(self, value: Any) -> Any:
        """Write it as the reader writes it."""
        return _written(plain(value, 0)) if isinstance(value, Decimal) else value


class Day(forms.DateField):
    """A day, by the browser's own calendar."""

    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    input_formats = ["%Y-%m-%d"]


class HouseForm(forms.Form):
    """A form whose fields say by themselves what is wrong with them, and what helps."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            if not isinstance(field.widget, _TICKED):
                field.widget.attrs.setdefault("class", "input")
            if field.help_text:
                field.widget.attrs.setdefault("aria-describedby", f"id_{name}_help")
        names = [self.add_prefix(name) for name in self.fields]
        self._kept = None if self.is_bound else kept.typed(names)

    def get_initial_for_field(self, field: forms.Field, field_name: str) -> Any:
        """Begin with what was typed before the sign-in had to be renewed, if it was."""
        if self._kept is not None:
            name = self.add_prefix(field_name)
            typed = field.widget.value_from_datadict(self._kept, MultiValueDict(), name)
            if typed is not None:
                return typed
        return super().get_initial_for_field(field, field_name)

    def refuse(self, problem: Problem) -> None:
        """Show a room's refusal at the fields that it is about, or above all of them."""
        placed = False
        about = _ABOUT.get(problem.code)
        if about in self.fields and not problem.errors:
            self.add_error(about, problem.detail)
            placed = True
        for error in problem.errors:
            name = self.field_of(error.pointer)
            if name is not None:
                self.add_error(name, error.detail)
                placed = True
        if not placed:
            self.add_error(None, problem.detail)

    def field_of(self, pointer: str) -> str | None:
        """Find the field that a JSON pointer means."""
        names = [part for part in pointer.split("/") if part]
        whole = "_".join(names)
        return next((name for name in (whole, *names[::-1]) if name in self.fields), None)


class ChangeForm(HouseForm):
    """A form that changes what is there: nobody undoes unseen what was changed meanwhile.

    Its page carries a digest of each fact as it was shown. Where one is another now, and not what
    is typed, the form is shown again with what is there now; sent once more, it holds.
    """

    #: The status of a page that shows what was not taken.
    refused = 422

    def __init__(self, *args: Any, now: Mapping[str, Any], **kwargs: Any) -> None:
        """Take the facts as they are ``now``, by the names of the fields."""
        super().__init__(*args, initial=dict(now), **kwargs)
        self._now = {name: (_digest(now.get(name)), now.get(name)) for name in self.fields}
        self._tags = " ".join(f"{name}.{tag}" for name, (tag, _value) in self._now.items())
        self.fields["seen"] = forms.CharField(
            required=False, widget=forms.HiddenInput(attrs={"id": False})
        )
        self.initial["seen"] = self._tags

    def clean(self) -> dict[str, Any]:
        """Compare what was shown with what is there.

        Raises:
            ValidationError: ``stale``.
        """
        said: dict[str, Any] = super().clean() or {}
        shown = dict(pair.rpartition(".")[::2] for pair in said.pop("seen", "").split())
        moved = [
            name for name, tag in shown.items() if name in self._now and self._moved(name, tag)
        ]
        if moved:
            self.refused = 412
            typed: Any = self.data
            again = typed.copy()
            again["seen"] = self._tags
            self.data = again
            raise forms.ValidationError([self._told(name) for name in moved])
        return said

    def way_back(self, address: str, after: "ChangeForm") -> Undo | None:
        """Write the form that sets all facts back to what they were.

        Args:
            address: where it is sent to.
            after: the form as it would be shown now. Who changes one of the facts before it is
                sent is not overruled unseen, as with any other.
        """
        if after._tags == self._tags:  # noqa: SLF001 - of the same class
            return None
        said = [("seen", after._tags)]  # noqa: SLF001
        for name, (_tag, value) in self._now.items():
            written = self.fields[name].prepare_value(value)
            if isinstance(written, bool):
                said += [(name, "on")] if written else []
            elif isinstance(written, list):
                said += [(name, str(one)) for one in written]
            elif written is not None:
                said.append((name, str(written)))
        return undo(address, said)

    def _moved(self, name: str, tag: str) -> bool:
        now, value = self._now[name]
        return tag != now and self.cleaned_data.get(name) != value

    def _told(self, name: str) -> forms.ValidationError:
        detail = _(
            "“%(field)s” was changed meanwhile, perhaps in another tab; it is now: %(value)s."
            " Nothing was saved. Save again to have it as it stands below."
        )
        facts = {"field": self.fields[name].label, "value": self._shown(name)}
        return forms.ValidationError(detail, "stale", facts)

    def _shown(self, name: str) -> str:
        value = self._now[name][1]
        words = dict(getattr(self.fields[name], "choices", ()))
        if isinstance(value, list):
            return ", ".join(str(words.get(one, one)) for one in value)
        if isinstance(value, bool):
            return str(_("yes") if value else _("no"))
        shown = words.get(value, self.fields[name].prepare_value(value))
        if value not in words and isinstance(value, Decimal | int):
            shown = _grouped(value)
        return "\N{EN DASH}" if shown in {None, ""} else str(shown)


def choices(words: Mapping[str, str | Promise], values: Iterable[str]) -> list[tuple[str, Any]]:
    """Pair values with what people call them."""
    return [(value, words[value]) for value in values]


def _digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:8]


def _plain(text: str) -> str:
    """Tell a decimal sign from one between thousands.

    With commas and points the last one is decimal. Of one kind alone, signs are decimal unless the
    reader's language writes thousands with them and groups of three follow.
    """
    thousands = re.escape(get_format("THOUSAND_SEPARATOR"))
    if re.fullmatch(rf"[1-9]\d{{0,2}}({thousands}\d{{3}})+", text):
        return re.sub(thousands, "", text)
    if "," in text and "." in text:
        decimal = max(text.rfind(","), text.rfind("."))
        whole = text[:decimal].replace(",", "").replace(".", "")
        return f"{whole}.{text[decimal + 1 :]}"
    return text.replace(",", ".")


def _grouped(value: Decimal | int) -> str:
    """Write a number with the reader's marks, as pages do."""
    text = f"{Decimal(plain(Decimal(value), 0)):,f}"
    comma, point = get_format("THOUSAND_SEPARATOR"), get_format("DECIMAL_SEPARATOR")
    return text.translate({ord(","): str(comma), ord("."): str(point)})


def _written(text: str) -> str:
    """Put the decimal sign of the reader's language into a plain number."""
    return text.replace(".", str(get_format("DECIMAL_SEPARATOR")))
