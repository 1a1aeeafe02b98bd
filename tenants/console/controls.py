"""The controls of forms, written as Django's own templates write them, without templates.

A field for a time zone has hundreds of options: as templates, each of them costs more than a query.
Whatever is not written here, and so whatever the support desk's toolkit brings, stays a template.
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.forms.renderers import DjangoTemplates
from django.http import HttpRequest
from django.utils.formats import localize
from django.utils.html import conditional_escape

type _Widget = Mapping[str, Any]


class Controls(DjangoTemplates):
    """Renders widgets; set as ``FORM_RENDERER``."""

    def render(
        self, template_name: str, context: Mapping[str, Any], request: HttpRequest | None = None
    ) -> str:
        """Write what is known here, and have templates do the rest."""
        write = _WRITERS.get(template_name)
        if write is None:
            return super().render(template_name, dict(context), request)
        return write(context["widget"])


def _input(widget: _Widget) -> str:
    value = widget["value"]
    said = "" if value is None else f' value="{_text(value)}"'
    kind, name = _text(widget["type"]), _text(widget["name"])
    return f'<input type="{kind}" name="{name}"{said}{_attrs(widget)}>'


def _option_input(widget: _Widget) -> str:
    """Write one of several inputs, inside of its label unless that stands elsewhere."""
    if not widget.get("wrap_label"):
        return _input(widget)
    identity = widget["attrs"].get("id")
    whose = f' for="{_text(identity)}"' if identity else ""
    return f"<label{whose}>{_input(widget)}\n {_shown(widget['label'])}</label>"


def _textarea(widget: _Widget) -> str:
    value = widget["value"]
    return (
        f'<textarea name="{_text(widget["name"])}"{_attrs(widget)}>\n'
        f"{_shown(value) if value else ''}</textarea>"
    )


def _select(widget: _Widget) -> str:
    pieces = [f'<select name="{_text(widget["name"])}"{_attrs(widget)}>']
    for group, options, _index in widget["optgroups"]:
        if group:
            pieces.append(f'\n  <optgroup label="{_shown(group)}">')
        pieces += [f"\n  {_option(option)}\n" for option in options]
        if group:
            pieces.append("\n  </optgroup>")
    pieces.append("\n</select>")
    return "".join(pieces)


def _option(widget: _Widget) -> str:
    value = _text(widget["value"])
    return f'<option value="{value}"{_attrs(widget)}>{_shown(widget["label"])}</option>'


def _attrs(widget: _Widget) -> str:
    return "".join(
        f" {_text(name)}" if value is True else f' {_text(name)}="{_text(value)}"'
        for name, value in widget["attrs"].items()
        if value is not False
    )


def _text(value: Any) -> str:
    """Write a value as it is, for an attribute."""
    return conditional_escape(value if isinstance(value, str) else str(value))


def _shown(value: Any) -> str:
    """Write a value for a reader."""
    return conditional_escape(localize(value))


_WIDGETS = "django/forms/widgets/"
_INPUTS = (
    "checkbox",
    "color",
    "date",
    "datetime",
    "email",
    "file",
    "hidden",
    "number",
    "password",
    "search",
    "tel",
    "text",
    "time",
    "url",
)
_WRITERS: Mapping[str, Callable[[_Widget], str]] = {
    **{f"{_WIDGETS}{name}.html": _input for name in _INPUTS},
    f"{_WIDGETS}checkbox_option.html": _option_input,
    f"{_WIDGETS}radio_option.html": _option_input,
    f"{_WIDGETS}select.html": _select,
    f"{_WIDGETS}select_option.html": _option,
    f"{_WIDGETS}textarea.html": _textarea,
}
