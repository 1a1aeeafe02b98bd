"""What every registered model must satisfy, whatever its key: all breaches are told at once."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from tenants.common.problems import FieldError, Invalid
from tenants.registry.models import Purpose, RegisteredModel

#: Mistral takes temperatures from 0 to 1.5 (its chat completion schema).
MAX_TEMPERATURE = 1.5
_MAX_INTEGER = 2**31 - 1


def check(model: RegisteredModel) -> None:
    """Bring purposes and defaults into their stored form, and refuse what breaks a rule.

    Raises:
        Invalid: ``purpose_required``, ``purpose_unknown``, ``out_of_range``, ``unknown_default``,
            ``default_needs_visibility``; its code and detail are those of the first breach.
    """
    errors = tuple(_breaches(model))
    if errors:
        raise Invalid(errors[0].code, errors[0].detail, errors=errors)
    model.purposes = [purpose.value for purpose in Purpose if purpose in model.purposes]
    if "temperature" in model.defaults:
        model.defaults = {**model.defaults, "temperature": float(model.defaults["temperature"])}


def _breaches(model: RegisteredModel) -> Iterator[FieldError]:
    if not model.purposes:
        detail = _("Choose at least one purpose.")
        yield FieldError("/purposes", "purpose_required", detail)
    if unknown := sorted(set(model.purposes) - set(Purpose.values)):
        detail = _("There is no purpose named %(name)s.") % {"name": unknown[0]}
        yield FieldError("/purposes", "purpose_unknown", detail)
    for name in ("context_size", "timeout"):
        value = getattr(model, name)
        if value is not None and not _is_integer(value):
            yield FieldError(f"/{name}", "out_of_range", _("Enter a whole number of at least 1."))
    if model.use_as_default and not model.visible_to_tenant:
        detail = _("A default model must be visible to the users of the tenant.")
        yield FieldError("/use_as_default", "default_needs_visibility", detail)
    yield from _wrong_defaults(model.defaults)


def _wrong_defaults(defaults: Mapping[str, Any]) -> Iterator[FieldError]:
    for name, value in sorted(defaults.items()):
        pointer = f"/defaults/{name}"
        if name == "temperature":
            if not _is_temperature(value):
                detail = _("Enter a temperature from 0 to 1.5.")
                yield FieldError(pointer, "out_of_range", detail)
        elif name == "max_tokens":
            if not _is_integer(value):
                detail = _("Enter a whole number of at least 1.")
                yield FieldError(pointer, "out_of_range", detail)
        elif name == "safe_prompt":
            if not isinstance(value, bool):
                yield FieldError(pointer, "out_of_range", _("Enter true or false."))
        else:
            detail = _("Only temperature, max_tokens and safe_prompt may have a default.")
            yield FieldError("/defaults", "unknown_default", detail)


def _is_integer(value: object) -> bool:
    return type(value) is int and 1 <= value <= _MAX_INTEGER


def _is_temperature(value: object) -> bool:
    return type(value) in (int, float, Decimal) and 0 <= value <= MAX_TEMPERATURE  # type: ignore[operator]  # one of the three
