"""Forms of what addresses name, for every door; importing this makes them known to Django."""

from django.urls import register_converter
from django.urls.converters import StringConverter, UUIDConverter


class IdConverter(UUIDConverter):
    """An id in its usual spelling; RFC 9562 has it read in either case."""

    regex = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"


class MonthConverter(StringConverter):
    """A month as ``YYYY-MM``."""

    regex = "(?a:[0-9]{4}-[0-9]{2})"


class FormConverter(StringConverter):
    """A form that a statement has."""

    regex = "json|csv|pdf"


register_converter(FormConverter, "form")
register_converter(IdConverter, "id")
register_converter(MonthConverter, "month")
