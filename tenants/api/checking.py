"""Checks what came in, body and query, against its declared shape."""

from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request

from tenants.common.problems import Invalid

_LONGEST_NAME = 64
_MOST_NAMED = 10


def checked(
    shape: type[serializers.Serializer[Any]], data: Any, *, partial: bool = False
) -> dict[str, Any]:
    """Check what came in.

    Raises:
        ValidationError: with one entry per member that is wrong.
    """
    serializer = shape(data=data, partial=partial)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def query_of(request: Request) -> dict[str, str]:
    """Read the query; what is said twice is refused.

    Raises:
        ValidationError: with one entry per member that is said twice.
    """
    repeated = [name for name, values in request.query_params.lists() if len(values) > 1]
    if repeated:
        said = ErrorDetail(_("Say this once."), "repeated")
        raise ValidationError({name[:_LONGEST_NAME]: [said] for name in repeated[:_MOST_NAMED]})
    return request.query_params.dict()


def asked_of(shape: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """Check what a DELETE asks for: its members stand in the query or in a JSON body.

    Raises:
        ValidationError: with one entry per member that is wrong.
        Invalid: ``ambiguous``: query and body say different things.
    """
    query: dict[str, Any] = query_of(request)
    body: Any = request.data
    named = checked(shape, query, partial=True)
    said = checked(shape, body, partial=True)
    for name in named.keys() & said.keys():
        if named[name] != said[name]:
            detail = _("Query and body say different things.")
            raise Invalid.field(f"/{name}", "ambiguous", detail)
    return checked(shape, {**query, **body})
