"""What bodies say of people: addresses in bulk, roles, workspaces with roles."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tenants.api import fields
from tenants.api.endpoint import In, Out
from tenants.common.problems import Invalid
from tenants.organizations.invitations import MOST_ADDRESSES
from tenants.organizations.roles import Role, WorkspaceRole

_SEPARATORS = re.compile(r"[\s,;]+")
_LONGEST = 320 * MOST_ADDRESSES
MOST_WORKSPACES = 50


@extend_schema_field(
    {
        "oneOf": [
            {"type": "array", "items": {"type": "string"}, "maxItems": MOST_ADDRESSES},
            {"type": "string"},
        ],
        "description": "A list, or one text with commas or line breaks between addresses.",
    }
)
class Addresses(serializers.Field[list[str], Any, Any, Any]):
    """Addresses as people paste them; whether each is one is told per address."""

    default_error_messages = {
        "invalid": gettext_lazy("Must be a list of addresses, or one text with commas between."),
        "empty": gettext_lazy("Name at least one address."),
        "max_length": gettext_lazy("Name at most {max_length} addresses at once."),
    }

    def to_internal_value(self, data: Any) -> list[str]:
        """Take them apart."""
        parts = data if isinstance(data, list) else [data]
        if not all(isinstance(part, str) for part in parts) or sum(map(len, parts)) > _LONGEST:
            self.fail("invalid")
        addresses = [one for part in parts for one in _SEPARATORS.split(part) if one]
        if not addresses:
            self.fail("empty")
        if len(addresses) > MOST_ADDRESSES:
            self.fail("max_length", max_length=MOST_ADDRESSES)
        return addresses


class WorkspacePlaceIn(In):
    """A workspace and the role in it."""

    id = fields.Id()
    role = fields.OneOf(choices=WorkspaceRole.choices, default=WorkspaceRole.MEMBER.value)


class WorkspacePlaceOut(Out):
    """A workspace and the role in it."""

    id = serializers.UUIDField()
    role = serializers.ChoiceField(choices=WorkspaceRole.choices)


class PlaceIn(In):
    """What somebody becomes in an organization."""

    role = fields.OneOf(choices=Role.choices, default=Role.MEMBER.value)
    workspaces = fields.Several(
        child=WorkspacePlaceIn(), max_length=MOST_WORKSPACES, required=False
    )


def place_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Read role and workspaces, as the room takes them."""
    workspaces: dict[UUID, WorkspaceRole] = {
        place["id"]: WorkspaceRole(place["role"]) for place in data.get("workspaces", [])
    }
    return {"role": Role(data["role"]), "workspaces": workspaces}


def required(data: Mapping[str, Any], name: str) -> Any:
    """Read a member that a PATCH cannot do without.

    Raises:
        Invalid: ``required``.
    """
    if name not in data:
        raise Invalid.field(f"/{name}", "required", _("This field is required."))
    return data[name]
