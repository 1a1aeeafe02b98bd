"""Fields that take exactly the JSON type they name; nothing is coerced, nothing is echoed.

Text is trimmed and refuses control characters; a number is no string, a switch is no number. A
secret leaves its field as a ``Secret`` and is never part of a message.
"""

import re
import unicodedata
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tenants.access.addresses import read_network
from tenants.access.tenancy import read_id
from tenants.common.money import parse_amount, plain
from tenants.common.secrets import Secret
from tenants.common.text import is_hidden, normalise_email

_INT32 = 2**31 - 1
_LONGEST_SECRET = 1024
LAST_YEAR = 2999
_DAY = re.compile(r"(?a:\d{4}-\d{2}-\d{2})")
_OFFSET = re.compile(r"(?a:[zZ]|[+-]\d{2}:?\d{2})\Z")
_INSTANT = re.compile(
    r"(?a:\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[zZ]|[+-]\d{2}:\d{2}))"
)
_AMOUNT = re.compile(r"(?a:\d{1,9}(?:\.\d{1,9})?)")
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_HOST = re.compile(r"(?i:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*)")
#: Files of the zone database that are no place: "not set", and whatever a machine is set to.
_NO_ZONES = frozenset({"Factory", "localtime"})
_zones = cache(lambda: available_timezones() - _NO_ZONES)
_NOT_TEXT = _("Must be text.")


class Text(serializers.CharField):
    """Text of bounded length in one line, or in several where ``multiline``."""

    default_error_messages = {
        "invalid": _NOT_TEXT,
        "control_character": _("Must not contain control or invisible characters."),
    }

    def __init__(self, *, max_length: int, multiline: bool = False, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)
        self.allowed = frozenset("\n") if multiline else frozenset()

    def to_internal_value(self, data: Any) -> str:
        """Trim, normalise to NFC, and refuse what is not text."""
        if not isinstance(data, str):
            self.fail("invalid")
        text = unicodedata.normalize("NFC", super().to_internal_value(data))
        if any(is_hidden(character) and character not in self.allowed for character in text):
            self.fail("control_character")
        return text


class Slug(Text):
    """Lower-case words joined by hyphens."""

    default_error_messages = {
        "malformed": _("Use lower-case letters and digits, in words joined by hyphens.")
    }

    def to_internal_value(self, data: Any) -> str:
        """Refuse other characters."""
        text = super().to_internal_value(data)
        if not _SLUG.fullmatch(text):
            self.fail("malformed")
        return text


class Host(Text):
    """A host name, as AIsuru names its tenants; empty for none."""

    default_error_messages = {"malformed": _("Must be a host name, like www.example.com.")}

    def to_internal_value(self, data: Any) -> str:
        """Refuse addresses and anything else."""
        text = super().to_internal_value(data).lower()
        if text and not _HOST.fullmatch(text):
            self.fail("malformed")
        return text


class Email(serializers.EmailField):
    """One e-mail address, in its one spelling."""

    def to_internal_value(self, data: Any) -> str:
        """Refuse what is not text, and what is no address by the one rule for addresses."""
        if not isinstance(data, str):
            self.fail("invalid")
        address = normalise_email(super().to_internal_value(data))
        if address is None:
            self.fail("invalid")
        return address


class Zone(Text):
    """A time zone of the IANA database."""

    default_error_messages = {
        "unknown_zone": _("Must be a time zone of the IANA database, like Europe/Rome.")
    }

    def to_internal_value(self, data: Any) -> str:
        """Refuse names that the database does not have."""
        text = super().to_internal_value(data)
        if text not in _zones():
            self.fail("unknown_zone")
        return text


class Network(Text):
    """A network as CIDR, or one address, in its one spelling."""

    default_error_messages = {
        "malformed": _("Must be a network, like 203.0.113.0/24 or 2001:db8::/32, or one address.")
    }

    def to_internal_value(self, data: Any) -> str:
        """Refuse names, and networks with host bits."""
        network = read_network(super().to_internal_value(data))
        if network is None:
            self.fail("malformed")
        return network


class Whole(serializers.IntegerField):
    """A whole number, written as one."""

    def __init__(self, *, min_value: int, max_value: int = _INT32, **kwargs: Any) -> None:
        super().__init__(min_value=min_value, max_value=max_value, **kwargs)

    def to_internal_value(self, data: Any) -> int:
        """Refuse text, switches and fractions."""
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return int(data)


class Number(serializers.FloatField):
    """A number of a bounded range; never an amount of money."""

    def to_internal_value(self, data: Any) -> float:
        """Refuse text and switches."""
        if not isinstance(data, int | float) or isinstance(data, bool):
            self.fail("invalid")
        return float(data)


class Flag(serializers.BooleanField):
    """``true`` or ``false``."""

    def to_internal_value(self, data: Any) -> bool:
        """Refuse everything else."""
        if not isinstance(data, bool):
            self.fail("invalid", input="…")
        return data


class OneOf(serializers.ChoiceField):
    """One word of a list."""

    default_error_messages = {"invalid_choice": _("Must be one of: {choices}.")}

    def to_internal_value(self, data: Any) -> Any:
        """Refuse other words without repeating them."""
        if not isinstance(data, str) or data not in self.choices:
            self.fail("invalid_choice", choices=", ".join(map(str, self.choices)))
        return data


class Several(serializers.ListField):
    """A list of a bounded number of values."""

    default_error_messages = {
        "not_a_list": _("Must be a list."),
        "min_length": _("Give at least {min_length} of these."),
        "max_length": _("Give at most {max_length} of these."),
    }


class Id(serializers.UUIDField):
    """The id of a row, in its usual spelling."""

    def to_internal_value(self, data: Any) -> UUID:
        """Refuse numbers and URNs."""
        found = read_id(data)
        if found is None:
            self.fail("invalid", value="…")
        return found


class Day(serializers.DateField):
    """A day up to the end of 2999, as ``YYYY-MM-DD``; later ones are slips of the hand."""

    default_error_messages = {
        "max_value": _("Choose a date before the year 3000, or leave it out for none.")
    }

    def to_internal_value(self, data: Any) -> date:
        """Refuse the other spellings of ISO 8601."""
        if not isinstance(data, str) or not _DAY.fullmatch(data):
            self.fail("invalid", format="YYYY-MM-DD")
        day: date = super().to_internal_value(data)
        if day.year > LAST_YEAR:
            self.fail("max_value")
        return day


class Instant(serializers.DateTimeField):
    """An instant with its offset from UTC (RFC 3339)."""

    default_error_messages = {
        "no_offset": _("Say the offset from UTC, as in 2026-09-01T08:00:00Z.")
    }

    def to_internal_value(self, data: Any) -> Any:
        """Refuse local times, and the other spellings of ISO 8601."""
        if not isinstance(data, str):
            self.fail("invalid", format="RFC 3339")
        if not _OFFSET.search(data):
            self.fail("no_offset")
        if not _INSTANT.fullmatch(data):
            self.fail("invalid", format="RFC 3339")
        return super().to_internal_value(data)


@extend_schema_field({"type": "string", "examples": ["500.00"]})
class Amount(serializers.Field[Decimal, str, str, Any]):
    """An amount of money as decimal text of at most nine places."""

    default_error_messages = {
        "invalid": _("Must be an amount as decimal text of at most nine places, like 500.00.")
    }

    def to_internal_value(self, data: Any) -> Decimal:
        """Refuse numbers: JSON's lose cents."""
        if not isinstance(data, str) or not _AMOUNT.fullmatch(data):
            self.fail("invalid")
        return parse_amount(data)

    def to_representation(self, value: Decimal) -> str:
        """Write it without an exponent, with two places or as many as it has."""
        return plain(value)


@extend_schema_field({"type": "string", "format": "password", "writeOnly": True})
class SecretText(serializers.Field[Secret[str], str, str, Any]):
    """A secret; it is a ``Secret`` from here on, and its shape is its room's business."""

    default_error_messages = {"invalid": _NOT_TEXT, "max_length": _("This is too long.")}

    def to_internal_value(self, data: Any) -> Secret[str]:
        """Wrap it."""
        if not isinstance(data, str):
            self.fail("invalid")
        if len(data) > _LONGEST_SECRET:
            self.fail("max_length")
        return Secret(data)
